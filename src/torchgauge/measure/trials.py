"""What the ceilings of a device are measured with.

- **Streams** over memory, at working sets from a part of the last cache to several times all of it: a
  copy (read + write), a sum (read), a fill (write), and `neg_`, which reads and writes each element in
  its place. In place is the fastest per byte on a CPU: a store elsewhere first reads the line that it
  overwrites, and those bytes are not counted, here or in a case's work (McCalpin's STREAM counts them
  neither).
- **Products** of two square matrices, 2·n³ FLOP, at a few sizes in each dtype of the run.
- **Calls**: `detach`, an operator without any work: it reads its arguments, goes through torch's
  dispatcher and makes the tensor that it gives, as every operator does. On an accelerator also an empty
  kernel, and the link to the host, from pinned and from pageable memory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from torchgauge.measure import device as devices
from torchgauge.measure import machine, settings
from torchgauge.measure.clock import NowNs
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
ROOM_SHARE = 8
"""The largest working set is at most this part of the memory that is left."""
OTHER_CACHES = (1 / 32, 1 / 8, 1 / 2, 2)
"""The other working sets, in last caches: rates fall fast between a half and two."""
LEAST_STREAM = 256 * 1024
STREAMS = ("copy", "read", "write", "update")
CACHED = "the working set is less than two last caches: a part of it may be found there"
LINK = 64 * MEBI
"""Bytes of a copy between host and device."""
CPU_SIDES, OTHER_SIDES = (128, 256, 512, 1024), (2048, 4096, 8192)
"""Sides of the matrices, smallest first. A dtype that the processor has no units for is fastest at 128:
its product there is a plain loop, which larger matrices drive out of the caches."""
MUCH_FASTER = 1.5
"""So many times as fast is no noise."""
LONGEST = 0.1
"""Seconds that a product may take: a size that would take longer is left out, a smaller one says enough."""
PRODUCTS = ("float64", "float32", "tf32", "bfloat16", "float16", "int8")
"""dtypes with a product of 2·n³ operations in torch."""


@dataclass(frozen=True)
class Trial:
    """One ceiling to be measured: `make` builds the call, untimed."""

    case: Case
    work: Work
    make: Callable[[], Subject]
    warnings: tuple[str, ...] = ()
    queued: bool = True
    """Whether the call gives an accelerator something to do; else the host's clock times it."""


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
        room: what the memory has left; the largest set takes at most a part of it.

    """
    last = cache or CACHE
    main = min(max(MAIN_CACHES * last, LEAST_MAIN), MOST_MAIN)
    if room is not None:  # a power of two: what is left changes from run to run, a ceiling's id should not
        part = max(LEAST_STREAM, room // ROOM_SHARE)
        main = min(main, 1 << (part.bit_length() - 1))
    sizes = [_even(int(last * share)) for share in OTHER_CACHES]
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
    """Give the products that don't take too long, each judged by the time of the one before it."""
    found: list[Trial] = []
    before = None
    product = _product
    if device == "cpu" and dtype != "int8":
        plain, other = (partial(make, device, dtype, CPU_SIDES[0]) for make in (_product, _transposed))
        if MUCH_FASTER * _seconds(other, device, dtype, now) < _seconds(plain, device, dtype, now):
            product = _transposed
    for side in CPU_SIDES if device == "cpu" else OTHER_SIDES:
        make = partial(product, device, dtype, side)
        if before is not None and _seconds(before[1], device, dtype, now) * (side / before[0]) ** 3 > LONGEST:
            break
        found.append(Trial(_case("matmul", device, dtype, n=side), Work(flop=2.0 * side**3), make))
        before = side, make
    return found


def _seconds(make: Callable[[], Subject], device: str, dtype: str, now: NowNs) -> float:
    """Time a call roughly, on the host's clock; infinite where it can't be done."""
    wait = devices.synchronizer(device) or (lambda: None)
    with devices.current(device), settings.precision(device, dtype):
        try:
            call = make().call()
            call()  # loads the library
            wait()
            took = []
            for _ in range(3):  # one may be disturbed
                begin = now()
                call()
                wait()
                took.append((now() - begin) * 1e-9)
        except Exception:  # its visit says why
            return math.inf
    return min(took)


def _product(device: str, dtype: str, side: int) -> Subject:
    if dtype == "int8":
        a, b = (torch.randint(-128, 128, (side, side), dtype=torch.int8, device=device) for _ in range(2))
        return Subject(torch._int_mm, (a, b))
    kind = devices.torch_dtype(dtype)
    a, b = (_noise(side**2, device).view(side, side).to(kind) for _ in range(2))
    return Subject(torch.matmul, (a, b))


def _transposed(device: str, dtype: str, side: int) -> Subject:
    """Make a product whose right matrix is transposed in memory: the one fast product of float16 on a CPU."""
    subject = _product(device, dtype, side)
    a, b = subject.args
    return Subject(subject.fn, (a, b.t()))


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
        for memory in ("pinned", "pageable") if devices.pins(device) else ("pageable",):
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
