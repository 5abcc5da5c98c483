"""What a device can do at the most: the ceilings that cases are held against, measured in the same run.

- **Streams** over memory, at working sets from a part of the last cache to several times all of it: a
  copy (read + write), a sum (read), a fill (write), and `neg_`, which reads and writes each element in
  its place. In place is the fastest per byte on a CPU: a store elsewhere first reads the line that it
  overwrites, and no program states those bytes (McCalpin's STREAM counts them neither).
- **Products** of two square matrices, 2·n³ FLOP, at a few sizes in each dtype of the run.
- **Calls**: `detach`, an operator with no work at all; on CUDA an empty kernel; and the link between
  host and device, from pinned and from pageable memory.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from torchgauge.estimate import estimate, headline_quantile
from torchgauge.measure import device as devices
from torchgauge.measure import machine, settings
from torchgauge.measure.clock import NowNs
from torchgauge.measure.instruments import Instrument, Observation, Visit
from torchgauge.measure.instruments.time import Time
from torchgauge.measure.subject import Subject
from torchgauge.record import CEILING, Case, Work
from torchgauge.record.schema import Scalar

MEBI = 2**20
CACHE = 32 * MEBI
"""Taken for the last cache where it is not known."""
MAIN_CACHES = 4
"""The largest working set, in last caches: what is left in one from the call before is at most a quarter."""
LEAST_MAIN, MOST_MAIN = 64 * MEBI, 768 * MEBI
"""Bounds of the largest working set in bytes; two buffers of it stay under 2 GiB with torch beside them."""
CACHE_SHARES = (32, 8, 2)
"""The other working sets: a 32nd, an 8th and a half of the last cache."""
LEAST_STREAM = 256 * 1024
STREAMS = ("copy", "read", "write", "update")
CACHED = "the working set is less than two last caches: a part of it may be found there"
LINK = 64 * MEBI
SIDES = {"cpu": (256, 512, 1024), "other": (2048, 4096, 8192)}
"""Sides of the matrices, smallest first."""
LONGEST = 0.1
"""Seconds that a product may take: a size that takes longer is left out, a smaller one says enough."""
PRODUCTS = ("float64", "float32", "tf32", "bfloat16", "float16", "int8")
"""dtypes with a product whose work is 2·n³ operations, fastest where the device has one for them."""
SECONDS = {"quick": 2.5, "standard": 5.0, "thorough": 10.0}
"""For all ceilings of a run, by budget; setting up is not in it."""


@dataclass(frozen=True)
class Ceiling:
    """A rate or a cost that was measured, with its 95 % interval (None from one round).

    `unit` is "B/s", "FLOP/s" or "s"; for a rate `low` is the slow end, for a cost the short one.
    """

    name: str
    """"copy", "read", "write", "update", "matmul", "operator", "launch", "to_device", "from_device"."""
    device: str
    dtype: str | None
    params: dict[str, Scalar]
    """`size`: bytes of the working set or of the copy; `n`: a matrix's side; `memory`: pinned, pageable."""
    metric: str
    unit: str
    value: float
    low: float | None
    high: float | None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Trial:
    """One ceiling to be measured: `make` builds the call, untimed."""

    case: Case
    work: Work
    make: Callable[[], Subject]
    warnings: tuple[str, ...] = ()
    queued: bool = True
    """Whether the call gives an accelerator something to do; else the host's clock times it."""


def measure(
    device: str,
    dtypes: Sequence[str],
    seconds: float = SECONDS["quick"],
    *,
    rounds: int = 3,
    seed: int = 0,
    instrument: Instrument | None = None,
) -> list[Ceiling]:
    """Measure the ceilings of a device, without a run file.

    Args:
        device: a torch device string.
        dtypes: those whose products are measured, as torch names them, and tf32; others are passed over.
        seconds: for all of them; setting up is not in it.
        rounds: visits to each, spread over the time; two or more for an interval.
        seed: of the order of the visits.
        instrument: looks at each; None for the time.

    """
    seen: dict[tuple[str, str], list[tuple[Trial, Observation]]] = defaultdict(list)
    for trial, _, found in visits(trials(device, dtypes), seconds, rounds, seed, instrument or Time()):
        for one in found if isinstance(found, list) else []:
            seen[trial.case.id, one.metric].append((trial, one))
    return [_ceiling(pairs) for _, pairs in sorted(seen.items())]


