"""What NVIDIA's management library tells of a card. It is only ever read: no setting is changed.

A card is found by its UUID: the library's own numbers follow the bus and ignore CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any

from torchgauge.measure.reasons import Reasons, Unknown, reason

Library = Any
"""The module `pynvml` of the package nvidia-ml-py, or a fake of it."""

_PLAIN = {
    "Not Supported": "the card or its driver does not offer it",
    "Function Not Found": "the driver is too old to tell it",
    "Insufficient Permissions": "this user may not read it",
    "Not Found": "NVIDIA's driver knows no card with the UUID that torch gives",
    "Driver Not Loaded": "NVIDIA's driver is not loaded",
    "NVML Shared Library Not Found": "NVIDIA's driver is not installed (no libnvidia-ml)",
    "RM has detected an NVML/RM version mismatch.": "NVIDIA's driver was updated: restart the machine",
}

# PCIe: the most that this card and its slot can do. What the link runs at now means nothing: it is
# slowed down while it rests.
READERS: dict[str, Callable[[Library, Any], Any]] = {
    "driver": lambda nvml, _: _string(nvml.nvmlSystemGetDriverVersion()),
    "clock_hertz": lambda nvml, card: nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_SM) * 1e6,
    "clock_max_hertz": lambda nvml, card: nvml.nvmlDeviceGetMaxClockInfo(card, nvml.NVML_CLOCK_SM) * 1e6,
    "memory_clock_hertz": lambda nvml, card: nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_MEM) * 1e6,
    "power_limit_watts": lambda nvml, card: nvml.nvmlDeviceGetEnforcedPowerLimit(card) * 1e-3,
    "temperature_celsius": lambda nvml, card: float(
        nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU)
    ),
    "ecc": lambda nvml, card: bool(nvml.nvmlDeviceGetEccMode(card)[0]),
    "pcie_generation": lambda nvml, card: nvml.nvmlDeviceGetMaxPcieLinkGeneration(card),
    "pcie_width": lambda nvml, card: nvml.nvmlDeviceGetMaxPcieLinkWidth(card),
    "mig": lambda nvml, card: bool(nvml.nvmlDeviceGetMigMode(card)[0]),
    "persistence": lambda nvml, card: bool(nvml.nvmlDeviceGetPersistenceMode(card)),
}

# Why a card's clocks are not higher, bit by bit (nvmlClocksEventReasons of NVML's reference).
THROTTLE_REASONS = {
    0x001: "idle",
    0x002: "set clocks",
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "heat (software)",
    0x040: "heat (hardware)",
    0x080: "power brake",
    0x100: "display clocks",
}

STATE: dict[str, Callable[[Library, Any], Any]] = {
    "clock_hertz": READERS["clock_hertz"],
    "memory_clock_hertz": READERS["memory_clock_hertz"],
    "power_watts": lambda nvml, card: nvml.nvmlDeviceGetPowerUsage(card) * 1e-3,
    "temperature_celsius": READERS["temperature_celsius"],
    "throttle_reasons": lambda nvml, card: _reasons(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(card)),
    "pcie_generation": lambda nvml, card: nvml.nvmlDeviceGetCurrPcieLinkGeneration(card),
    "pcie_width": lambda nvml, card: nvml.nvmlDeviceGetCurrPcieLinkWidth(card),
}
"""What a card does at this moment; `power_watts` is an average over up to a second on recent cards."""


def load() -> Library:
    """Import the library's Python side."""
    try:
        import pynvml
    except ImportError:
        raise Unknown("the package nvidia-ml-py is not installed: pip install nvidia-ml-py") from None
    return pynvml


def read_card(uuid: str | None, reasons: Reasons, library: Callable[[], Library] = load) -> dict[str, Any]:
    """Read a card's state and settings; what it does not tell is None with a reason.

    Args:
        uuid: as torch gives it, with or without NVML's "GPU-" before it; None where torch gives none.
        reasons: takes the reasons.
        library: gives the module to ask.

    """
    try:
        nvml = library()
        nvml.nvmlInit()
    except Exception as error:
        return reasons.miss(READERS, plainly(error))
    try:
        card = _find(nvml, uuid)
    except Exception as error:
        why = plainly(error)
        rest = [field for field in READERS if field != "driver"]
        return {"driver": _ask(nvml, None, "driver", reasons), **reasons.miss(rest, why)}
    else:
        return {field: _ask(nvml, card, field, reasons) for field in READERS}
    finally:
        with contextlib.suppress(Exception):
            nvml.nvmlShutdown()


