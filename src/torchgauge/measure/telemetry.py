"""The machine's state around a visit's blocks: one snapshot before them, one after, never one inside.

Their difference gives the visit's conditions (measure/conditions.py). Everything of the host is read
below `root`, so that the tests can lay out any machine as a folder. What is not there is None, and
`Telemetry.lacks` says why.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torchgauge.measure.machine import affinity, control_groups
from torchgauge.measure.nvml import Card
from torchgauge.measure.reasons import Unknown, reason

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Switches(NamedTuple):
    """How often the calling thread left its core: to wait for something, or because the scheduler took it."""

    voluntary: int
    involuntary: int


@dataclass(frozen=True)
class Snapshot:
    """One reading. Counters began with the machine or the thread: only their differences mean anything."""

    at: float
    """Seconds, of `perf_counter`."""
    thread_seconds: float
    """For how long the calling thread has run."""
    waited_seconds: float | None = None
    """For how long it could have run and was given no core."""
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    stolen_seconds: float | None = None
    """Core seconds in which the hypervisor ran something else, of the cores that this process may use."""
    busy_seconds: float | None = None
    """Core seconds in which the same cores worked, for whomever."""
    throttled_periods: int | None = None
    """Periods in which the CPU quota of the control group, or of one above, was used up."""
    throttled_seconds: float | None = None
    """For how long that stopped tasks, summed over cores."""
    cpu_stalled_seconds: float | None = None
    """In which some task of the machine waited for a core (the kernel's pressure stall information)."""
    memory_stalled_seconds: float | None = None
    """In which some task waited for memory."""
    load_1min: float | None = None
    runnable_tasks: int | None = None
    """At this moment, this thread included."""
    frequency_hertz: float | None = None
    """Of the core that the calling thread is on, at this moment."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """`nvml.Card.state`; empty where the device is no card that can be asked."""


class Telemetry:
    """Takes snapshots. Where things are is found out once, at the begin.

    Args:
        cards: by device, the cards that can be asked.
        root: where /proc and /sys are.
        cores: gives the cores that this process may use.
        switches: gives the calling thread's switches.

    """

    def __init__(
        self,
        cards: Mapping[str, Card] | None = None,
        *,
        root: Path = Path("/"),
        cores: Callable[[], Collection[int]] = affinity,
        switches: Callable[[], Switches] | None = None,
    ) -> None:
        self._cards = dict(cards or {})
        self._proc, self._cpu = root / "proc", root / "sys/devices/system/cpu"
        try:
            self._lines = {b"cpu%d" % core for core in cores()}
        except Exception:  # then all of them
            self._lines = {b"cpu"}
        self._groups: list[tuple[int, Path]] = []
        readers: dict[tuple[str, ...], Callable[[], tuple[Any, ...]]] = {
            ("voluntary_switches", "involuntary_switches"): switches or _switches,
            ("waited_seconds",): self._waited,
            ("stolen_seconds", "busy_seconds"): self._time_of_cores,
            ("throttled_periods", "throttled_seconds"): self._throttling,
            ("cpu_stalled_seconds",): lambda: self._stalled("cpu"),
            ("memory_stalled_seconds",): lambda: self._stalled("memory"),
            ("load_1min", "runnable_tasks"): self._load,
            ("frequency_hertz",): self._frequency,
        }
        self.lacks: dict[str, str] = {}
        """Why a field of a snapshot is None here, by its name."""
        self._readers = {}
        with contextlib.suppress(OSError):  # reading them says it
            self._groups = _with_quota(root)
        for names, read in readers.items():
            try:
                read()
            except Exception as error:
                self.lacks.update(dict.fromkeys(names, reason(error)))
            else:
                self._readers[names] = read

    def add(self, cards: Mapping[str, Card]) -> None:
        """Ask these cards too, each when its device is looked at."""
        self._cards.update(cards)

    def snapshot(self, device: str = "cpu") -> Snapshot:
        """Read everything once, in the thread that times. It never fails."""
        found: dict[str, Any] = {}
        for names, read in self._readers.items():
            try:
                found.update(zip(names, read(), strict=True))
            except (OSError, ValueError, IndexError, Unknown):
                continue
        card = self._cards.get(device)
        state = {} if card is None else card.state()
        return Snapshot(time.perf_counter(), time.thread_time(), card=state, **found)

    def _waited(self) -> tuple[float]:
        """Read the time on a run queue, in nanoseconds, of this thread (Linux, scheduler/sched-stats)."""
        return (int((self._proc / "thread-self/schedstat").read_bytes().split()[1]) * 1e-9,)

    def _time_of_cores(self) -> tuple[float, float]:
        """Add up /proc/stat: user nice system idle iowait irq softirq steal (proc(5)), in ticks."""
        stolen = busy = 0
        seen = False
        for line in (self._proc / "stat").read_bytes().splitlines():
            name, *numbers = line.split()
            if not name.startswith(b"cpu"):
                break
            if name in self._lines and len(numbers) >= 8:
                user, nice, system, _, _, irq, softirq, steal = map(int, numbers[:8])
                busy += user + nice + system + irq + softirq
                stolen += steal
                seen = True
        if not seen:
            raise Unknown("/proc/stat does not tell stolen time")
        return stolen / _TICKS_PER_SECOND, busy / _TICKS_PER_SECOND

    def _throttling(self) -> tuple[int, float]:
        if not self._groups:
            raise Unknown("no limit: no control group sets a quota")
        periods, seconds = 0, 0.0
        for version, path in self._groups:
            fields = dict(line.split() for line in path.read_text("ascii").splitlines())
            periods += int(fields["nr_throttled"])
            seconds += (
                int(fields["throttled_usec"]) * 1e-6 if version == 2 else int(fields["throttled_time"]) * 1e-9
            )
        return periods, seconds

    def _stalled(self, what: str) -> tuple[float]:
        """Read the total of the line "some", in microseconds (Linux, accounting/psi)."""
        line = (self._proc / "pressure" / what).read_bytes().split(b"\n", 1)[0]
        return (int(line.rpartition(b"total=")[2]) * 1e-6,)

    def _load(self) -> tuple[float, int]:
        words = (self._proc / "loadavg").read_bytes().split()
        return float(words[0]), int(words[3].partition(b"/")[0])

    def _frequency(self) -> tuple[float]:
        """Ask for the core that the thread is on: the 39th field of its stat (proc(5))."""
        core = int((self._proc / "thread-self/stat").read_bytes().rpartition(b")")[2].split()[36])
        try:
            kilohertz = (self._cpu / f"cpu{core}/cpufreq/scaling_cur_freq").read_bytes()
        except FileNotFoundError:
            raise Unknown("the kernel tells no core's frequency (usual in a virtual machine)") from None
        return (int(kilohertz) * 1e3,)


def _with_quota(root: Path) -> list[tuple[int, Path]]:
    """Find the cpu.stat of the control groups that count throttling, each with its version."""
    files = ((version, group / "cpu.stat") for version, group in control_groups(root))
    return [
        (version, file) for version, file in files if file.exists() and "nr_throttled" in file.read_text()
    ]


def _switches() -> Switches:
    """Ask for the calling thread's switches; where only the process tells (macOS), for the process's."""
    if resource is None:
        raise Unknown("this system does not count context switches")
    used = resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF))
    return Switches(used.ru_nvcsw, used.ru_nivcsw)
