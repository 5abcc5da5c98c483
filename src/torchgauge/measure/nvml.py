"""What NVIDIA's management library tells of a card. It is only ever read: no setting is changed.

A card is found by its UUID: the library's own numbers follow the bus and ignore CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
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
        return reasons.miss(READERS, _plainly(error))
    try:
        card = _find(nvml, uuid)
    except Exception as error:
        why = _plainly(error)
        rest = [field for field in READERS if field != "driver"]
        return {"driver": _ask(nvml, None, "driver", reasons), **reasons.miss(rest, why)}
    else:
        return {field: _ask(nvml, card, field, reasons) for field in READERS}
    finally:
        with contextlib.suppress(Exception):
            nvml.nvmlShutdown()


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
            raise Unknown(_plainly(error)) from None

    return reasons.find(field, read)


def _plainly(error: Exception) -> str:
    return _PLAIN.get(str(error)) or reason(error)


def _string(text: str | bytes) -> str:
    return text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text
