from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from torchgauge.measure import nvml
from torchgauge.measure.reasons import Reasons, Unknown

UUID = "8d1c9a52-0000-1111-2222-333344445555"


class NVMLError(Exception):
    """As in pynvml: the text says what went wrong."""


class FakeNvml:
    """A library that knows two cards and refuses what it is told to refuse."""

    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2
    NVML_TEMPERATURE_GPU = 0
    NVMLError = NVMLError

    def __init__(
        self, fail: dict[str, Exception] | None = None, known: tuple[str, ...] = (f"GPU-{UUID}",)
    ) -> None:
        self.fail = fail or {}
        self.known = known
        self.calls: list[str] = []
        self.reasons = 0
        self.pids: list[int] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fail:
            raise self.fail[name]

    def nvmlInit(self) -> None:
        self._called("nvmlInit")

    def nvmlShutdown(self) -> None:
        self._called("nvmlShutdown")

    def nvmlSystemGetDriverVersion(self) -> str | bytes:
        self._called("nvmlSystemGetDriverVersion")
        return b"570.86.10"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self._called("nvmlDeviceGetHandleByUUID")
        if uuid not in self.known:
            raise NVMLError("Not Found")
        return f"handle of {uuid}"

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: str) -> str:
        self._called("nvmlDeviceGetDeviceHandleFromMigDeviceHandle")
        assert handle == f"handle of MIG-{UUID}"
        return f"handle of GPU-{UUID}"

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        self._ask(handle, "nvmlDeviceGetClockInfo")
        return {1: 345, 2: 3201}[kind]

    def nvmlDeviceGetMaxClockInfo(self, handle: str, kind: int) -> int:
        self._ask(handle, "nvmlDeviceGetMaxClockInfo")
        return {1: 1980, 2: 3201}[kind]

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: str) -> int:
        return self._ask(handle, "nvmlDeviceGetEnforcedPowerLimit", 700_000)

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        assert sensor == 0
        return self._ask(handle, "nvmlDeviceGetTemperature", 31)

    def nvmlDeviceGetEccMode(self, handle: str) -> list[int]:
        return self._ask(handle, "nvmlDeviceGetEccMode", [1, 0])

    def nvmlDeviceGetMaxPcieLinkGeneration(self, handle: str) -> int:
        return self._ask(handle, "nvmlDeviceGetMaxPcieLinkGeneration", 5)

    def nvmlDeviceGetMaxPcieLinkWidth(self, handle: str) -> int:
        return self._ask(handle, "nvmlDeviceGetMaxPcieLinkWidth", 16)

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        return self._ask(handle, "nvmlDeviceGetMigMode", [0, 1])

    def nvmlDeviceGetPersistenceMode(self, handle: str) -> int:
        return self._ask(handle, "nvmlDeviceGetPersistenceMode", 1)

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        return self._ask(handle, "nvmlDeviceGetPowerUsage", 412_500)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:
        return self._ask(handle, "nvmlDeviceGetCurrentClocksThrottleReasons", self.reasons)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:
        found = [SimpleNamespace(pid=pid) for pid in self.pids]
        return self._ask(handle, "nvmlDeviceGetComputeRunningProcesses", found)

    def nvmlDeviceGetCurrPcieLinkGeneration(self, handle: str) -> int:
        return self._ask(handle, "nvmlDeviceGetCurrPcieLinkGeneration", 4)

    def nvmlDeviceGetCurrPcieLinkWidth(self, handle: str) -> int:
        return self._ask(handle, "nvmlDeviceGetCurrPcieLinkWidth", 8)

    def nvmlDeviceGetPowerManagementDefaultLimit(self, handle: str) -> int:
        return self._ask(handle, "nvmlDeviceGetPowerManagementDefaultLimit", 700_000)

    def nvmlDeviceGetIndex(self, handle: str) -> int:
        return self._ask(handle, "nvmlDeviceGetIndex", 3)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        return self._ask(handle, "nvmlDeviceGetTotalEnergyConsumption", 1_234_567)

    def _ask(self, handle: str, name: str, value: Any = None) -> Any:
        assert handle == f"handle of GPU-{UUID}"
        self._called(name)
        return value


def ask(library: Any, uuid: str | None = UUID) -> tuple[dict[str, Any], dict[str, str]]:
    unknown: dict[str, str] = {}
    card = nvml.read_card(uuid, Reasons("accelerators.cuda:0", unknown), lambda: library)
    assert set(card) == set(nvml.READERS)
    assert {f"accelerators.cuda:0.{name}" for name in card if card[name] is None} == set(unknown)
    return card, {name.removeprefix("accelerators.cuda:0."): why for name, why in unknown.items()}


WHOLE = {
    "driver": "570.86.10",
    "clock_hertz": 345e6,
    "clock_max_hertz": 1980e6,
    "memory_clock_hertz": 3201e6,
    "power_limit_watts": 700.0,
    "temperature_celsius": 31.0,
    "ecc": True,
    "pcie_generation": 5,
    "pcie_width": 16,
    "mig": False,
    "persistence": True,
}


