"""Which clock times a call on a device: found out once for a case, by calling it."""

from __future__ import annotations

from dataclasses import dataclass

from torchgauge.measure import device
from torchgauge.measure.clock import Block, Clock, EventClock
from torchgauge.measure.subject import Subject, nothing

MOST_CALLS, LEAST_WORK = 64, 200e-9
"""A device has work to do for a call if up to so many keep it busy for more than this each, and once more.
The least kernel takes about 1 µs; a call that queues nothing does not move two events apart."""
TRIES = 7
"""Blocks that may starve: meanwhile the clock finds out how long it must sleep before them."""


@dataclass(frozen=True)
class Choice:
    """A clock, and what was found out about the call."""

    clock: Clock
    synchronizes: bool = False
    """Whether the call makes the host wait for the device."""
    idle: bool = False
    """Whether the device has nothing to do for it."""


def choose(subject: Subject, place: str, host: Clock) -> Choice:
    """Choose the clock of a call.

    Events time what a device does. They would see nothing of a call that queues no work (a view, `empty`),
    and of one that waits for the device only the wait: the host's clock times both, with a synchronization
    before and after each block.

    Args:
        subject: the call; it has been made before.
        place: a torch device string.
        host: the clock for a CPU.

    """
    if place == "cpu":
        return Choice(host)
    if device.synchronizes(place, subject.call()):
        return Choice(device.clock(place, events=False), synchronizes=True)
    clock = device.clock(place, events=True)
    if isinstance(clock, EventClock) and _is_idle(clock, subject):
        return Choice(device.clock(place, events=False), idle=True)
    return Choice(clock)


def _is_idle(clock: EventClock, subject: Subject) -> bool:
    """Whether the device has nothing to do for the call; False, too, where the host is too slow to tell."""
    one = _fed(clock, subject, 1)
    if one is None or one.seconds > MOST_CALLS * LEAST_WORK:
        return False
    # so many that handing them over takes less than the sleep before them
    calls = max(1, min(MOST_CALLS, int(0.5 * clock.shortest_sleep / (one.submit or 1e-9))))
    seen, empty = _fed(clock, subject, calls), _fed(clock, Subject(nothing), calls)
    if seen is None or empty is None:
        return False
    return seen.seconds - empty.seconds < (calls + 1) * LEAST_WORK


def _fed(clock: EventClock, subject: Subject, calls: int) -> Block | None:
    """Time a block that the device did not have to wait for, or that kept it busy for longer than the host;
    None where it always has to.
    """
    for _ in range(TRIES):
        block = clock.time(subject.block(calls))
        if not block.starved or block.seconds > 2 * (block.submit or 0.0):
            return block
    return None
