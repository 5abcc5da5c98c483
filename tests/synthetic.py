"""Runs that never took place: realistic in shape, the same for the same seed, and made without torch."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from torchgauge.estimate import quantile
from torchgauge.record import (
    CEILING,
    SCHEMA,
    Accelerator,
    Case,
    Config,
    End,
    Environment,
    Failure,
    Git,
    Header,
    Machine,
    Measurement,
    Run,
    RunWriter,
    Skip,
    Summary,
    Torch,
    Work,
)
from torchgauge.record.schema import Scalar

SIZES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
EMPTY_LOOP = 35e-9
HOSTILE = (
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b]0;title\x07",
    "a|b|c\n| x |",
    "[bold red]markup[/bold red] [link](http://evil.example/)",
    "=cmd()",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "$\\frac{1}{0}$",
    "&amp; `code` **bold** _em_ @someone",
)


def case(group: str, name: str, device: str = "cpu", dtype: str | None = "float32", **params: Scalar) -> Case:
    parts = [device, *([dtype] if dtype else []), *(f"{key}={value}" for key, value in params.items())]
    return Case(
        id=f"{group}/{name}[{','.join(parts)}]",
        group=group,
        name=name,
        device=device,
        dtype=dtype,
        params=params,
    )


def measurements(
    at: Case,
    seconds: float,
    *,
    flop: float | None = None,
    bytes: float | None = None,
    rounds: int = 5,
    processes: int = 1,
    blocks: int = 12,
    noise: float = 0.01,
    warnings: Sequence[str] = (),
    seed: int = 1,
) -> list[Measurement]:
    """Make the lines of one case: its rounds' times, its submissions on an accelerator, its first call."""
    chance = random.Random(f"{seed}-{at.id}")
    on_device = at.device != "cpu"
    found = []
    for process in range(processes):
        for round_ in range(rounds):
            drift = math.exp(chance.gauss(0, noise))
            values = [seconds * drift * (1 + chance.expovariate(1 / (2 * noise))) for _ in range(blocks)]
            notes = list(warnings)
            if not on_device and min(values) < EMPTY_LOOP / 0.05:
                notes.append("the empty loop (35 ns a call) is over 5 % of this time")
            metric, method = ("device_time", "device-events") if on_device else ("time", "host-clock")
            found.append(
                _line(at, metric, method, values, round_, process, Work(flop=flop, bytes=bytes), notes)
            )
            if on_device:
                submits = [4e-6 * drift * (1 + chance.expovariate(20)) for _ in range(blocks)]
                found.append(_line(at, "submit_time", "host-clock", submits, round_, process, Work(), []))
            if round_ == 0:
                first = [seconds * 20 + chance.uniform(1e-4, 2e-3)]
                found.append(_line(at, "first_call", "host-clock", first, round_, process, Work(), []))
    return found


def _line(
    at: Case,
    metric: str,
    method: str,
    values: list[float],
    round_: int,
    process: int,
    work: Work,
    warnings: list[str],
) -> Measurement:
    return Measurement(
        case=at,
        instrument="time",
        metric=metric,
        unit="s",
        method=method,
        round=round_,
        process=process,
        samples=values,
        loops=max(1, round(1e-3 / values[0])),
        summary=Summary(
            count=len(values),
            min=min(values),
            p05=quantile(values, 0.05),
            median=quantile(values, 0.5),
            mean=sum(values) / len(values),
            max=max(values),
        ),
        work=work,
        conditions={
            "stop": "time" if round_ % 2 else "plateau",
            "empty_loop_seconds": EMPTY_LOOP,
            "at": "2026-03-01T10:00:00.000+00:00",
        },
        warnings=warnings,
    )


