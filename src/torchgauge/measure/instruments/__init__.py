"""Instruments: ways to look at a callable. One module each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torchgauge.measure.subject import Subject
from torchgauge.record.schema import Part, Scalar


@dataclass(frozen=True)
class Visit:
    """One look at one case: which round it is, and how much time it may take."""

    case_id: str
    device: str
    first: bool
    """Whether this process has not seen the case before."""
    seconds: float
    patience: float = 0.0
    """Seconds for which it may go on until it has seen undisturbed blocks."""
    undisturbed: float | None = None
    """What the pace's loop takes when nothing disturbs it, in seconds; None while it is not known."""
    retry_seconds: float = 0.0
    """Time there is for another try, where the machine was in a poor state."""
    folder: Path | None = None
    """Where files about the case go; None where there is no run file to put them beside."""


@dataclass(frozen=True)
class Observation:
    """What an instrument saw in one visit: one metric, `samples` per call in `unit`, one a block."""

    metric: str
    unit: str
    method: str
    samples: list[float]
    loops: int
    conditions: dict[str, Scalar] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    paces: list[float] = field(default_factory=list)


class Instrument(Protocol):
    """One way to look at a callable."""

    name: str

    def observe(self, subject: Subject, visit: Visit) -> tuple[Any, list[Observation]]:
        """Look at the subject once.

        Returns:
            The result of the first call, and the observations, the primary one first.

        """
        ...