def visits(
    found: Sequence[Trial], seconds: float, rounds: int, seed: int, instrument: Instrument
) -> Iterator[tuple[Trial, int, list[Observation] | str]]:
    """Visit each trial once a round, in an order of its own, and give what was seen, or why nothing was.

    A trial that the device turns out not to be able to do is visited once.
    """
    share = seconds / max(1, len(found) * rounds)
    left = list(found)
    for round_ in range(rounds):
        turn = list(left)
        random.Random(f"ceilings-{seed}-{round_}").shuffle(turn)
        for trial in turn:
            try:
                yield trial, round_, _visit(trial, instrument, share, first=round_ == 0)
            except Exception as error:
                reason = devices.unsupported(error)
                if reason is None:
                    raise
                left.remove(trial)
                yield trial, round_, reason


def _visit(trial: Trial, instrument: Instrument, seconds: float, *, first: bool) -> list[Observation]:
    case = trial.case
    visit = Visit(case.id, case.device if trial.queued else "cpu", first=first, seconds=seconds)
    with (
        devices.current(case.device),
        settings.kept(),
        settings.precision(case.device, case.dtype),
    ):
        _, found = instrument.observe(trial.make(), visit)
    for one in found:
        one.warnings.extend(trial.warnings)
    return [one for one in found if one.metric != "first_call"]


def trials(
    device: str, dtypes: Sequence[str], *, root: Path = Path("/"), now: NowNs = time.perf_counter_ns
) -> list[Trial]:
    """Give the ceilings of a device and of the run's dtypes; their buffers are made here and shared.

    Args:
        device: a torch device string.
        dtypes: those of the run's cases.
        root: where /proc and /sys are.
        now: the clock that tells how large a product may be.

    """
    found = _streams(device, root)
    for dtype in dtypes:
        if dtype in PRODUCTS and devices.why_not(device, dtype) is None:
            found += _products(device, dtype, now)
    return [*found, *_calls(device)]


