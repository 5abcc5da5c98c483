"""Counters of energy: NVIDIA's for a card, RAPL's for the packages of a CPU. They are only ever read.

Both count since some begin of their own, in steps (about 100 ms on a card, about 1 ms in RAPL), so only
differences over many steps mean anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torchgauge.measure.nvml import Card, Library, load, plainly
from torchgauge.measure.reasons import Unknown, reason

RAPL = Path("sys/class/powercap")
POLL_SECONDS, MOST_WAIT = 1e-3, 0.5


class Meter(Protocol):
    """A counter of energy."""

    method: str

    def joules(self) -> float:
        """Give the energy since some begin; it never falls.

        Raises:
            Unknown: it can't be read.

        """
        ...


class CardMeter:
    """NVIDIA's counter of one whole card."""

    method = "nvml-energy-counter"

    def __init__(self, card: Card) -> None:
        self._card = card
        self.joules()

    def joules(self) -> float:
        """Give what the card has taken since its driver was loaded."""
        return self._card.joules()


class PackageMeter:
    """RAPL's counters of all packages of the CPU, cores and caches (Linux, power/powercap); no memory.

    Each counter begins again at 0 behind its range, after a quarter of an hour or more: read it more
    often than that.
    """

    method = "rapl-packages"

    def __init__(self, root: Path = Path("/")) -> None:
        zones = [zone for zone in sorted((root / RAPL).glob("intel-rapl:*")) if _is_package(zone)]
        if not zones:
            raise Unknown("the kernel offers no RAPL counters (usual in a virtual machine)")
        self._counters = [zone / "energy_uj" for zone in zones]
        try:
            self._ranges = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]
            self._last = [int(counter.read_text()) for counter in self._counters]
        except PermissionError:
            raise Unknown("this user may not read the RAPL counters: root may") from None
        except (OSError, ValueError) as error:
            raise Unknown(reason(error)) from None
        self._microjoules = 0

    def joules(self) -> float:
        """Give what the packages have taken since this was made."""
        try:
            seen = [int(counter.read_text()) for counter in self._counters]
        except (OSError, ValueError) as error:
            raise Unknown(reason(error)) from None
        for value, last, most in zip(seen, self._last, self._ranges, strict=True):
            self._microjoules += value - last if value >= last else value - last + most
        self._last = seen
        return self._microjoules * 1e-6


def meter(
    device: str,
    uuid: Callable[[str], str | None],
    *,
    root: Path = Path("/"),
    library: Callable[[], Library] = load,
) -> Meter:
    """Open the counter of a device.

    Args:
        device: a torch device string.
        uuid: gives the UUID of a card.
        root: where /sys is.
        library: gives NVIDIA's management library.

    Raises:
        Unknown: the device's energy is not counted, or this user may not know.

    """
    kind = device.partition(":")[0]
    if kind == "cpu":
        return PackageMeter(root)
    if kind == "cuda":
        return CardMeter(Card(uuid(device), library))
    raise Unknown(f"no counter of energy is known for {kind}")


def lacking(root: Path = Path("/"), library: Callable[[], Library] = load) -> str | None:
    """Say why no energy at all can be counted on this machine; None where some can. It needs no torch."""
    try:
        PackageMeter(root)
    except Unknown as error:
        why = f"CPU: {error}"
    else:
        return None
    try:
        nvml = library()
        nvml.nvmlInit()
        for index in range(nvml.nvmlDeviceGetCount()):
            nvml.nvmlDeviceGetTotalEnergyConsumption(nvml.nvmlDeviceGetHandleByIndex(index))
            return None
    except Exception as error:
        return f"{why}; NVIDIA: {plainly(error)}"
    return f"{why}; NVIDIA: there is no card"


@dataclass(frozen=True)
class Window:
    """A stretch of time between two steps of a counter."""

    seconds: float
    joules: float
    runs: int

    @property
    def watts(self) -> float:
        """The mean power."""
        return self.joules / self.seconds


def window(
    meter: Meter,
    run: Callable[[], object],
    seconds: float,
    now: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Window:
    """Run something again and again for `seconds`, from one step of the counter to another.

    Raises:
        Unknown: the counter can't be read, or stands still.

    """
    begin, first = _next_step(meter, now, sleep)
    runs = 0
    while now() - begin < seconds:
        run()
        runs += 1
    end, last = _next_step(meter, now, sleep)
    return Window(end - begin, last - first, runs)


def _next_step(meter: Meter, now: Callable[[], float], sleep: Callable[[float], None]) -> tuple[float, float]:
    """Wait for the counter's next step; give the time and what it then read."""
    before, begin = meter.joules(), now()
    while now() - begin < MOST_WAIT:
        sleep(POLL_SECONDS)
        joules = meter.joules()
        if joules > before:
            return now(), joules
    raise Unknown(f"the counter of energy stood still for {MOST_WAIT} s")


def _is_package(zone: Path) -> bool:
    try:
        return (zone / "name").read_text().startswith("package")
    except OSError:
        return False
