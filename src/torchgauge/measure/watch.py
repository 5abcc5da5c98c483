"""Watching over a visit: a snapshot before its blocks and one after; poor conditions are tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from torchgauge.measure.conditions import conditions, poor
from torchgauge.measure.device import DeviceFacts
from torchgauge.measure.nvml import Card, Library, load
from torchgauge.measure.reasons import reason
from torchgauge.measure.telemetry import Snapshot
from torchgauge.record.schema import Scalar

T = TypeVar("T")

MOST_TRIES = 3


@dataclass(frozen=True)
class Watched(Generic[T]):
    """What was taken in the end, the conditions that it was taken under, and what its reader must know."""

    taken: T
    conditions: dict[str, Scalar]
    warnings: list[str]


def watched(
    take: Callable[[], T],
    look: Callable[[], Snapshot],
    retry_seconds: float,
    now: Callable[[], float] = time.perf_counter,
) -> Watched[T]:
    """Take something between two snapshots; where the conditions were poor, again, at most 3 times in all.

    Only the conditions decide, never what was taken: to choose among values would bend them. The last
    try is the one that is kept, and marked if its conditions were poor too.

    Args:
        take: takes it, anew each time.
        look: takes a snapshot.
        retry_seconds: what there is for further tries; one is made if it fits, by the length of the last.
        now: a clock in seconds.

    """
    given_up: list[str] = []
    spent = 0.0
    while True:
        begin = now()
        before = look()
        taken = take()
        after = look()
        took = now() - begin
        why = poor(before, after)
        if why is None or len(given_up) + 1 >= MOST_TRIES or spent + took > retry_seconds:
            break
        given_up.append(why)
        spent += took
    found = conditions(before, after) | {
        "tries": len(given_up) + 1,
        "retry_seconds": spent,
        "retry_reasons": "; ".join(dict.fromkeys(given_up)) or None,
    }
    tries = f" in all of {len(given_up) + 1} tries" if given_up else ""
    warnings = [] if why is None else [f"poor conditions{tries}: {why}"]
    return Watched(taken, found, warnings)


def open_cards(
    devices: Iterable[str],
    describe: Callable[[str], DeviceFacts],
    library: Callable[[], Library] = load,
) -> tuple[dict[str, Card], dict[str, str]]:
    """Open the NVIDIA cards among the devices; give the reasons of those that can't be asked."""
    cards, lacks = {}, {}
    for device in devices:
        if device.partition(":")[0] == "cuda":
            try:
                cards[device] = Card(describe(device).uuid, library)
            except Exception as error:
                lacks[device] = reason(error)
    return cards, lacks
