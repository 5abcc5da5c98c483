"""What two snapshots say of the time between them: its conditions, and whether they were too poor."""

from __future__ import annotations

from collections.abc import Mapping

from torchgauge.measure.telemetry import Snapshot
from torchgauge.record.schema import Scalar

STEAL_SHARE, STOLEN_SECONDS = 0.10, 0.05
WAITING_SHARE = 0.60
STALLED_SHARE, STALLED_SECONDS = 0.10, 0.01
BRAKES = ("hardware slowdown", "heat (software)", "heat (hardware)", "power brake")
"""Throttle reasons that make conditions poor. A power cap is none: it is how a card runs under sustained
load, and trying again at once would meet it again. It stands in the conditions."""


def conditions(before: Snapshot, after: Snapshot) -> dict[str, Scalar]:
    """Give what held between two snapshots; None where it is not known. Cards are as they were after."""
    watched = after.at - before.at
    waited = _difference(before, after, "waited_seconds")
    found: dict[str, Scalar] = {
        "watched_seconds": watched,
        "thread_running_share": _share(after.thread_seconds - before.thread_seconds, watched),
        "thread_waiting_share": None if waited is None else _share(waited, watched),
    }
    for name in (
        "voluntary_switches", "involuntary_switches", "stolen_seconds", "throttled_periods",
        "throttled_seconds", "cpu_stalled_seconds", "memory_stalled_seconds",
    ):  # fmt: skip
        found[name] = _difference(before, after, name)
    found["steal_share"] = _steal_share(before, after)
    found["load_1min"] = after.load_1min
    found["runnable_tasks"] = after.runnable_tasks
    found["cpu_frequency_hertz"] = after.frequency_hertz
    return found | {f"card_{name}": value for name, value in after.card.items()}


_OWN_NAMES = {
    "busy_seconds": "steal_share",
    "waited_seconds": "thread_waiting_share",
    "frequency_hertz": "cpu_frequency_hertz",
}
"""Fields of a snapshot that are no condition, and the condition that is worked out from them."""


def missing(lacks: Mapping[str, str]) -> dict[str, str]:
    """Give the conditions that are always None where snapshots lack these fields, with the reasons."""
    found = {name: why for name, why in lacks.items() if name not in _OWN_NAMES}
    return found | {name: lacks[field] for field, name in _OWN_NAMES.items() if field in lacks}


def poor(before: Snapshot, after: Snapshot, *, in_turns: bool = False) -> str | None:
    """Say why the conditions between two snapshots were too poor to trust a time, None if they were not.

    Poor is: the CPU quota of a control group was used up; the hypervisor stole over 10 % of the time in
    which the cores had work, and 50 ms at the least (the kernel counts in steps of 10 ms); the thread
    that times waited for a core for over 60 % of the time; tasks waited for memory for over 10 % of the
    time, and 10 ms at the least; the card was braked by heat or by its power supply at either end;
    another process computes on the card.

    A block lasts about 1 ms and a turn on a core several, so a fast end of undisturbed blocks is left
    in a visit that has a core for half of the time: docs/method.md has the figures behind the 60 %. How
    often the thread was taken off its core told nothing there, and is only stored.

    With `in_turns`, where another side was measured alternately, stolen time is not poor: it falls on both.
    """
    watched = after.at - before.at
    periods = _difference(before, after, "throttled_periods")
    if periods:
        return f"throttled: the control group's CPU quota was used up in {periods:.0f} periods"
    stolen = None if in_turns else _difference(before, after, "stolen_seconds")
    share = _steal_share(before, after)
    if stolen is not None and share is not None and stolen >= STOLEN_SECONDS and share > STEAL_SHARE:
        return f"stolen: the hypervisor took {share:.0%} of the cores' time"
    waited = _difference(before, after, "waited_seconds")
    if waited is not None and waited > WAITING_SHARE * watched:
        return f"crowded: the thread waited for a core {waited / watched:.0%} of the time"
    stalled = _difference(before, after, "memory_stalled_seconds")
    if stalled is not None and stalled >= STALLED_SECONDS and stalled > STALLED_SHARE * watched:
        return f"short of memory: tasks waited for it {stalled / watched:.0%} of the time"
    for one in (before, after):
        braked = [word for word in str(one.card.get("throttle_reasons")).split(", ") if word in BRAKES]
        if braked:
            return f"the card was slowed down: {', '.join(braked)}"
    others = max((one.card.get("other_processes") or 0 for one in (before, after)), default=0)
    if others:
        return f"the card was shared: other processes compute on it ({others})"
    return None


def _difference(before: Snapshot, after: Snapshot, name: str) -> float | None:
    first, last = getattr(before, name), getattr(after, name)
    return None if first is None or last is None else last - first


def _steal_share(before: Snapshot, after: Snapshot) -> float | None:
    """Give the stolen part of the time in which the cores had something to run; None if they had nothing."""
    stolen = _difference(before, after, "stolen_seconds")
    busy = _difference(before, after, "busy_seconds")
    return None if stolen is None or busy is None else _share(stolen, stolen + busy)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
