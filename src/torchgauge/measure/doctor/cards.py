"""Asks NVIDIA's library for what the checks of a card look at; whatever it refuses is a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from torchgauge.measure import device, nvml
from torchgauge.measure.doctor.card import CardFacts
from torchgauge.measure.doctor.kernel import Kernel
from torchgauge.measure.reasons import Unknown, reason
from torchgauge.record.schema import Accelerator, Environment

BUSY_SECONDS = 0.2
"""How long a card is kept at work while it is asked: answers take milliseconds."""

T = TypeVar("T")


def open_cards(
    devices: Sequence[str],
    library: Callable[[], nvml.Library],
    describe: Callable[[str], device.DeviceFacts] = device.describe,
) -> tuple[dict[str, nvml.Card], dict[str, str]]:
    """Open the NVIDIA cards among the devices.

    Returns:
        The cards by device, and the reasons of those that can't be asked.

    """
    cards: dict[str, nvml.Card] = {}
    refused: dict[str, str] = {}
    for name in devices:
        if name.startswith("cuda"):
            try:
                cards[name] = nvml.Card(describe(name).uuid, library)
            except Exception as error:
                refused[name] = reason(error)
    return cards, refused


def read(
    accelerator: Accelerator,
    environment: Environment,
    card: nvml.Card | None,
    refused: str | None,
    kernel: Kernel,
    *,
    is_admin: bool,
    occupy: Callable[[str, float], None] = device.occupy,
) -> CardFacts:
    """Read one card while it works.

    Args:
        accelerator: the card as the Environment has it.
        environment: for its reasons.
        card: to be asked; None where it can't be, and `refused` then says why.
        refused: the reason.
        kernel: tells who may profile.
        is_admin: whether this user may do all.
        occupy: gives a device work for some seconds, and returns at once.

    """
    name = accelerator.device
    if card is None:
        why = {"": refused} if refused else {}
        return CardFacts(
            accelerator,
            environment.unknown,
            refused=why,
            profiling_for_admins=kernel.profiling_for_admins,
            is_admin=is_admin,
        )
    reasons: dict[str, str] = {}
    try:
        occupy(name, BUSY_SECONDS)
    except Exception as error:  # a card whose memory others have taken
        busy = f"the card could not be given work to look at it: {reason(error)}"
        state = dict.fromkeys(card.state())
        reasons.update(dict.fromkeys(state, busy))
    else:
        state = card.state()

    def ask(field: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except Unknown as error:
            reasons[field] = str(error)
            return None

    return CardFacts(
        accelerator,
        environment.unknown,
        state=state,
        index=ask("index", card.index),
        default_power_watts=ask("default_power_watts", card.default_power_watts),
        counts_energy=None if ask("joules", card.joules) is None else True,
        profiling_for_admins=kernel.profiling_for_admins,
        is_admin=is_admin,
        refused=card.refused | reasons,
    )
