"""Counters of energy: what is counted, what can't be, and windows that begin and end on a step."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeMeter, FakeNow
from torchgauge.measure import joules
from torchgauge.measure.reasons import Unknown

PACKAGE = joules.RAPL / "intel-rapl:0"
SECOND = joules.RAPL / "intel-rapl:1"


def zone(root: Path, path: Path, name: str, microjoules: int, most: int = 1000_000_000) -> None:
    (root / path).mkdir(parents=True, exist_ok=True)
    (root / path / "name").write_text(f"{name}\n")
    (root / path / "energy_uj").write_text(f"{microjoules}\n")
    (root / path / "max_energy_range_uj").write_text(f"{most}\n")


def put(root: Path, path: Path, microjoules: int) -> None:
    (root / path / "energy_uj").write_text(f"{microjoules}\n")


def test_the_packages_are_added_up_and_nothing_else(tmp_path: Path) -> None:
    zone(tmp_path, PACKAGE, "package-0", 5_000_000)
    zone(tmp_path, SECOND, "package-1", 7_000_000)
    zone(tmp_path, joules.RAPL / "intel-rapl:2", "psys", 1)
    zone(tmp_path, joules.RAPL / "intel-rapl:0:0", "core", 1)
    meter = joules.PackageMeter(tmp_path)
    assert meter.joules() == 0.0
    put(tmp_path, PACKAGE, 6_500_000)
    put(tmp_path, SECOND, 7_250_000)
    put(tmp_path, joules.RAPL / "intel-rapl:2", 10**9)
    put(tmp_path, joules.RAPL / "intel-rapl:0:0", 10**9)
    assert meter.joules() == pytest.approx(1.75)


@given(st.lists(st.integers(0, 999), min_size=1, max_size=20))
def test_a_counter_that_begins_again_is_followed(tmp_path_factory: Any, steps: list[int]) -> None:
    root = tmp_path_factory.mktemp("machine")
    zone(root, PACKAGE, "package-0", 900, most=1000)
    meter = joules.PackageMeter(root)
    counter = 900
    for step in steps:
        counter = (counter + step) % 1000
        put(root, PACKAGE, counter)
        meter.joules()
    assert meter.joules() == pytest.approx(sum(steps) * 1e-6)


def test_a_machine_without_counters_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unknown, match="no RAPL counters"):
        joules.PackageMeter(tmp_path)


def test_a_user_who_may_not_read_them_is_told_who_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone(tmp_path, PACKAGE, "package-0", 5)
    read = Path.read_text

    def guarded(self: Path, *arguments: Any, **more: Any) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read(self, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", guarded)
    with pytest.raises(Unknown, match="may not read the RAPL counters"):
        joules.PackageMeter(tmp_path)


def test_a_counter_that_disappears_is_unknown_and_no_crash(tmp_path: Path) -> None:
    zone(tmp_path, PACKAGE, "package-0", 5)
    meter = joules.PackageMeter(tmp_path)
    (tmp_path / PACKAGE / "energy_uj").unlink()
    with pytest.raises(Unknown, match="is not there"):
        meter.joules()


class Library:
    """NVIDIA's library with some cards; `refusal` is what they say when they are asked for energy."""

    def __init__(self, cards: int, refusal: str | None = None) -> None:
        self._cards = cards
        self._refusal = refusal

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return self._cards

    def nvmlDeviceGetHandleByIndex(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(index=index)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> SimpleNamespace:
        return SimpleNamespace(index=uuid)

    def nvmlDeviceGetTotalEnergyConsumption(self, card: SimpleNamespace) -> int:
        if self._refusal is not None:
            raise RuntimeError(self._refusal)
        return 2500


def no_library() -> Any:
    raise Unknown("the package nvidia-ml-py is not installed")


@pytest.mark.parametrize(
    ("library", "why"),
    [
        (no_library, "NVIDIA: the package nvidia-ml-py is not installed"),
        (lambda: Library(0), "NVIDIA: there is no card"),
        (lambda: Library(1, "Not Supported"), "NVIDIA: the card or its driver does not offer it"),
    ],
)
def test_what_the_whole_machine_lacks_names_both_counters(tmp_path: Path, library: Any, why: str) -> None:
    found = joules.lacking(tmp_path, library)
    assert found is not None
    assert found.startswith("CPU: the kernel offers no RAPL counters")
    assert found.endswith(why)


def test_one_counter_is_enough(tmp_path: Path) -> None:
    assert joules.lacking(tmp_path, lambda: Library(1)) is None
    zone(tmp_path, PACKAGE, "package-0", 5)
    assert joules.lacking(tmp_path, no_library) is None


def test_each_device_has_its_own_counter_or_a_reason(tmp_path: Path) -> None:
    zone(tmp_path, PACKAGE, "package-0", 5)

    def open_(device: str, library: Any = lambda: Library(1)) -> joules.Meter:
        return joules.meter(device, lambda name: "8d1c", root=tmp_path, library=library)

    assert open_("cpu").method == "rapl-packages"
    card = open_("cuda:0")
    assert (card.method, card.joules()) == ("nvml-energy-counter", 2.5)
    with pytest.raises(Unknown, match="does not offer it"):
        open_("cuda:0", lambda: Library(1, "Not Supported"))
    with pytest.raises(Unknown, match="no counter of energy is known for mps"):
        open_("mps:0")


def test_a_window_lasts_from_one_step_of_the_counter_to_another() -> None:
    now = FakeNow()
    now.advance(0.037)
    meter = FakeMeter(now, idle_watts=50.0)
    seen = joules.window(meter, meter.call(seconds=0.01, joules=2.0), 1.0, lambda: now.seconds, now.advance)
    assert seen.seconds == pytest.approx(1.1, abs=0.01)
    assert seen.runs == 100
    assert seen.joules == pytest.approx(50.0 * 1.1 + 2.0 * 100)
    assert seen.watts == pytest.approx(seen.joules / seen.seconds)


def test_a_counter_that_stands_still_is_no_zero() -> None:
    now = FakeNow()
    meter = SimpleNamespace(joules=lambda: 7.0, method="fake")
    with pytest.raises(Unknown, match="stood still"):
        joules.window(meter, lambda: None, 1.0, lambda: now.seconds, now.advance)
    assert now.seconds < 1.0
