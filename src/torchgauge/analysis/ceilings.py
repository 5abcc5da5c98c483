"""How near a case comes to what its device can do: to the ceilings of its run, and to published peaks.

- FLOP/s are held against the fastest matrix product of the case's dtype on its device.
- Bytes/s are held against the fastest stream over at least about as much data. A case that moves B bytes
  has data of at least B/2, or it passes over them more than twice; so the streams that count are those
  over the largest working set of at most B/2, and over all larger ones. Data that fit a cache are so held
  against the cache, and only what fits none against the memory.
- What a ceiling holds is its fastest round. Noise only takes away, and what was reached can be done. Where
  the machine was slow in all rounds, the device may do as much more as it was slow, and a case is flagged
  only beyond that.
- A copy between host and device crosses a link that no case states: it is held against memory too, and
  the link's own rates stand among the ceilings.
- Published peaks are those of `reference-accelerators.json`, for chips that its `nvml_name` names to the
  letter. Of a memory's peak nothing is said where the data may lie in a cache.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

from torchgauge.analysis.headline import Calm, calm, headline
from torchgauge.estimate import Estimate, headline_quantile, quantile
from torchgauge.record import Accelerator, Case, Measurement, Run, Work
from torchgauge.record.ending import PRIMARY_METRICS
from torchgauge.units import format_quantity

TOLERANCE = 0.10
"""How far a rate may be above its ceiling before it is flagged."""
UNSURE = 0.5
"""Half an interval over its value, above which a ceiling is called badly known."""
IMPOSSIBLE = 1.02
"""Of a published peak: 2 % for clocks above the one that the maker reckons with, and for rounding."""
NO_SUCH_RATE = "impossible:"
"""How the warning of a rate above that begins."""

LARGEST = 2**60
"""Bytes: more than any memory has."""
STREAMS = ("copy", "read", "write", "update")
PUBLISHED = {"float32": "fp32", "tf32": "tf32", "float16": "fp16", "bfloat16": "bf16", "int8": "int8"}
"""The peaks' names of our dtypes; all of float8 are fp8."""
SLICE = "a MIG slice is a part of a card: no peak is published for it"


@dataclass(frozen=True)
class Ceiling:
    """What a device was seen to do: a rate, or the seconds of a call without work, with its interval."""

    case: Case
    metric: str
    unit: str
    """"FLOP/s", "B/s" or "s"."""
    found: Estimate
    reached: float
    """The rate (the seconds) of the fastest round: others were disturbed, and this is what can be done."""
    warnings: tuple[str, ...] = ()
    slowed: float = 1.0
    """By how much the machine was slow in all rounds, as a factor: what it reached may be as much more."""

    @property
    def name(self) -> str:
        """What was measured, in words: "update of 4 MiB", "float32 matmul, n = 1024"."""
        params = self.case.params
        words = [str(params["memory"])] if "memory" in params else []
        words += [self.case.dtype] if self.case.dtype else []
        words.append(self.case.name.replace("_", " "))
        if self.size is not None:
            words.append(f"of {format_quantity(float(self.size), 'B')}")
        return " ".join(words) + (f", n = {params['n']}" if "n" in params else "")

    @property
    def size(self) -> int | None:
        """The bytes that it was measured over; None where it has no size, or none that a memory has."""
        size = self.case.params.get("size")
        return size if isinstance(size, int) and 0 < size < LARGEST else None

    @property
    def unsure(self) -> bool:
        """Whether its rounds differ so much that it is badly known."""
        half = self.found.relative_half_width
        return half is not None and half > UNSURE


@dataclass(frozen=True)
class Peaks:
    """What a maker publishes of a chip: FLOP/s by dtype (dense), B/s of its memory."""

    chip: str
    flop: dict[str, float]
    memory: float

    def of(self, dtype: str | None) -> float | None:
        """Give the FLOP/s of a dtype; None where none are known."""
        name = "fp8" if dtype is not None and dtype.startswith("float8") else PUBLISHED.get(dtype or "")
        return self.flop.get(name or "")


@dataclass(frozen=True)
class Shares:
    """Rates as shares: 0.8 is 80 %. None where the work or the ceiling is not known.

    `ceiling` names the ceiling that the case comes nearest to. `peak` is the greater of the shares of the
    published peaks.
    """

    ceiling: str | None = None
    flop: float | None = None
    bytes: float | None = None
    peak: float | None = None
    warnings: list[str] = field(default_factory=list)


