"""The memory of a call: bytes allocated, the peak above what was there before, bytes left behind.

torch's allocators report each block that they hand out and take back to the profiler, on the CPU and on
accelerators alike, with the size that was asked for. The numbers are exact and the same each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.instruments.trace import record
from torchgauge.measure.subject import Subject
from torchgauge.record.schema import Scalar

METHOD = "allocator-events"
SCALAR_BYTES = 16
"""The most that a Python number takes which torch wraps as a tensor: a complex128."""


@dataclass(frozen=True)
class Traffic:
    """What one call did with memory, in bytes. `scalars` are numbers that torch wrapped for it."""

    allocated: int
    peak: int
    left: int
    scalars: int
    blocks: int


def traffic(changes: Sequence[tuple[int, int]]) -> Traffic:
    """Sum up a call's allocations and releases, in the order in which they came.

    A Python number as an operand (`x + 1`) becomes a tensor of one element and is cast to the other
    operand's dtype: a few bytes, given back within the operator. A block of at most 16 bytes that is
    given back within the call is taken for such a number, and counted apart.

    Args:
        changes: address and bytes, above 0 for an allocation and below for a release.

    """
    waiting: dict[int, int] = {}
    wrapped: set[int] = set()
    for place, (address, change) in enumerate(changes):
        if 0 < change <= SCALAR_BYTES:
            waiting[address] = place
        elif change < 0 and address in waiting:
            wrapped |= {waiting.pop(address), place}
    kept = [change for place, (_, change) in enumerate(changes) if place not in wrapped]
    return Traffic(
        allocated=sum(change for change in kept if change > 0),
        peak=max(accumulate(kept, initial=0)),
        left=sum(kept),
        scalars=sum(changes[place][1] for place in wrapped if changes[place][1] > 0),
        blocks=sum(change > 0 for change in kept),
    )


class Memory:
    """Measures `allocated_bytes`, `peak_bytes` and `left_bytes` of a call, on the case's own device."""

    name = "memory"

    def observe(self, subject: Subject, visit: Visit) -> tuple[Any, list[Observation]]:
        """Look at a few calls; what the first ones alone allocate is not counted."""
        result, calls = record(subject, visit.device)
        seen = [traffic(call.memory) for call in calls]
        warnings = ["not every call allocates the same"] if len(set(seen)) > 1 else []
        conditions: dict[str, Scalar] = {"scalar_bytes": seen[-1].scalars, "blocks": seen[-1].blocks}
        metrics = {
            "allocated_bytes": [one.allocated for one in seen],
            "peak_bytes": [one.peak for one in seen],
            "left_bytes": [one.left for one in seen],
        }
        return result, [
            Observation(metric, "B", METHOD, [float(value) for value in values], 1, conditions, warnings)
            for metric, values in metrics.items()
        ]