@pytest.mark.parametrize("uuid", [UUID, f"GPU-{UUID}"])
def test_a_card_is_found_by_its_uuid_and_read_whole(uuid: str) -> None:
    library = FakeNvml()
    assert ask(library, uuid) == (WHOLE, {})
    assert (library.calls[0], library.calls[-1]) == ("nvmlInit", "nvmlShutdown")


def test_a_part_of_a_card_is_read_as_the_card_that_it_is_part_of() -> None:
    library = FakeNvml(known=(f"MIG-{UUID}",))
    library.nvmlDeviceGetMigMode = lambda handle: [1, 1]  # type: ignore[method-assign]
    assert ask(library) == (WHOLE | {"mig": True}, {})


def test_nothing_is_ever_set() -> None:
    library = FakeNvml()
    ask(library)
    assert not [name for name in library.calls if "Set" in name or "Reset" in name]


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("nvmlSystemGetDriverVersion", {"driver"}),
        ("nvmlDeviceGetClockInfo", {"clock_hertz", "memory_clock_hertz"}),
        ("nvmlDeviceGetMaxClockInfo", {"clock_max_hertz"}),
        ("nvmlDeviceGetEnforcedPowerLimit", {"power_limit_watts"}),
        ("nvmlDeviceGetTemperature", {"temperature_celsius"}),
        ("nvmlDeviceGetEccMode", {"ecc"}),
        ("nvmlDeviceGetMaxPcieLinkGeneration", {"pcie_generation"}),
        ("nvmlDeviceGetMaxPcieLinkWidth", {"pcie_width"}),
        ("nvmlDeviceGetMigMode", {"mig"}),
        ("nvmlDeviceGetPersistenceMode", {"persistence"}),
    ],
)
def test_what_a_card_does_not_offer_is_none_with_a_reason_and_the_rest_is_read(
    call: str, fields: set[str]
) -> None:
    card, unknown = ask(FakeNvml({call: NVMLError("Not Supported")}))
    assert unknown == dict.fromkeys(fields, "the card or its driver does not offer it")
    assert {name: value for name, value in card.items() if name not in fields} == {
        name: value for name, value in WHOLE.items() if name not in fields
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Insufficient Permissions", "this user may not read it"),
        ("Function Not Found", "the driver is too old to tell it"),
        ("GPU is lost", "NVMLError: GPU is lost"),
    ],
)
def test_a_refusal_is_put_into_plain_words(text: str, why: str) -> None:
    assert ask(FakeNvml({"nvmlDeviceGetEccMode": NVMLError(text)}))[1] == {"ecc": why}


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (NVMLError("Driver Not Loaded"), "NVIDIA's driver is not loaded"),
        (NVMLError("NVML Shared Library Not Found"), "NVIDIA's driver is not installed (no libnvidia-ml)"),
        (OSError(5, "Input/output error"), "OSError: Input/output error"),
    ],
)
def test_without_a_driver_every_field_has_that_reason(error: Exception, why: str) -> None:
    library = FakeNvml({"nvmlInit": error})
    assert ask(library)[1] == dict.fromkeys(nvml.READERS, why)
    assert library.calls == ["nvmlInit"]


def test_without_the_package_every_field_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    unknown: dict[str, str] = {}
    nvml.read_card(UUID, Reasons("a", unknown))
    assert set(unknown.values()) == {"the package nvidia-ml-py is not installed: pip install nvidia-ml-py"}


@pytest.mark.parametrize(
    ("uuid", "why"),
    [
        (None, "torch gives no UUID to find the card by"),
        ("ffffffff", "NVIDIA's driver knows no card with the UUID that torch gives"),
    ],
)
def test_a_card_that_is_not_found_is_not_guessed_but_the_driver_is_told(uuid: str | None, why: str) -> None:
    library = FakeNvml()
    card, unknown = ask(library, uuid)
    assert card["driver"] == "570.86.10"
    assert unknown == dict.fromkeys(set(nvml.READERS) - {"driver"}, why)
    assert library.calls[-1] == "nvmlShutdown"


def test_a_library_that_fails_to_close_does_no_harm() -> None:
    assert ask(FakeNvml({"nvmlShutdown": NVMLError("Uninitialized")})) == (WHOLE, {})


def test_an_old_library_that_lacks_a_function_gives_a_reason() -> None:
    library = FakeNvml()
    library.nvmlDeviceGetMigMode = None  # type: ignore[assignment, method-assign]
    card, unknown = ask(library)
    assert card["mig"] is None
    assert list(unknown) == ["mig"]


def test_the_fake_offers_only_what_the_real_library_has() -> None:
    real = pytest.importorskip("pynvml")
    names = [name for name in dir(FakeNvml) if name.lower().startswith("nvml")]
    assert [name for name in names if not hasattr(real, name)] == []
    assert (real.NVML_CLOCK_SM, real.NVML_CLOCK_MEM, real.NVML_TEMPERATURE_GPU) == (1, 2, 0)


