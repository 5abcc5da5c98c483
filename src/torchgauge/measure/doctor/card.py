"""Checks of an NVIDIA card. Its state is read while it works: at rest its clocks and its link slow down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torchgauge.measure.conditions import BRAKES
from torchgauge.measure.doctor.findings import Finding, good, note, poor, unknown
from torchgauge.record.schema import Accelerator
from torchgauge.units import significant

_HARMLESS = ("none", "idle")


@dataclass(frozen=True)
class CardFacts:
    """What the checks of a card look at."""

    card: Accelerator
    unknown: Mapping[str, str]
    """The Environment's, by dotted name."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """`nvml.Card.state`, read under load; empty where the card can't be asked."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why a field of the state is None."""
    index: int | None = None
    """NVIDIA's own number of the card, which nvidia-smi takes; torch's may differ."""
    default_power_watts: float | None = None
    counts_energy: bool | None = None
    profiling_for_admins: bool | None = None
    is_admin: bool = False


def library(facts: CardFacts) -> Finding:
    """Whether NVIDIA's management library answers."""
    if facts.card.driver is not None:
        return good(_name(facts, "driver"), facts.card.driver)
    reason, _, cure = _why(facts, "driver").partition(": ")
    return note(_name(facts, "driver"), f"the card can't be asked: {reason}", cure or None)


def persistence(facts: CardFacts) -> Finding:
    """Whether the driver stays loaded between processes."""
    if facts.card.persistence is None:
        return _unknown(facts, "persistence")
    if facts.card.persistence:
        return good(_name(facts, "persistence"), "on")
    return note(_name(facts, "persistence"), "off: the card starts anew", f"sudo nvidia-smi{_i(facts)} -pm 1")


def ecc(facts: CardFacts) -> Finding:
    """Whether the memory corrects errors, which costs some of its speed on older cards."""
    if facts.card.ecc is None:
        return _unknown(facts, "ecc")
    return good(_name(facts, "ecc"), "on" if facts.card.ecc else "off")


def mig(facts: CardFacts) -> Finding:
    """Whether the card is cut into parts."""
    if facts.card.mig is None:
        return _unknown(facts, "mig")
    if not facts.card.mig:
        return good(_name(facts, "mig"), "off")
    return note(_name(facts, "mig"), "on: clocks, power and what neighbours do are the whole card's")


def throttle(facts: CardFacts) -> Finding:
    """Whether something holds the clocks down under load."""
    text = facts.state.get("throttle_reasons")
    if text is None:
        return _unknown(facts, "throttle_reasons", "clocks")
    reasons = [word for word in text.split(", ") if word not in _HARMLESS]
    what = _name(facts, "clocks")
    if any(word in BRAKES for word in reasons):
        return poor(what, f"held down: {', '.join(reasons)}", "cool the card, look at its power supply")
    if "set clocks" in reasons:
        return note(what, f"held down: {', '.join(reasons)}", f"sudo nvidia-smi{_i(facts)} -rac -rgc")
    if reasons:
        return note(what, f"held down: {', '.join(reasons)}")
    return good(what, "free")


def power(facts: CardFacts) -> Finding:
    """Whether the card may take the power that it is sold with."""
    limit, default = facts.card.power_limit_watts, facts.default_power_watts
    if limit is None:
        return _unknown(facts, "power_limit_watts", "power limit")
    what, text = _name(facts, "power limit"), f"{significant(limit)} W"
    if default is None or limit >= 0.99 * default:
        return good(what, text)
    command = f"sudo nvidia-smi{_i(facts)} -pl {default:.0f}"
    return note(what, f"{text}, below the card's {significant(default)} W", command)


def link(facts: CardFacts) -> Finding:
    """Whether the PCIe link runs as it can, under load."""
    generation, width = facts.state.get("pcie_generation"), facts.state.get("pcie_width")
    most = facts.card.pcie_generation, facts.card.pcie_width
    if generation is None or most[0] is None:
        return _unknown(facts, "pcie_generation", "PCIe link")
    if width is None or most[1] is None:
        return _unknown(facts, "pcie_width", "PCIe link")
    what, text = _name(facts, "PCIe link"), f"generation {generation} x{width}"
    if generation < most[0] or width < most[1]:
        text += f" under load, generation {most[0]} x{most[1]} at the most"
        return note(what, text, "seat the card anew, or in another slot")
    return good(what, text)


def neighbours(facts: CardFacts) -> Finding:
    """Whether others compute on the card."""
    count = facts.state.get("other_processes")
    if count is None:
        return _unknown(facts, "other_processes", "others on it")
    what = _name(facts, "others on it")
    if count == 0:
        return good(what, "none")
    return note(
        what, f"{count} compute there too", "end them (nvidia-smi lists them), or choose another card"
    )


def profiler(facts: CardFacts) -> Finding:
    """Whether this user may profile the card."""
    what = _name(facts, "profiler")
    if facts.profiling_for_admins is None:
        return unknown(what, "NVIDIA's driver does not tell who may profile")
    if not facts.profiling_for_admins or facts.is_admin:
        return good(what, "permitted")
    return note(
        what,
        "only administrators may: --instruments profile may see no kernels",
        "NVreg_RestrictProfilingToAdminUsers=0 for the module nvidia in /etc/modprobe.d, and restart",
    )


def energy(facts: CardFacts) -> Finding:
    """Whether the card counts the energy it takes."""
    if facts.counts_energy is None:
        return unknown(_name(facts, "energy"), _why(facts, "joules"))
    return good(_name(facts, "energy"), "counted")


CHECKS: tuple[Callable[[CardFacts], Finding], ...] = (
    library, throttle, neighbours, power, link, persistence, ecc, mig, profiler, energy,
)  # fmt: skip


def _i(facts: CardFacts) -> str:
    return "" if facts.index is None else f" -i {facts.index}"


def _name(facts: CardFacts, what: str) -> str:
    return f"{facts.card.device} {what}"


def _why(facts: CardFacts, field: str) -> str:
    known = facts.refused.get(field) or facts.unknown.get(f"accelerators.{facts.card.device}.{field}")
    return known or facts.refused.get("") or "the card does not tell"


def _unknown(facts: CardFacts, field: str, what: str | None = None) -> Finding:
    return unknown(_name(facts, what or field), _why(facts, field))
