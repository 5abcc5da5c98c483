"""Counting a side with a real process."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import msgspec
import pytest

import synthetic
from torchgauge.errors import TorchgaugeError
from torchgauge.measure.ab import counting
from torchgauge.measure.ab.conductor import Request
from torchgauge.measure.sides import Side, Spec, prepared
from torchgauge.record import Part

BENCH = """
import torch

def bench_product(gauge):
    gauge(torch.mm, torch.ones(2, 2), torch.ones(2, 2))

def bench_wrong(gauge):
    gauge(torch.mm, torch.ones(2, 2), torch.ones(3, 3))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench_x.py").write_text(BENCH)
    return tmp_path


def test_the_operators_of_both_sides_are_counted_in_processes_of_their_own(folder: Path) -> None:
    here = Spec("here")
    with prepared(here, here, repository=folder, source=None, bench_from="head") as (side, other):
        both = counting.count({"base": side, "head": other}, Request(["bench"]), "counts", 0)
    base, head = both["base"], both["head"]
    assert [line.metric for line in base.lines] == [line.metric for line in head.lines]
    assert {line.side for line in head.lines} == {"head"}
    counted = {line.metric: line for line in base.lines}
    assert counted["operators"].parts["aten::mm"] == 1.0
    assert set(counted["operators"].values) == {sum(counted["operators"].parts.values())}
    assert counted["allocations"].parts == {"16 B": 1.0}
    assert [(one.side, one.case, one.stage) for one in base.failures] == [("base", "x/wrong[cpu]", "measure")]


def test_a_side_that_can_not_be_counted_is_told_in_one_line(folder: Path) -> None:
    here = Spec("here")
    request = Request(["bench"], keyword="nothing")
    with (
        prepared(here, here, repository=folder, source=None, bench_from="head") as (side, _),
        pytest.raises(TorchgaugeError, match=r"^base \(here\): -k 'nothing' matches none of 2 benchmarks"),
    ):
        counting.count({"base": side}, request, "counts", 0)


def test_instructions_without_valgrind_are_refused_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "install your system's package valgrind" in (counting.lacking("instructions") or "")
    assert counting.lacking("counts") is None


def test_instructions_are_compared_without_those_that_differ_from_process_to_process() -> None:
    run = synthetic.run()
    whole = run.measurements[0]
    line = msgspec.structs.replace(
        whole,
        metric="instructions",
        samples=[1000.0, 1100.0, 1050.0],
        conditions={"layout_instructions": 50.5},
        parts=[Part(name="at::add", value=900.0), Part(name="_int_malloc", value=50.5)],
    )
    (counted,) = counting.lines(dataclasses.replace(run, measurements=[line]), "head", "instructions", 1)
    assert (counted.values, counted.parts) == ([999.5], {"at::add": 900.0})
    assert (counted.side, counted.process, counted.case) == ("head", 1, whole.case.id)


def test_both_sides_environments_are_as_large(tmp_path: Path) -> None:
    near, far = tmp_path / "a", tmp_path / "a" / "much" / "longer" / "path"
    far.mkdir(parents=True)
    one, other = (
        Side(Spec("here"), Path("python"), (folder,), tmp_path, None, False, "side", tmp_path)
        for folder in (near, far)
    )
    longest = len(other.pythonpath())
    first, second = (counting._variables(side, 1, longest) for side in (one, other))
    assert first.keys() == second.keys()
    assert sum(map(len, first.values())) == sum(map(len, second.values()))
    assert first["PYTHONPATH"] != second["PYTHONPATH"]


def test_a_side_that_hangs_while_it_is_counted_is_ended_and_named(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench_x.py").write_text(
        "import time\n\ndef bench_wait(gauge):\n    time.sleep(600)\n    gauge(int)\n"
    )
    here = Spec("here")
    with prepared(here, here, repository=tmp_path, source=None, bench_from="head") as (base, head):
        with pytest.raises(TorchgaugeError, match=r"\(here\): counted nothing for 6 s and was ended"):
            counting.count({"base": base, "head": head}, Request(["bench"], patience=6.0), "counts", 0)
        assert not processes_of(base.gauge.parent)
        assert list(base.gauge.parent.glob("torchgauge-*"))  # and not in the system's temporary folder


def processes_of(folder: Path) -> list[bytes]:
    """Give the command lines of all processes that name a folder."""
    lines = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(place.read_bytes())
    return [line for line in lines if str(folder).encode() in line]
