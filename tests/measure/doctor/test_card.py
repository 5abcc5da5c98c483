"""The checks of a card, each both ways, and how it is asked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import synthetic
from torchgauge.measure.device import DeviceFacts
from torchgauge.measure.doctor import card, cards
from torchgauge.measure.doctor.card import CardFacts
from torchgauge.measure.doctor.kernel import read_kernel
from torchgauge.measure.reasons import Unknown

ENVIRONMENT = synthetic.header(["cpu", "cuda:0"]).environment
CARD = ENVIRONMENT.accelerators[0]
STATE = {"throttle_reasons": "none", "pcie_generation": 5, "pcie_width": 16, "other_processes": 0}


def healthy(
    changed: dict[str, Any] | None = None, state: dict[str, Any] | None = None, **others: Any
) -> CardFacts:
    facts: dict[str, Any] = {
        "card": msgspec.structs.replace(CARD, **(changed or {})),
        "unknown": {"accelerators.cuda:0.persistence": "not offered"},
        "state": STATE | (state or {}),
        "index": 3,
        "default_power_watts": 700.0,
        "counts_energy": True,
        "profiling_for_admins": False,
    }
    return CardFacts(**(facts | others))


def test_a_healthy_card_has_nothing_to_mend() -> None:
    found = [check(healthy()) for check in card.CHECKS]
    assert {one.level for one in found} == {"good"}
    assert all(one.what.startswith("cuda:0 ") for one in found)
    assert len({one.what for one in found}) == len(card.CHECKS)


@pytest.mark.parametrize(
    ("check", "facts", "level", "told"),
    [
        (card.persistence, {"changed": {"persistence": False}}, "note", "sudo nvidia-smi -i 3 -pm 1"),
        (card.persistence, {"changed": {"persistence": False}, "index": None}, "note", "nvidia-smi -pm 1"),
        (card.persistence, {"changed": {"persistence": None}}, "unknown", "not offered"),
        (card.ecc, {"changed": {"ecc": False}}, "good", "off"),
        (card.ecc, {"changed": {"ecc": None}}, "unknown", "does not tell"),
        (card.mig, {"changed": {"mig": True}}, "note", "on"),
        (card.mig, {"changed": {"mig": None}}, "unknown", "does not tell"),
        (card.throttle, {"state": {"throttle_reasons": "idle"}}, "good", "free"),
        (card.throttle, {"state": {"throttle_reasons": "power cap"}}, "note", "power cap"),
        (card.throttle, {"state": {"throttle_reasons": "set clocks"}}, "note", "-rgc"),
        (card.throttle, {"state": {"throttle_reasons": "power cap, heat (hardware)"}}, "poor", "heat"),
        (card.throttle, {"state": {"throttle_reasons": "hardware slowdown"}}, "poor", "cool"),
        (card.throttle, {"state": {"throttle_reasons": None}}, "unknown", "does not tell"),
        (card.power, {"changed": {"power_limit_watts": 500.0}}, "note", "sudo nvidia-smi -i 3 -pl 700"),
        (card.power, {"default_power_watts": None}, "good", "700 W"),
        (card.power, {"changed": {"power_limit_watts": None}}, "unknown", "does not tell"),
        (card.link, {"state": {"pcie_width": 8}}, "note", "generation 5 x8 under load, generation 5 x16"),
        (card.link, {"state": {"pcie_generation": 3}}, "note", "another slot"),
        (card.link, {"state": {"pcie_generation": None}}, "unknown", "does not tell"),
        (card.link, {"changed": {"pcie_width": None}}, "unknown", "does not tell"),
        (card.neighbours, {"state": {"other_processes": 2}}, "note", "2 compute"),
        (card.neighbours, {"state": {"other_processes": None}}, "unknown", "does not tell"),
        (card.profiler, {"profiling_for_admins": True}, "note", "NVreg_RestrictProfilingToAdminUsers=0"),
        (card.profiler, {"profiling_for_admins": True, "is_admin": True}, "good", "permitted"),
        (card.profiler, {"profiling_for_admins": None}, "unknown", "does not tell"),
        (card.energy, {"counts_energy": None, "refused": {"joules": "too old"}}, "unknown", "too old"),
        (
            card.library,
            {"changed": {"driver": None}, "unknown": {"accelerators.cuda:0.driver": "none: pip install it"}},
            "note",
            "pip install it",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_level(
    check: Any, facts: dict[str, Any], level: str, told: str
) -> None:
    found = check(healthy(**facts))
    assert found.level == level
    assert told in f"{found.value} {found.cure}"


class FakeCard:
    def __init__(self) -> None:
        self.refused = {"power_watts": "not offered"}
        self.log: list[str] = []

    def state(self) -> dict[str, Any]:
        self.log.append("state")
        return dict(STATE)

    def joules(self) -> float:
        return 1.0

    def index(self) -> int:
        return 0

    def default_power_watts(self) -> float:
        raise Unknown("the card does not offer it")


def ask(one: Any, occupy: Any, refused: str | None = None) -> CardFacts:
    kernel = read_kernel()
    return cards.read(CARD, ENVIRONMENT, one, refused, kernel, is_admin=False, occupy=occupy)


def test_a_card_is_asked_while_it_works_and_what_it_refuses_is_none() -> None:
    one = FakeCard()
    facts = ask(one, lambda *_: one.log.append("work"))
    assert one.log == ["work", "state"]
    assert (facts.index, facts.default_power_watts, facts.counts_energy) == (0, None, True)
    assert facts.refused["default_power_watts"] == "the card does not offer it"
    assert facts.state == STATE


def test_a_card_that_can_be_given_no_work_tells_nothing_of_its_state() -> None:
    def full(*_: object) -> None:
        raise RuntimeError("CUDA out of memory")

    facts = ask(FakeCard(), full)
    for check in (card.throttle, card.link, card.neighbours):
        found = check(facts)
        assert (found.level, "out of memory" in found.value) == ("unknown", True)


def test_a_card_without_its_library_has_findings_all_the_same() -> None:
    def missing() -> Any:
        raise Unknown("the package nvidia-ml-py is not installed: pip install nvidia-ml-py")

    facts = DeviceFacts("Example", "GPU-1", None, None, None)
    opened, refused = cards.open_cards(["cpu", "cuda:0"], missing, lambda _: facts)
    assert opened == {}
    found = [check(ask(None, None, refused["cuda:0"])) for check in card.CHECKS]
    assert [one.level for one in found if one.what == "cuda:0 clocks"] == ["unknown"]
    assert any("pip install nvidia-ml-py" in one.value for one in found)