class Card:
    """One card, kept open, so that it can be asked again and again.

    Args:
        uuid: as torch gives it; None where torch gives none.
        library: gives the module to ask.
        computes: whether this process itself computes on the card.

    Raises:
        Unknown: there is no library, no driver, or no such card.

    """

    def __init__(
        self, uuid: str | None, library: Callable[[], Library] = load, *, computes: bool = True
    ) -> None:
        try:
            self._nvml = library()
            self._nvml.nvmlInit()
            self._card = _find(self._nvml, uuid)
        except Exception as error:
            raise Unknown(plainly(error)) from None
        self.refused: dict[str, str] = {}
        """Why a field of `state` is None; it is not asked for again."""
        self._computes = computes

    def state(self) -> dict[str, Any]:
        """Read all of `STATE` and `other_processes`, how many others compute on the card."""
        found = {field: self._read(field, read) for field, read in STATE.items()}
        return found | {"other_processes": self._read("other_processes", self._others)}

    def _others(self, nvml: Library, card: Any) -> int:
        return _others(nvml.nvmlDeviceGetComputeRunningProcesses(card), computes=self._computes)

    def _read(self, field: str, read: Callable[[Library, Any], Any]) -> Any:
        if field not in self.refused:
            try:
                return read(self._nvml, self._card)
            except Exception as error:
                self.refused[field] = plainly(error)
        return None

    def joules(self) -> float:
        """Give the energy that the card has taken since its driver was loaded.

        The counter steps about every 100 ms, in millijoules.

        Raises:
            Unknown: the card does not count it.

        """
        return self._number("nvmlDeviceGetTotalEnergyConsumption") * 1e-3

    def default_power_watts(self) -> float:
        """Give the power limit that the card is sold with.

        Raises:
            Unknown: the card does not tell.

        """
        return self._number("nvmlDeviceGetPowerManagementDefaultLimit") * 1e-3

    def index(self) -> int:
        """Give the library's own number of the card, which nvidia-smi takes with -i; torch's may differ.

        Raises:
            Unknown: the library does not tell.

        """
        return int(self._number("nvmlDeviceGetIndex"))

    def _number(self, function: str) -> float:
        try:
            return float(getattr(self._nvml, function)(self._card))
        except Exception as error:
            raise Unknown(plainly(error)) from None


def _reasons(bits: int) -> str:
    """Put a mask of throttle reasons into words; "none" where nothing holds the clocks down."""
    known = [word for bit, word in THROTTLE_REASONS.items() if bits & bit]
    rest = bits & ~sum(THROTTLE_REASONS)
    return ", ".join(known + [f"{rest:#x}"] * bool(rest)) or "none"


def _others(processes: Sequence[Any], *, computes: bool) -> int:
    """Count the processes that compute on the card and are not this one.

    In a container the library gives the numbers that processes have outside of it: then this one is
    not known by its own, and is taken for one of them where it computes.
    """
    known = any(process.pid == os.getpid() for process in processes)
    return max(0, len(processes) - (known or computes))


def _find(nvml: Library, uuid: str | None) -> Any:
    if uuid is None:
        raise Unknown("torch gives no UUID to find the card by")
    plain = bare(uuid)
    try:
        return nvml.nvmlDeviceGetHandleByUUID(f"GPU-{plain}")
    except nvml.NVMLError:
        part = nvml.nvmlDeviceGetHandleByUUID(f"MIG-{plain}")
        return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part)  # clocks and power are the card's


def bare(uuid: str) -> str:
    """Give a UUID without the prefix that NVML and some torch versions put before it."""
    return uuid.removeprefix("GPU-").removeprefix("MIG-")


def _ask(nvml: Library, card: Any, field: str, reasons: Reasons) -> Any:
    def read() -> Any:
        try:
            return READERS[field](nvml, card)
        except nvml.NVMLError as error:
            raise Unknown(plainly(error)) from None

    return reasons.find(field, read)


def plainly(error: Exception) -> str:
    """Say in plain words what the library refused."""
    return _PLAIN.get(str(error)) or reason(error)


def _string(text: str | bytes) -> str:
    return text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text
