"""A run in the format of pytest-benchmark's `--benchmark-json`, which many services read.

One entry a case, `data` being our samples (seconds per call) to the last bit. Only the leading metric of
each case goes there. Needs no pandas: a machine that only measures writes it too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from torchgauge.estimate import quantile
from torchgauge.record import Measurement, Run
from torchgauge.record.ending import PRIMARY_METRICS


def pytest_benchmark(run: Run) -> bytes:
    """Write what `pytest-benchmark compare` and `pytest --benchmark-compare` read."""
    pools: dict[str, list[Measurement]] = {}
    for line in run.measurements:
        if line.metric in PRIMARY_METRICS and line.unit == "s" and line.samples:
            pools.setdefault(line.case.id, []).append(line)
    environment = run.header.environment
    document = {
        "machine_info": {
            "node": environment.machine.host,
            "processor": environment.machine.cpu or "",
            "machine": environment.machine.cpu or "",
            "python_implementation": "CPython",
            "python_version": environment.machine.python,
            "system": environment.machine.system.partition(" ")[0],
            "release": environment.machine.system.partition(" ")[2],
            "cpu": {"brand_raw": environment.machine.cpu or "", "count": environment.machine.cores_logical},
            "torch": environment.torch.version,
            "fingerprint": environment.fingerprint,
        },
        "commit_info": {
            "id": environment.git.commit,
            "branch": environment.git.branch,
            "dirty": environment.git.dirty,
            "time": None,
            "author_time": None,
            "project": "torchgauge",
        },
        "benchmarks": [_benchmark(pool) for pool in pools.values()],
        "datetime": run.header.started,
        "version": "5.1.0",
    }
    return json.dumps(document, indent=4).encode() + b"\n"


def _benchmark(pool: list[Measurement]) -> dict[str, Any]:
    leading = "device_time" if any(line.metric == "device_time" for line in pool) else "time"
    pool = [line for line in pool if line.metric == leading]
    case = pool[0].case
    params: dict[str, Any] = {"device": case.device, "dtype": case.dtype} | case.params
    parameters = case.id.partition("[")[2].removesuffix("]")
    return {
        "group": case.group,
        "name": f"bench_{case.name}[{parameters}]",
        "fullname": case.id,
        "params": params,
        "param": parameters or None,
        "extra_info": {"case": case.id, "metric": leading, "method": pool[0].method},
        "options": {
            "disable_gc": True,
            "timer": pool[0].method,
            "min_rounds": 1,
            "max_time": 0.0,
            "min_time": 0.0,
            "warmup": False,
        },
        "stats": _stats([value for line in pool for value in line.samples]),
    }


def _stats(data: list[float]) -> dict[str, Any]:
    """Work out pytest-benchmark's statistics: by its own class where it is installed."""
    try:
        from pytest_benchmark.stats import Stats
    except ModuleNotFoundError:
        found = _own_stats(data)
    else:
        stats: Any = Stats()  # type: ignore[no-untyped-call]
        for value in data:
            stats.update(value)
        found = stats.as_dict()
    return {**found, "data": data, "iterations": 1}


def _own_stats(data: Sequence[float]) -> dict[str, Any]:
    """Do the same without it; the quartiles are type 7's, which differ from its own by a hair."""
    count, total = len(data), math.fsum(data)
    mean = total / count
    stddev = math.sqrt(math.fsum((value - mean) ** 2 for value in data) / (count - 1)) if count > 1 else 0.0
    q1, median, q3 = (quantile(data, q) for q in (0.25, 0.5, 0.75))
    fences = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    within = [value for value in data if fences[0] <= value <= fences[1]]
    far = sum(abs(value - mean) > stddev for value in data)
    return {
        "min": min(data),
        "max": max(data),
        "mean": mean,
        "stddev": stddev,
        "rounds": count,
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": count - len(within),
        "stddev_outliers": far,
        "outliers": f"{far};{count - len(within)}",
        "ld15iqr": min(within),
        "hd15iqr": max(within),
        "ops": count / total if total else 0,
        "total": total,
    }
