"""Ceilings, measured, beside what such hardware should reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from torchgauge.measure import ceilings
from torchgauge.measure.doctor import cpu_peak
from torchgauge.measure.reasons import Unknown
from torchgauge.record.schema import Accelerator, Environment, Scalar

DTYPES = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "tf32", "bfloat16", "float16")}
OTHER_DTYPES = ("float32", "float16")
_ORDER = ("copy", "read", "write", "update", "to_device", "from_device", "matmul", "operator", "launch")
_DTYPES = ("float64", "float32", "tf32", "bfloat16", "float16")


class Peaks(Protocol):
    """What a maker publishes of a chip."""

    @property
    def chip(self) -> str:
        """Its name."""
        ...

    @property
    def memory(self) -> float:
        """B/s of its memory."""
        ...

    def of(self, dtype: str | None) -> float | None:
        """Give the FLOP/s of products in a dtype, dense; None where none are published."""
        ...


Published = Callable[[Accelerator], Peaks | str]
"""Gives the published peaks of an accelerator, or the reason why none are known."""


class Reach(Struct, frozen=True, kw_only=True):
    """A measured ceiling beside a peak, both in `unit` (FLOP/s, B/s; s for a cost, which has no peak)."""

    name: str
    device: str
    dtype: str | None
    params: dict[str, Scalar]
    unit: str
    value: float
    low: float | None
    high: float | None
    reached: float
    """The fastest round alone."""
    peak: float | None
    peak_source: str
    """Where the peak comes from; where there is none, why."""
    warnings: list[str]


def reaches(
    device: str, seconds: float, environment: Environment, published: Published, root: Path = Path("/")
) -> list[Reach]:
    """Measure the ceilings of a device for `seconds` and put peaks beside them.

    Raises:
        RuntimeError: the device has no memory left.

    """
    dtypes = DTYPES.get(device.partition(":")[0], OTHER_DTYPES)
    found = best(ceilings.measure(device, dtypes, seconds))
    return [_beside(one, environment, published, root) for one in found]


def best(found: Iterable[ceilings.Ceiling]) -> list[ceilings.Ceiling]:
    """Choose one of each kind: the largest working set of a stream, the fastest size of a product."""
    chosen: dict[tuple[str, str, str | None, str], ceilings.Ceiling] = {}
    for one in found:
        if one.metric == "submit_time":
            continue
        key = (one.name, one.device, one.dtype, str(one.params.get("memory", "")))
        if key not in chosen or _rank(one) > _rank(chosen[key]):
            chosen[key] = one
    return sorted(chosen.values(), key=_place)


def _place(one: ceilings.Ceiling) -> tuple[str, int, int, str]:
    return (
        one.device,
        _ORDER.index(one.name) if one.name in _ORDER else len(_ORDER),
        _DTYPES.index(one.dtype) if one.dtype in _DTYPES else len(_DTYPES),
        str(one.params.get("memory", "")),
    )


def _rank(one: ceilings.Ceiling) -> float:
    size = one.params.get("size")
    return float(size) if isinstance(size, (int, float)) else one.value


def _beside(one: ceilings.Ceiling, environment: Environment, published: Published, root: Path) -> Reach:
    peak, source = _peak(one, environment, published, root)
    return Reach(
        name=one.name,
        device=one.device,
        dtype=one.dtype,
        params=one.params,
        unit=one.unit,
        value=one.value,
        low=one.low,
        high=one.high,
        reached=one.reached,
        peak=peak,
        peak_source=source,
        warnings=one.warnings,
    )


def _peak(
    one: ceilings.Ceiling, environment: Environment, published: Published, root: Path
) -> tuple[float | None, str]:
    if one.unit == "s" or "memory" in one.params:
        return None, "a cost or a link: no peak is stated for it"
    if one.device != "cpu":
        return _published(one, environment, published)
    if one.unit != "FLOP/s":
        return None, "the kernel does not tell the memory's channels and speed"
    try:
        return cpu_peak.derive(one.dtype, _working_cores(environment), root), (
            "derived: cores × highest frequency × FLOP per cycle"
        )
    except Unknown as error:
        return None, str(error)


def _published(
    one: ceilings.Ceiling, environment: Environment, published: Published
) -> tuple[float | None, str]:
    cards = [card for card in environment.accelerators if card.device == one.device]
    peaks = published(cards[0]) if cards else f"nothing is known of {one.device}"
    if isinstance(peaks, str):
        return None, peaks
    value = peaks.of(one.dtype) if one.unit == "FLOP/s" else peaks.memory
    if value is None:
        return None, f"none is published of {peaks.chip} in {one.dtype}"
    return value, f"published of {peaks.chip}"


def _working_cores(environment: Environment) -> int | None:
    """Give how many physical cores torch's threads can occupy."""
    counts: Sequence[int | None] = (environment.machine.cores_physical, environment.torch.threads)
    known = [count for count in counts if count is not None]
    return min(known) if len(known) == len(counts) else None