def working_sets(cache: int | None, room: int | None) -> list[int]:
    """Choose the working sets of the streams in bytes, smallest first; the last is main memory's.

    Args:
        cache: all last-level caches together.
        room: what the memory has left; the largest set takes at most an eighth.

    """
    last = cache or CACHE
    main = min(max(MAIN_CACHES * last, LEAST_MAIN), MOST_MAIN)
    if room is not None:
        main = max(LEAST_STREAM, min(main, room // 8))
    sizes = [_even(last // share) for share in CACHE_SHARES]
    return [*(size for size in sizes if LEAST_STREAM <= size <= main // 2), _even(main)]


def _even(size: int) -> int:
    """Round down to whole KiB: halves of it still are whole elements."""
    return size - size % 1024


def _streams(device: str, root: Path) -> list[Trial]:
    cache = machine.all_caches(root) if device == "cpu" else devices.cache_bytes(device)
    room = machine.memory_room(root) if device == "cpu" else devices.memory_room(device)
    sizes = working_sets(cache, room)
    buffers = _Buffers(device, sizes[-1] // 4)
    found = []
    for size in sizes:
        notes = (CACHED,) if size == sizes[-1] and size < 2 * (cache or CACHE) else ()
        for name in STREAMS:
            moved = 2 * size if name == "update" else size
            case = _case(name, device, None, size=size)
            make = partial(getattr(buffers, name), size // 4)
            found.append(Trial(case, Work(flop=0.0, bytes=float(moved)), make, notes))
    return found


class _Buffers:
    """Two buffers of `count` float32, made at the first use and shared by all streams of a device."""

    def __init__(self, device: str, count: int) -> None:
        self._device, self._count = device, count
        self._made: tuple[torch.Tensor, torch.Tensor] | None = None

    def _get(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self._made is None:
            self._made = (_noise(self._count, self._device), _noise(self._count, self._device))
        return self._made

    def copy(self, count: int) -> Subject:
        source, target = self._get()
        return Subject(target[: count // 2].copy_, (source[: count // 2],))

    def read(self, count: int) -> Subject:
        return Subject(self._get()[0][:count].sum)

    def write(self, count: int) -> Subject:
        return Subject(self._get()[1][:count].fill_, (0.7,))

    def update(self, count: int) -> Subject:
        return Subject(self._get()[0][:count].neg_)


def _noise(count: int, device: str) -> torch.Tensor:
    """Make random float32: drawn for at most 1 MiB and repeated, since drawing a GiB takes seconds."""
    drawn = torch.randn(min(count, 2**18), device=device)
    return drawn.repeat(-(-count // len(drawn)))[:count]


def _products(device: str, dtype: str, now: NowNs) -> list[Trial]:
    found: list[Trial] = []
    wait = devices.synchronizer(device) or (lambda: None)
    for side in SIDES["cpu" if device == "cpu" else "other"]:
        make = partial(_product, device, dtype, side)
        try:
            took = _once(make().call(), wait, now, settings.precision(device, dtype))
        except Exception as error:
            if devices.unsupported(error) is None:
                raise
            took = 0.0  # its visit says why it can't be measured
        if took > LONGEST and found:
            break
        found.append(Trial(_case("matmul", device, dtype, n=side), Work(flop=2.0 * side**3), make))
    return found


def _once(
    call: Callable[[], object], wait: Callable[[], None], now: NowNs, mode: AbstractContextManager[None]
) -> float:
    with mode:
        call()  # loads the library
        wait()
        begin = now()
        call()
        wait()
    return (now() - begin) * 1e-9


def _product(device: str, dtype: str, side: int) -> Subject:
    if dtype == "int8":
        a, b = (torch.randint(-128, 128, (side, side), dtype=torch.int8, device=device) for _ in range(2))
        return Subject(torch._int_mm, (a, b))
    kind = devices.torch_dtype(dtype)
    a, b = (_noise(side**2, device).view(side, side).to(kind) for _ in range(2))
    return Subject(torch.matmul, (a, b))


def _calls(device: str) -> list[Trial]:
    none = Work(flop=0.0, bytes=0.0)
    found = [
        Trial(
            _case("operator", device, None),
            none,
            lambda: Subject(torch.zeros(1, device=device).detach),
            queued=False,
        )
    ]
    empty = devices.empty_kernel(device)
    if empty is not None:
        found.append(Trial(_case("launch", device, None), none, lambda: Subject(empty)))
    if device != "cpu":
        for memory in ("pinned", "pageable"):
            for name, make in (("to_device", _to_device), ("from_device", _from_device)):
                case = _case(name, device, None, memory=memory, size=LINK)
                found.append(Trial(case, Work(flop=0.0, bytes=float(LINK)), partial(make, device, memory)))
    return found


def _host(memory: str) -> torch.Tensor:
    made = _noise(LINK // 4, "cpu")
    return made.pin_memory() if memory == "pinned" else made


def _to_device(device: str, memory: str) -> Subject:
    target = torch.empty(LINK // 4, device=device)
    return Subject(target.copy_, (_host(memory),), {"non_blocking": memory == "pinned"})


def _from_device(device: str, memory: str) -> Subject:
    source = _noise(LINK // 4, device)
    return Subject(_host(memory).copy_, (source,), {"non_blocking": memory == "pinned"})


def _case(name: str, device: str, dtype: str | None, **params: Scalar) -> Case:
    parts = [device, *([dtype] if dtype else []), *(f"{key}={value}" for key, value in params.items())]
    return Case(
        id=f"{CEILING}/{name}[{','.join(parts)}]",
        group=CEILING,
        name=name,
        device=device,
        dtype=dtype,
        params=params,
    )


def _ceiling(pairs: Sequence[tuple[Trial, Observation]]) -> Ceiling:
    trial, first = pairs[0]
    clusters = [one.samples for _, one in pairs]
    found = estimate(clusters, headline_quantile(trial.case.device, first.unit))
    amount = trial.work.flop or trial.work.bytes
    if amount and first.metric != "submit_time":
        unit = "FLOP/s" if trial.work.flop else "B/s"
        value = amount / found.value
        low = None if found.high is None else amount / found.high
        high = None if found.low is None else amount / found.low
    else:
        unit, value, low, high = "s", found.value, found.low, found.high
    case = trial.case
    said = dict.fromkeys(sentence for _, one in pairs for sentence in one.warnings)
    return Ceiling(
        case.name,
        case.device,
        case.dtype,
        dict(case.params),
        first.metric,
        unit,
        value,
        low,
        high,
        list(said),
    )