def ceilings(devices: Sequence[str] = ("cpu",), *, rounds: int = 5) -> list[Measurement]:
    """Make the lines of the ceilings of devices, as fast as `grid` takes them to be, and 10 % more."""
    found = []
    for device in devices:
        fast = device != "cpu"
        rate, bandwidth = (2.2e13, 1.65e12) if fast else (1e11, 1.32e10)
        main = (256 if fast else 128) * 2**20
        trials: list[tuple[Case, float, Work]] = [
            (_ceiling("operator", device), 4e-7, Work(flop=0.0, bytes=0.0))
        ]
        for size, factor in ((main // 32, 4.0), (main, 1.0)):
            for name, share in (("copy", 0.8), ("read", 0.9), ("write", 0.7), ("update", 1.0)):
                moved = 2.0 * size if name == "update" else float(size)
                at = _ceiling(name, device, size=size)
                trials.append((at, moved / (bandwidth * factor * share), Work(flop=0.0, bytes=moved)))
        for dtype, size in SIZES.items():
            for n in (512, 1024):
                flop = 2.0 * n**3
                at = _ceiling("matmul", device, dtype, n=n)
                trials.append((at, flop / (rate * 4 / size), Work(flop=flop)))
        for at, seconds, work in trials:
            for round_ in range(rounds):
                values = [seconds * (1 + 0.004 * ((round_ + block) % 3)) for block in range(6)]
                metric, method = ("device_time", "device-events") if fast else ("time", "host-clock")
                line = _line(at, metric, method, values, round_, 0, work, [])
                found.append(msgspec.structs.replace(line, instrument=CEILING))
    return found


def _ceiling(name: str, device: str, dtype: str | None = None, **params: Scalar) -> Case:
    return case(CEILING, name, device, dtype, **params)


def grid(devices: Sequence[str] = ("cpu",)) -> Iterable[tuple[Case, float, dict[str, Any]]]:
    """Give cases of many shapes with plausible times: launch cost + FLOP / rate + bytes / bandwidth."""
    for device in devices:
        fast = device != "cpu"
        overhead, rate, bandwidth = (4e-6, 2e13, 1.5e12) if fast else (1.1e-6, 9e10, 1.2e10)

        def cost(
            flop: float,
            moved: float,
            size: int = 4,
            calls: float = 1.0,
            *,
            overhead: float = overhead,
            rate: float = rate,
            bandwidth: float = bandwidth,
        ) -> float:
            return overhead * calls + flop / (rate * 4 / size) + moved / bandwidth

        for n in (6, 2**10, 2**20):
            for name in ("zeros", "rand", "clone"):
                moved = 4.0 * n * (2 if name == "clone" else 1)
                yield case("creation", name, device, n=n), cost(0, moved), {"bytes": moved}
        for to in ("float64", "float16", "int64"):
            for source, size in SIZES.items():
                for n in (2**10, 2**20):
                    moved = n * (size + 4.0)
                    yield (
                        case("conversion", "to", device, source, to=to, n=n),
                        cost(0, moved),
                        {"bytes": moved},
                    )
        for dtype, size in SIZES.items():
            for n in (32, 128, 512, 1024):
                flop, moved = 2.0 * n**3, 3.0 * n * n * size
                yield (
                    case("matmul", "square", device, dtype, n=n),
                    cost(flop, moved, size),
                    {
                        "flop": flop,
                        "bytes": moved,
                    },
                )
        for op in ("add", "mul", "relu"):
            for form, factor in (("functional", 1.5), ("in-place", 1.0), ("out", 1.05)):
                for n in (2**10, 2**16, 2**20, 2**24):
                    moved = 8.0 * n
                    yield (
                        case("inplace", op, device, form=form, n=n),
                        factor * cost(0, moved),
                        {
                            "flop": float(n),
                            "bytes": moved,
                        },
                    )
        for tensors, n, many in (("sine MLP", 76, 8), ("1000x1024", 1_024_000, 1000)):
            for weight, name in enumerate(("SGD", "momentum", "Adam", "AdamW"), start=2):
                for form, calls in (
                    ("for-loop", many * weight),
                    ("foreach", 6.0 + many / 50),
                    ("fused", 3.0),
                ):
                    if form == "fused" and name == "momentum":
                        continue
                    yield (
                        case("optimizers", "step", device, optimizer=name, form=form, tensors=tensors),
                        cost(2.0 * n * weight, 4.0 * n * weight, calls=calls),
                        {"flop": 2.0 * n * weight, "bytes": 4.0 * n * weight},
                    )
        steps = {"forward": 8.0, "loss": 2.0, "backward": 14.0, "zero_grad": 3.0, "optimizer_step": 12.0}
        for batch in (1, 32, 1024):
            for name, calls in (steps | {"training_step": 40.0}).items():
                yield (
                    case("sine_mlp", name, device, batch=batch, width=5, mode="eager"),
                    cost(152.0 * batch, 80.0 * batch, calls=calls),
                    {"flop": 152.0 * batch},
                )
    yield case("mine", "lookup", "cpu", None, table="users", cached=True), 3e-7, {}


def run(
    devices: Sequence[str] = ("cpu",),
    *,
    run_id: str = "5eed0001",
    host: str = "bench-box",
    rounds: int = 5,
    processes: int = 1,
    speed: float = 1.0,
    finished: bool = True,
    cases: Iterable[tuple[Case, float, dict[str, Any]]] | None = None,
    failures: Sequence[Failure] | None = None,
    skips: Sequence[Skip] | None = None,
    with_ceilings: bool = False,
    seed: int = 1,
) -> Run:
    """Make a whole run; the same arguments give the same run."""
    lines: list[Measurement] = []
    for at, seconds, options in grid(devices) if cases is None else cases:
        noisy = at.group == "creation" and at.name == "rand" and at.params.get("n") == 2**20
        settings: dict[str, Any] = {"rounds": rounds, "noise": 0.12 if noisy else 0.01} | options
        lines += measurements(at, seconds / speed, processes=processes, seed=seed, **settings)
    if failures is None:
        broken = case("mine", "broken", "cpu", None)
        failures = [Failure(case=broken, stage="measure", error="ValueError", message="no such table: users")]
    if skips is None:
        reason = "no kernel for int8 on cpu"
        skips = [Skip(case=case("matmul", "square", dtype="int8", n=n), reason=reason) for n in (32, 128)]
        skips.append(Skip(case=case("transfer", "pinned", n=4), reason="measured on cuda only"))
    wall = sum(sum(line.samples) * line.loops for line in lines)
    end = End(
        finished="2026-03-01T10:03:00.000+00:00",
        measured=len({line.case.id for line in lines}),
        failed=len(failures),
        skipped=len(skips),
        wall_seconds=wall / 0.7,
        timed_seconds=wall,
    )
    return Run(
        path=Path(f"results/20260301T100000Z_{host}_{run_id}.jsonl"),
        header=header(devices, run_id=run_id, host=host, rounds=rounds, processes=processes),
        measurements=lines,
        failures=list(failures),
        skips=list(skips),
        end=end if finished else None,
        ceilings=ceilings(devices) if with_ceilings else [],
    )


def header(
    devices: Sequence[str] = ("cpu",),
    *,
    run_id: str = "5eed0001",
    host: str = "bench-box",
    rounds: int = 5,
    processes: int = 1,
) -> Header:
    machine = Machine(
        host=host,
        system="Linux 6.1",
        python="3.12.4",
        cpu="Example CPU @ 2.50GHz",
        cores_logical=2,
        cores_physical=1,
        affinity=[0, 1],
        cpu_limit=None,
        governor=None,
        frequency_hertz=2.5e9,
        cache_bytes=32 * 2**20,
        memory_bytes=8 * 2**30,
        memory_available_bytes=6 * 2**30,
        load_1min=0.1,
        virtualization=None,
    )
    torch = Torch(
        version="2.13.0+cpu",
        git=None,
        debug=False,
        cuda="12.8" if len(devices) > 1 else None,
        cudnn=None,
        blas="mkl",
        mkldnn=True,
        cpu_capability="AVX2",
        threads=2,
        interop_threads=1,
        float32_matmul_precision="highest",
        tf32_matmul=False,
        tf32_cudnn=True,
        deterministic=False,
        cudnn_benchmark=False,
        compiler=None,
    )
    return Header(
        schema=SCHEMA,
        id=run_id,
        started="2026-03-01T10:00:00.000+00:00",
        environment=Environment(
            machine=machine,
            torch=torch,
            accelerators=[_accelerator(device) for device in devices if device != "cpu"],
            git=Git(commit="0123456789abcdef0123456789abcdef01234567", branch="main", dirty=False),
            packages={"torch": "2.13.0+cpu", "numpy": "2.4.6"},
            variables={},
            unknown={"machine.governor": "no cpufreq"},
            fingerprint="f" * 16,
            machine_key="m" * 16,
        ),
        config=Config(
            torchgauge="0.1.0",
            paths=["bench"],
            devices=list(devices),
            dtypes=None,
            keyword=None,
            budget="standard",
            instruments=["time"],
            rounds=rounds,
            processes=processes,
            seed=42,
        ),
    )


def _accelerator(device: str) -> Accelerator:
    return Accelerator(
        device=device,
        name="Example GPU",
        uuid_hash="0badcafe",
        driver="570.1",
        memory_bytes=80 * 2**30,
        multiprocessors=132,
        capability="9.0",
        clock_hertz=None,
        clock_max_hertz=1.98e9,
        memory_clock_hertz=2.6e9,
        power_limit_watts=700.0,
        temperature_celsius=35.0,
        ecc=True,
        pcie_generation=5,
        pcie_width=16,
        mig=False,
        persistence=True,
    )


def write(one: Run, folder: Path) -> Path:
    """Write a run as a run file and give its path."""
    path = folder / one.path.name
    writer = RunWriter(path)
    for line in (
        one.header,
        *one.ceilings,
        *one.measurements,
        *one.failures,
        *one.skips,
        *([one.end] if one.end else []),
    ):
        writer.append(line)
    writer.close()
    return path