class Ceilings:
    """The ceilings of one run; a run without any has only published peaks to hold against."""

    def __init__(self, run: Run) -> None:
        pools: dict[tuple[str, str, str], list[Measurement]] = {}
        for line in run.ceilings:
            pools.setdefault((line.case.id, line.metric, line.method), []).append(line)
        self.peaks: dict[str, Peaks] = {}
        self.unknown_peaks: dict[str, str] = {}
        """Devices without a published peak, and why."""
        for card in run.header.environment.accelerators:
            found = published(card)
            if isinstance(found, Peaks):
                self.peaks[card.device] = found
            else:
                self.unknown_peaks[card.device] = found
        known = calm(run)
        self._held = [
            _ceiling(pool, known)
            for pool in pools.values()
            if all(value > 0 for line in pool for value in line.samples)
        ]

    @property
    def measured(self) -> list[Ceiling]:
        """All ceilings, in the order in which they were first measured; impossible ones say so."""
        return [self._judged(one) for one in self._held]

    def hold(self, case: Case, work: Work, seconds: float) -> Shares:
        """Hold a case against what its device can do.

        FLOP are held against products only where a call does one a byte or more: what does less is bound
        by memory, and on a processor without units for a dtype its products are no peak for anything else.

        Args:
            case: the case.
            work: what one call of it must do.
            seconds: what one call took; over 0.

        """
        dense = work.flop is not None and work.flop >= (work.bytes or 0.0)
        flop = _against(work.flop, seconds, self._products(case)) if work.flop and dense else None
        moved = _against(work.bytes, seconds, self._fitting(case, work.bytes)) if work.bytes else None
        found = [held for held in (flop, moved) if held is not None]
        peaks = self._peak_shares(case, work, seconds)
        return Shares(
            ceiling=max(found, key=lambda held: held.share).ceiling if found else None,
            flop=None if flop is None else flop.share,
            bytes=None if moved is None else moved.share,
            peak=max(peaks.values(), default=None),
            warnings=[held.warning for held in found if held.warning] + self._impossible(case, peaks),
        )

    def _products(self, case: Case) -> list[Ceiling]:
        return [
            one
            for one in self._held
            if one.unit == "FLOP/s" and one.case.device == case.device and one.case.dtype == case.dtype
        ]

    def _fitting(self, case: Case, moved: float) -> list[Ceiling]:
        """Give the streams over at least about as much data as a case has that moves so many bytes."""
        streams = self._streams(case.device)
        least = max((size for size in streams if size <= moved / 2), default=0)
        return [one for size, members in streams.items() if size >= least for one in members]

    def _streams(self, device: str) -> dict[int, list[Ceiling]]:
        """Give the streams over a device's memory by their working set in bytes."""
        found: dict[int, list[Ceiling]] = {}
        for one in self._held:
            stream = one.unit == "B/s" and one.case.device == device and one.case.name in STREAMS
            if stream and one.size is not None:
                found.setdefault(one.size, []).append(one)
        return found

    def _peak_shares(self, case: Case, work: Work, seconds: float) -> dict[str, float]:
        """Give the shares of the published peaks: of the dtype's, and of the memory's."""
        peaks = self.peaks.get(case.device)
        found: dict[str, float] = {}
        if peaks is None:
            return found
        peak = peaks.of(case.dtype)
        if work.flop and peak:
            found[f"in {case.dtype}"] = work.flop / seconds / peak
        main = max(self._streams(case.device), default=None)
        if work.bytes and main is not None and work.bytes / 2 >= main:
            found["of its memory"] = work.bytes / seconds / peaks.memory
        return found

    def _impossible(self, case: Case, shares: dict[str, float]) -> list[str]:
        return [
            f"{NO_SUCH_RATE} {_percent(share)} of the published peak {what} of "
            f"{self.peaks[case.device].chip}; the stated work is too much, or the time is wrong"
            for what, share in shares.items()
            if share > IMPOSSIBLE
        ]

    def _judged(self, one: Ceiling) -> Ceiling:
        if one.unit == "s" or one.case.name not in (*STREAMS, "matmul"):
            return one
        case = one.case
        peaks, shares = self.peaks.get(case.device), dict[str, float]()
        if peaks is not None and one.unit == "FLOP/s" and (peak := peaks.of(case.dtype)):
            shares[f"in {case.dtype}"] = one.reached / peak
        elif peaks is not None and one.size == max(self._streams(case.device), default=0):
            shares["of its memory"] = one.reached / peaks.memory
        return replace(one, warnings=(*self._impossible(case, shares), *one.warnings))


def published(card: Accelerator) -> Peaks | str:
    """Give the published peaks of an accelerator, or the reason why none are known."""
    if card.mig:
        return SLICE
    found = _chips().get(card.name)
    return found or f"no published peak is known of {card.name!r}"


@functools.cache
def _chips() -> dict[str, Peaks]:
    """Read the chips that have a name of NVIDIA's library; tera to one."""
    text = resources.files("torchgauge.analysis").joinpath("reference-accelerators.json").read_text("utf-8")
    chips: dict[str, dict[str, Any]] = json.loads(text)["accelerators"]
    return {
        facts["nvml_name"]: Peaks(
            chip,
            {name: 1e12 * float(facts[name]) for name in (*PUBLISHED.values(), "fp8") if name in facts},
            1e12 * float(facts["memory"]),
        )
        for chip, facts in chips.items()
        if "nvml_name" in facts
    }


def _ceiling(pool: list[Measurement], known: Calm) -> Ceiling:
    first = pool[0]
    leading = headline_quantile(first.case.device, first.unit)
    both = headline(pool, known)
    found = both.low_end if leading < 0.5 else both.middle
    reached = min(quantile(line.samples, leading) for line in pool)
    amount = first.work.flop or first.work.bytes
    unit = first.unit
    if amount and first.metric in PRIMARY_METRICS:
        unit, found, reached = "FLOP/s" if first.work.flop else "B/s", found.rate(amount), amount / reached
    sentences = [*both.warnings, *(warning for line in pool for warning in line.warnings)]
    return Ceiling(
        first.case, first.metric, unit, found, reached, tuple(dict.fromkeys(sentences)), both.slowed
    )


@dataclass(frozen=True)
class _Held:
    """One rate of a case over its ceiling."""

    share: float
    ceiling: str
    warning: str


def _against(amount: float, seconds: float, candidates: list[Ceiling]) -> _Held | None:
    """Hold a rate against the fastest of the candidates; None where there is none."""
    if not candidates:
        return None
    fastest = max(candidates, key=lambda one: one.reached)
    share = amount / seconds / fastest.reached
    sentence = (
        f"above the measured ceiling: {_percent(share)} of what {fastest.name} reached; the stated work is "
        "too much, or the ceiling was disturbed"
    )
    most = max(one.reached * one.slowed for one in candidates)
    return _Held(share, fastest.name, sentence if amount / seconds > (1 + TOLERANCE) * most else "")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
