"""Budgets: how much of the grid is measured, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """How long a run may take. Times in seconds.

    `seconds` is what a run aims at, start to end; None sets no aim. `visit_least` and `visit_most`
    bound one visit to one case. A case whose interval is narrower than ±`half_width` after three
    rounds is done.
    """

    name: str
    seconds: float | None
    rounds: int
    visit_least: float
    visit_most: float
    half_width: float
    dtypes: int | None
    """How many of a benchmark's dtypes are measured by default; None for all."""
    ceilings: float
    """For the visits to the ceilings, before the cases; part of `seconds`."""


BUDGETS = {
    budget.name: budget
    for budget in (
        Budget("quick", 54.0, 3, 0.010, 0.25, 0.02, 1, 1.5),
        Budget("standard", 240.0, 5, 0.020, 0.50, 0.01, 2, 4.0),
        Budget("thorough", None, 10, 0.050, 0.50, 0.005, None, 10.0),
    )
}
ORDER = tuple(BUDGETS)
