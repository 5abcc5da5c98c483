"""How fine a difference this machine can tell now: the same work, twice, in turns.

Both sides are the same call on the same memory, so that whatever differs between them is noise. A round
is four turns, A B B A or B A A B by turns; a turn is two Blocks of a few milliseconds. Each round gives
the log of the ratio of the sides' fastest Blocks. From the spread s of these logs,

    d = (t(0.975, k-1) + t(0.80, k-1)) · √(π/2) · s / √k

is the smallest difference, as a log, that k rounds find with a power of 80 % in a two-sided test at 5 %
(the sample size of a paired comparison solved for the difference: S. A. Julious, Statistics in Medicine
23:1921-1986, 2004), where the comparison takes the median of its rounds: √(π/2) is what that costs on
normal noise. So a few rounds that were disturbed spoil nothing, and s is 1.4826 times their median
absolute deviation (Rousseeuw and Croux, J. Am. Stat. Assoc. 88:1273, 1993). It is shown for k = 20.

What a comparison of one side after the other suffers is told by the other figure: the spread (standard
deviation of the log) of the 5th percentile of the Blocks from one moment to the next. A moment is a few
rounds of all the work there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median, stdev

from msgspec import Struct

from torchgauge.estimate import quantile, t_975
from torchgauge.measure.clock import Clock, NowNs
from torchgauge.measure.sampler import calibrate, garbage_collection_off
from torchgauge.measure.subject import Subject

SHOWN_ROUNDS = 20
"""k above: about what a paired comparison takes to confirm a difference."""
MOMENTS = 16
ROUNDS_A_MOMENT = 4
LEAST_MOMENTS = 4
"""With fewer there is no spread worth stating."""
BLOCK_MILLISECONDS = 2
BLOCKS_A_TURN = 2

# Upper 80 % points of Student's t for 1 … 30 degrees of freedom; beyond, that of the normal is 0.5 % off.
_T80 = (
    1.3764, 1.0607, 0.9785, 0.9410, 0.9195, 0.9057, 0.8960, 0.8889, 0.8834, 0.8791,
    0.8755, 0.8726, 0.8702, 0.8681, 0.8662, 0.8647, 0.8633, 0.8620, 0.8610, 0.8600,
    0.8591, 0.8583, 0.8575, 0.8569, 0.8562, 0.8557, 0.8551, 0.8546, 0.8542, 0.8538,
)  # fmt: skip


@dataclass
class Workload:
    """A fixed piece of work, how it is timed, and what was seen of it."""

    name: str
    subject: Subject
    clock: Clock
    loops: int = 1
    ratios: list[float] = field(default_factory=list)
    """log(B / A), one a round."""
    moments: list[float] = field(default_factory=list)
    """The log of the 5th percentile of its Blocks, one a moment."""


class Precision(Struct, frozen=True, kw_only=True):
    """What can be told of one workload; shares, 0.01 is 1 %. None where the time was too short."""

    workload: str
    paired_difference: float | None
    """The smallest difference that `SHOWN_ROUNDS` rounds in turns can tell."""
    moment_spread: float | None
    """How far the 5th percentile wanders from moment to moment (standard deviation)."""
    rounds: int
    moments: int


def probe(workloads: Sequence[Workload], seconds: float, now: NowNs) -> list[Precision]:
    """Measure how fine a difference can be told.

    Args:
        workloads: what to do in turns; they are run once before, and calibrated here.
        seconds: when to stop though fewer than `MOMENTS` were seen; twice that where fewer than
            `LEAST_MOMENTS` were. At least one is looked at.
        now: the host's clock, in nanoseconds.

    Returns:
        One Precision a workload, in their order.

    """
    with garbage_collection_off():
        begin = now()
        for workload in workloads:
            workload.loops = BLOCK_MILLISECONDS * calibrate(workload.subject, workload.clock)
        for count in range(MOMENTS):
            for workload in workloads:
                spent = (now() - begin) * 1e-9
                enough = count >= LEAST_MOMENTS and workload is workloads[0] and spent >= seconds
                if enough or (count and spent >= 2 * seconds):
                    return [_precision(one) for one in workloads]
                _moment(workload)
    return [_precision(workload) for workload in workloads]


def smallest_difference(spread: float, rounds: int) -> float:
    """Give the smallest share by which two sides must differ to be told apart (the formula above).

    Args:
        spread: of the rounds' log ratios; their standard deviation, were they normal.
        rounds: how many rounds the comparison takes, 2 or more.

    """
    degrees = rounds - 1
    power = _T80[degrees - 1] if degrees <= len(_T80) else 0.8416
    return math.expm1((t_975(degrees) + power) * spread * math.sqrt(math.pi / 2 / rounds))


def spread(values: Sequence[float]) -> float:
    """Give the standard deviation of normal values, of which some may be something else."""
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)


def worst(found: Sequence[Precision], pick: Callable[[Precision], float | None]) -> float | None:
    """Give the largest of a figure among the workloads; None where one is not known, or there is none."""
    figures = [pick(one) for one in found]
    known = [figure for figure in figures if figure is not None]
    return max(known) if known and len(known) == len(figures) else None


def _moment(workload: Workload) -> None:
    blocks: list[float] = []
    for _ in range(ROUNDS_A_MOMENT):
        # which side begins changes, so that a drift within rounds does not favour one for good
        order = "ABBA" if len(workload.ratios) % 2 == 0 else "BAAB"
        sides: dict[str, list[float]] = {"A": [], "B": []}
        for side in order:
            sides[side] += _turn(workload)
        workload.ratios.append(math.log(min(sides["B"]) / min(sides["A"])))
        blocks += sides["A"] + sides["B"]
    workload.moments.append(math.log(quantile(blocks, 0.05)))


def _turn(workload: Workload) -> Iterator[float]:
    for _ in range(BLOCKS_A_TURN):
        took = workload.clock.time(workload.subject.block(workload.loops)).seconds
        yield max(took, workload.clock.resolution)  # a Clock too coarse to see it: no log of zero


def _precision(workload: Workload) -> Precision:
    enough = len(workload.moments) >= LEAST_MOMENTS
    return Precision(
        workload=workload.name,
        paired_difference=smallest_difference(spread(workload.ratios), SHOWN_ROUNDS) if enough else None,
        moment_spread=math.expm1(stdev(workload.moments)) if enough else None,
        rounds=len(workload.ratios),
        moments=len(workload.moments),
    )
