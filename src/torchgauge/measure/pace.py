"""Takes the machine's pace between blocks; `torchgauge.pace` says what it is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torchgauge.measure.clock import NowNs
from torchgauge.measure.subject import Subject, nothing
from torchgauge.pace import is_disturbed

LOOPS = 500
"""About 16 µs: long against the clock, short against a block and against the machine's changes."""


class Pace:
    """Knows how fast the machine was around each block of one visit.

    Args:
        probe: gives what the fixed loop takes now, in seconds.
        undisturbed: the loop's undisturbed seconds as known so far.

    """

    def __init__(self, probe: Callable[[], float], undisturbed: float | None) -> None:
        self._probe = probe
        self._undisturbed = undisturbed
        self._before = probe()

    def after_block(self) -> float:
        """Take the pace after a block; give the slower of those before and after it, in seconds."""
        after = self._probe()
        around = max(self._before, after)
        self._before = after
        return around

    def calm(self, around: Sequence[float]) -> int:
        """Count those of the paces that tell of no disturbance."""
        return sum(not is_disturbed(one, self._undisturbed) for one in around)


def probe(now: NowNs) -> Callable[[], float]:
    """Make the probe that times the fixed loop by a clock of nanoseconds."""
    subject = Subject(nothing)

    def seconds() -> float:
        loop = subject.block(LOOPS)
        start = now()
        loop()
        return round((now() - start) * 1e-9, 9)  # whole nanoseconds: a run file has tens of thousands

    return seconds