@pytest.mark.parametrize(
    "number",
    [
        "NOT_SUPPORTED",
        "NO_PERMISSION",
        "NOT_FOUND",
        "DRIVER_NOT_LOADED",
        "LIBRARY_NOT_FOUND",
        "FUNCTION_NOT_FOUND",
        "LIB_RM_VERSION_MISMATCH",
    ],
)
def test_the_texts_that_are_put_into_plain_words_are_the_real_librarys(number: str) -> None:
    real = pytest.importorskip("pynvml")
    error = real.NVMLError(getattr(real, f"NVML_ERROR_{number}"))
    assert ask(FakeNvml({"nvmlInit": error}))[1]["ecc"] in nvml._PLAIN.values()


# A card that is kept open


def test_a_cards_state_is_read_in_base_units() -> None:
    library = FakeNvml()
    library.reasons = 0x4 | 0x20
    assert nvml.Card(UUID, lambda: library).state() == {
        "clock_hertz": 345e6,
        "memory_clock_hertz": 3201e6,
        "power_watts": 412.5,
        "temperature_celsius": 31.0,
        "throttle_reasons": "power cap, heat (software)",
        "other_processes": 0,
        "pcie_generation": 4,
        "pcie_width": 8,
    }


@pytest.mark.parametrize(
    ("bits", "words"), [(0, "none"), (0x88, "hardware slowdown, power brake"), (0x8001, "idle, 0x8000")]
)
def test_throttle_reasons_are_words_and_an_unknown_one_is_not_lost(bits: int, words: str) -> None:
    library = FakeNvml()
    library.reasons = bits
    assert nvml.Card(UUID, lambda: library).state()["throttle_reasons"] == words


@pytest.mark.parametrize(
    ("pids", "computes", "others"),
    [
        ([], True, 0),
        ([os.getpid()], True, 0),
        ([os.getpid(), 7_777_777], True, 1),
        ([7_777_777], True, 0),  # a container: this process under its number outside
        ([7_777_777, 8_888_888], True, 1),
        ([7_777_777], False, 1),
    ],
)
def test_processes_on_the_card_are_counted_without_this_one(
    pids: list[int], computes: bool, others: int
) -> None:
    library = FakeNvml()
    library.pids = pids
    assert nvml.Card(UUID, lambda: library, computes=computes).state()["other_processes"] == others


def test_what_a_card_refuses_is_none_with_the_reason_and_not_asked_for_again() -> None:
    library = FakeNvml({"nvmlDeviceGetPowerUsage": NVMLError("Insufficient Permissions")})
    card = nvml.Card(UUID, lambda: library)
    assert [card.state()["power_watts"], card.state()["power_watts"]] == [None, None]
    assert card.refused == {"power_watts": "this user may not read it"}
    assert library.calls.count("nvmlDeviceGetPowerUsage") == 1
    assert library.calls.count("nvmlDeviceGetTemperature") == 2


@pytest.mark.parametrize(
    ("library", "uuid", "why"),
    [
        (FakeNvml({"nvmlInit": NVMLError("Driver Not Loaded")}), UUID, "NVIDIA's driver is not loaded"),
        (FakeNvml(), "ffff", "NVIDIA's driver knows no card with the UUID that torch gives"),
        (FakeNvml(), None, "torch gives no UUID to find the card by"),
    ],
)
def test_a_card_that_can_not_be_opened_says_why(library: FakeNvml, uuid: str | None, why: str) -> None:
    with pytest.raises(Unknown, match=why):
        nvml.Card(uuid, lambda: library)


def test_the_energy_counter_is_read_in_joules_or_says_why_not() -> None:
    assert nvml.Card(UUID, lambda: FakeNvml()).joules() == pytest.approx(1234.567)
    silent = FakeNvml({"nvmlDeviceGetTotalEnergyConsumption": NVMLError("Not Supported")})
    with pytest.raises(Unknown, match="does not offer it"):
        nvml.Card(UUID, lambda: silent).joules()


def test_the_default_limit_and_the_number_of_a_card_are_read_or_it_says_why_not() -> None:
    card = nvml.Card(UUID, lambda: FakeNvml())
    assert (card.default_power_watts(), card.index()) == (700.0, 3)
    silent = FakeNvml({"nvmlDeviceGetIndex": NVMLError("Not Supported")})
    with pytest.raises(Unknown, match="does not offer it"):
        nvml.Card(UUID, lambda: silent).index()


def test_the_words_for_throttle_reasons_stand_for_the_real_librarys_bits() -> None:
    real = pytest.importorskip("pynvml")
    names = [
        "GpuIdle", "ApplicationsClocksSetting", "SwPowerCap", "HwSlowdown", "SyncBoost",
        "SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown", "DisplayClockSetting",
    ]  # fmt: skip
    bits = [getattr(real, f"nvmlClocksThrottleReason{name}") for name in names]
    assert bits == list(nvml.THROTTLE_REASONS)
