"""Runs in the formats of other tools: CSV, Parquet, and pytest-benchmark's JSON.

- **csv**: the summaries, UTF-8, one row a case and metric; `params` is a JSON object, `warnings` are
  joined by "; ". A text that a spreadsheet would take for a formula gets a leading apostrophe.
- **parquet**: the samples, one row a block, each with all columns of its summary; the columns of the
  summary begin with `summary_` where both have the name. One file holds everything, and
  `drop_duplicates` on the case and metric gives the summaries back. The file's metadata has the run's
  header (key `torchgauge`, JSON).
- **pytest-benchmark**: what its `--benchmark-json` writes, one entry a case, `data` being our samples
  (seconds per call) to the last bit. Only the leading metric of each case goes there.
"""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from torchgauge.analysis.frame import samples, summaries
from torchgauge.errors import TorchgaugeError
from torchgauge.estimate import quantile
from torchgauge.record import Measurement, Run
from torchgauge.record.ending import PRIMARY_METRICS

KEY = ["run", "case", "instrument", "metric", "method", "unit"]
"""What a row of samples and a row of summaries share."""


def export(run: Run, format: str, out: Path | str) -> None:
    """Write a run in another tool's format; a file that is there is replaced, whole or not at all.

    Args:
        run: the run, as `record.read` gives it.
        format: "csv", "parquet" or "pytest-benchmark".
        out: the file to write.

    Raises:
        TorchgaugeError: the format is unknown, or the file can't be written.

    """
    if format not in FORMATS:
        raise TorchgaugeError(f"unknown format {format!r}; choose from {', '.join(FORMATS)}")
    _replace(Path(out), FORMATS[format](run))


def csv(run: Run) -> bytes:
    """Write the summaries as CSV; see the module's docstring."""
    frame = _flat(summaries([run]))
    for name in frame.columns:
        if frame[name].dtype == "str":
            frame[name] = frame[name].map(_harmless, na_action="ignore")
    return frame.to_csv(index=False, lineterminator="\r\n").encode()


def parquet(run: Run) -> bytes:
    """Write samples with their summaries as Parquet; see the module's docstring."""
    import pyarrow
    from pyarrow import parquet as pq

    summary = _flat(summaries([run]))
    summary = summary.rename(columns={"value": "summary_value", "samples": "sample_count"})
    # a case that failed has a summary without samples: kept, its sample missing
    whole = summary.merge(samples([run]), on=KEY, how="left")
    whole = whole.astype(dict.fromkeys(("round", "process", "block", "loops"), "Int64"))
    table = pyarrow.Table.from_pandas(whole, preserve_index=False)
    header = {b"torchgauge": msgspec.json.encode(run.header)}
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **header}), sink)
    return sink.getvalue()


def pytest_benchmark(run: Run) -> bytes:
    """Write what `pytest-benchmark compare` and `pytest --benchmark-compare` read."""
    pools: dict[str, list[Measurement]] = {}
    for line in run.measurements:
        if line.metric in PRIMARY_METRICS and line.unit == "s":
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


FORMATS: dict[str, Callable[[Run], bytes]] = {
    "csv": csv,
    "parquet": parquet,
    "pytest-benchmark": pytest_benchmark,
}


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


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn the columns that hold dicts and lists into text."""
    return frame.assign(
        params=pd.Series([json.dumps(p, ensure_ascii=False) for p in frame["params"]], dtype="str"),
        warnings=pd.Series(["; ".join(w) for w in frame["warnings"]], dtype="str"),
    )


def _harmless(text: str) -> str:
    """Keep a spreadsheet from running a text (CWE-1236): an apostrophe before = + - @, tab, return."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else text


def _replace(out: Path, content: bytes) -> None:
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)  # mkstemp's file is its owner's alone
        Path(temporary).replace(out)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise TorchgaugeError(
            f"{out}: can't be written: {error.strerror}; choose another file with -o"
        ) from None
