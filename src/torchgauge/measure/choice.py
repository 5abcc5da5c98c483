"""The instruments by name, and where they can't look."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torchgauge.measure.instruments import Instrument


def by_name(name: str) -> Callable[[], Instrument]:
    """Give the maker of an instrument; imports its module only now.

    Raises:
        KeyError: there is no such instrument.

    """
    if name == "time":
        from torchgauge.measure.instruments.time import Time

        return Time
    if name == "memory":
        from torchgauge.measure.instruments.memory import Memory

        return Memory
    if name == "profile":
        from torchgauge.measure.instruments.profile import Profile

        return Profile
    if name == "instructions":
        from torchgauge.measure.instruments.instructions import Instructions

        return Instructions
    if name == "energy":
        from torchgauge.measure.instruments.energy import Energy

        return Energy
    raise KeyError(name)


def lacking(name: str, devices: Sequence[str]) -> dict[str, str]:
    """Give the devices that an instrument can't look at on this machine, with the reasons."""
    if name == "instructions":
        from torchgauge.measure.valgrind import lacking as lacking_for

        return {device: reason for device in devices if (reason := lacking_for(device))}
    if name == "energy":
        from torchgauge.measure.instruments.energy import lacks

        return lacks(devices)
    return {}
