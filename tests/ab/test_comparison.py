"""From sides to a file with verdicts, with pairs that never took place."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import msgspec
import pytest

from compared import header
from torchgauge.ab import Plan, compare, keep_noise, known_floors
from torchgauge.ab.counted import counted
from torchgauge.analysis.gate import Design, Wanted
from torchgauge.analysis.gate.acceptance import Accepted
from torchgauge.analysis.gate.noise import MachineNoise
from torchgauge.errors import TorchgaugeError
from torchgauge.measure.ab.channel import CANARY, Hello
from torchgauge.measure.ab.conductor import Cast, Request, Seen
from torchgauge.measure.ab.counting import Counted
from torchgauge.measure.ab.pair import NotTaken
from torchgauge.measure.sides import Side, Spec
from torchgauge.record import Case, read_ab
from torchgauge.record.ab import AbFailure, AbRun, CountLine, Verdict
from torchgauge.record.noise import read_noise
from torchgauge.report.gate.words import reproduce

CASES = {name: Case(id=name, group="g", name=name, device="cpu", dtype=None) for name in "abcd"}
ENVIRONMENT = header().head.environment


class FakeConductor:
    """Gives pairs whose truth is known. What it is to give is set on the class."""

    effects: ClassVar[dict[str, float]] = {}
    spread = 0.004
    only: ClassVar[dict[str, str]] = {}
    skipped: ClassVar[dict[str, NotTaken]] = {}
    failed: ClassVar[dict[str, str]] = {}
    gloom: ClassVar[list[str]] = []
    ends_after = 10**9

    def __init__(self, base: Side, head: Side, request: Request, say: object) -> None:
        self._chance = random.Random(request.seed)
        self.timed_seconds = 0.0
        self.visits, self.poor = 10, self.gloom
        self._pairs = 0

    def introduce(self) -> Cast:
        hello = Hello(list(CASES.values()), [("bench_x.py", "ImportError: x")], ENVIRONMENT)
        return Cast(CASES, self.only, Hello([], [], ENVIRONMENT), hello)

    def begin(self, cast: Cast, write: object) -> None:
        pass

    lanes = batch = 2

    def measure(self, cases: list[str], pairs: int = 1) -> list[Seen]:
        return [self._one(cases) for _ in range(pairs)]

    def _one(self, cases: list[str]) -> Seen:
        self._pairs += 1
        if self._pairs > self.ends_after:
            raise KeyboardInterrupt
        self.timed_seconds += 1.0
        failed = {case: how for case, how in self.failed.items() if case in cases}
        skipped = {case: what for case, what in self.skipped.items() if case in cases}
        ratios = {
            case: math.log1p(self.effects.get(case, 0.0)) + self._chance.gauss(0, self.spread)
            for case in [CANARY.id, *cases]
            if case not in failed and case not in skipped
        }
        return Seen(ratios, failed, skipped, start_seconds=5.0, case_seconds=0.7)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeConductor]:
    class Fresh(FakeConductor):
        pass

    monkeypatch.setattr("torchgauge.ab.comparison.Conductor", Fresh)
    return Fresh


@pytest.fixture
def slowly(fake, monkeypatch: pytest.MonkeyPatch):
    """Make pairs, two at once, take so many seconds of a clock that nothing else moves."""

    def set_to(seconds: float, later: float | None = None) -> None:
        now = [0.0]
        fake.late = 0.0
        measure, begin = fake.measure, fake.begin

        def begun(self, *cast: object) -> None:
            begin(self, *cast)
            now[0] += fake.late

        fake.measured = []

        def slow(self, cases: list[str], pairs: int = 1) -> list[Seen]:
            took = later if later is not None and len(fake.measured) >= 4 else seconds
            now[0] += took
            fake.measured.append(cases)
            return [
                replace(seen, start_seconds=took, case_seconds=0.0) for seen in measure(self, cases, pairs)
            ]

        monkeypatch.setattr(fake, "measure", slow)
        monkeypatch.setattr(fake, "begin", begun)
        clock = SimpleNamespace(monotonic=lambda: now[0])
        for module in ("comparison", "timed"):
            monkeypatch.setattr(f"torchgauge.ab.{module}.time", clock)

    return set_to


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Side, Side]:
    def side(name: str) -> Side:
        return Side(Spec("here"), Path("python"), (), tmp_path, "a" * 40, False, name, tmp_path)

    return side("base"), side("head")


@pytest.fixture
def run(fake, sides, tmp_path):
    def made(**plan) -> AbRun:
        return compare(*sides, Request(["bench"], seed=1), Plan(**plan), tmp_path, lambda _: None)

    return made


def verdicts(run: AbRun) -> dict[str, Verdict]:
    return {one.case: one.verdict for one in run.comparisons}


def test_what_became_slower_and_faster_is_named_the_worst_first(fake, run) -> None:
    fake.effects = {"b": 0.05, "d": -0.1}
    found = run()
    assert verdicts(found) == {
        "b": Verdict.REGRESSED,
        "d": Verdict.IMPROVED,
        "a": Verdict.EQUIVALENT,
        "c": Verdict.EQUIVALENT,
    }
    assert next(iter(verdicts(found))) == "b"
    assert found.end is not None
    assert found.end.verdict is Verdict.REGRESSED
    assert "head, bench_x.py: ImportError: x" in found.end.notes


def test_where_the_canary_differs_the_run_is_invalid_whatever_the_cases_say(fake, run) -> None:
    fake.effects = {CANARY.id: 0.05, "a": 0.05}
    found = run()
    assert verdicts(found)["a"] is Verdict.REGRESSED
    assert found.end is not None
    assert found.end.verdict is Verdict.INVALID
    assert "canary" in (found.end.disturbed or "")


@pytest.mark.parametrize(("poor", "verdict"), [(5, Verdict.EQUIVALENT), (6, Verdict.INVALID)])
def test_where_conditions_were_mostly_poor_the_run_is_invalid(fake, run, poor: int, verdict: Verdict) -> None:
    fake.gloom = ["throttled: the quota was used up"] * poor
    found = run()
    assert found.end is not None
    assert found.end.verdict is verdict
    if verdict is Verdict.INVALID:
        assert found.end.disturbed == (
            "conditions were too poor in 60% of what was measured: throttled: the quota was used up"
            "; run it again"
        )


def test_a_case_that_fails_is_an_error_with_its_reason_and_the_others_go_on(fake, run) -> None:
    fake.failed = {"a": "head: check: AssertionError: wrong"}
    found = run()
    assert verdicts(found)["a"] is Verdict.ERROR
    assert found.comparisons[0].notes == ["head: check: AssertionError: wrong"]
    assert verdicts(found)["b"] is Verdict.EQUIVALENT


def test_a_case_of_one_side_is_missing_and_one_that_neither_measures_is_left_out(fake, run) -> None:
    fake.only = {"old": "base"}
    fake.skipped = {"a": NotTaken("both", "on cuda only"), "b": NotTaken("head", "not here")}
    found = run()
    assert verdicts(found) == {
        "old": Verdict.MISSING,
        "b": Verdict.MISSING,
        "c": Verdict.EQUIVALENT,
        "d": Verdict.EQUIVALENT,
    }
    notes = {one.case: one.notes for one in found.comparisons}
    assert (notes["old"], notes["b"]) == (["only base has it"], ["skipped by head: not here"])


def test_where_nothing_is_measured_on_either_side_that_is_said(fake, run) -> None:
    fake.skipped = dict.fromkeys(CASES, NotTaken("both", "on cuda only"))
    with pytest.raises(TorchgaugeError, match="nothing was compared: skipped by both: on cuda only"):
        run()


def test_a_run_that_is_interrupted_keeps_its_file_and_says_so(fake, run, tmp_path: Path) -> None:
    fake.ends_after = 2
    with pytest.raises(KeyboardInterrupt):
        run()
    (path,) = tmp_path.glob("*.ab.jsonl")
    left = read_ab(path)
    assert left.end is not None
    assert (left.end.interrupted, left.end.verdict, left.end.timed_seconds) == (True, None, 2.0)


def test_an_accepted_regression_is_marked_and_leaves_the_run_green(fake, run) -> None:
    fake.effects = {"b": 0.05}
    entry = Accepted(case="b", reason="worth it", expires=date(9999, 1, 1))
    found = run(accepted=[entry], accept="ok.toml", folder="kept")
    assert found.comparisons[0].accepted == "worth it (until 9999-01-01)"
    assert "--accept ok.toml --results kept" in reproduce(found)  # it ends with the same code
    assert found.end is not None
    assert found.end.verdict is Verdict.EQUIVALENT


def test_too_little_time_is_refused_before_anything_is_measured(fake, run, tmp_path: Path) -> None:
    fake.ends_after = 0
    with pytest.raises(
        TorchgaugeError, match=r"no regression can be confirmed among 4 cases in 0\.5 minutes"
    ):
        run(minutes=0.5)
    assert not list(tmp_path.glob("*.jsonl"))


def test_counts_that_can_not_be_had_here_are_refused_at_the_start(fake, run, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TorchgaugeError, match="valgrind"):
        run(metrics=["time", "instructions"])


def test_floors_of_this_machines_a_a_runs_are_used(fake, run, tmp_path: Path) -> None:
    chance = random.Random(1)
    assert ENVIRONMENT is not None
    noise = MachineNoise(
        machine_key=ENVIRONMENT.machine_key,
        isolation="paired",
        runs=3,
        pairs=60,
        invalid=0,
        alarms=0,
        alarms_at_most=1.0,
        named=(),
        unclear=0.0,
        cases=(),
        p_values=(),
        p_uniform=1.0,
        log_ratios={"a": [chance.gauss(0, 0.05) for _ in range(60)], "b": [0.0] * 60},
    )
    path = keep_noise(noise, tmp_path)
    assert path.name == f"aa_{ENVIRONMENT.machine_key}.json"
    floors = known_floors(tmp_path, ENVIRONMENT, "paired", Wanted(Design(), 300, 4))
    assert floors["a"] > 0.02
    assert floors["b"] == 0.01
    assert {one.case: one.floor for one in run().comparisons} == {"c": 0.01, "d": 0.01} | floors
    assert known_floors(tmp_path, ENVIRONMENT, "sequential", Wanted(Design(), 300, 4)) == {}
    other = msgspec.structs.replace(ENVIRONMENT, machine_key="f" * 16)
    assert known_floors(tmp_path, other, "paired", Wanted(Design(), 300, 4)) == {}


def test_a_damaged_file_of_floors_is_told_and_names_the_cure(fake, run, tmp_path: Path) -> None:
    assert ENVIRONMENT is not None
    (tmp_path / f"aa_{ENVIRONMENT.machine_key}.json").write_text("{")
    with pytest.raises(TorchgaugeError, match=r"no file of torchgauge aa.*measure anew"):
        run()
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.parametrize(("seconds", "pairs"), [(240.0, 2), (40.0, 4), (10.0, 8)])
def test_screening_is_as_long_as_the_pairs_turn_out_to_allow(
    fake, run, slowly, seconds: float, pairs: int
) -> None:
    fake.effects = {"a": 0.2}
    slowly(seconds)
    made = run()
    screening, after = fake.measured[: pairs // 2], fake.measured[pairs // 2 :]
    assert screening == [list(CASES)] * (pairs // 2)
    assert list(CASES) not in after
    assert (verdicts(made).get("a") is Verdict.REGRESSED) == (seconds < 100)


def test_pairs_too_slow_to_confirm_anything_make_the_run_invalid_and_not_green(fake, run, slowly) -> None:
    slowly(240.0)
    made = run()
    assert made.end is not None
    assert made.end.verdict is Verdict.INVALID
    assert "a pair takes 120 s for 4 cases, which left no time to confirm" in str(made.end.disturbed)


def test_a_regression_that_was_confirmed_after_all_counts(fake, run, slowly) -> None:
    fake.effects = {"a": 0.2}
    slowly(46.0)
    made = run()
    assert made.end is not None
    assert (verdicts(made)["a"], made.end.verdict) == (Verdict.REGRESSED, Verdict.REGRESSED)


def test_candidates_too_many_for_the_time_make_no_green_run(fake, run, slowly) -> None:
    fake.effects = dict.fromkeys("abcd", 0.2)
    slowly(44.0)
    made = run()
    assert made.end is not None
    assert made.end.verdict is Verdict.INVALID


def test_pairs_that_become_slow_after_screening_make_no_green_run(fake, run, slowly) -> None:
    fake.effects = {"a": 0.2}
    slowly(20.0, later=100.0)
    made = run()
    assert made.end is not None
    assert made.end.verdict is Verdict.INVALID


def test_candidates_too_many_for_pairs_four_at_once_make_no_green_run(fake, run, slowly) -> None:
    fake.effects, fake.batch, fake.lanes = {"a": 0.2, "b": 0.2}, 4, 1
    slowly(76.0)
    made = run()
    assert made.end is not None
    assert made.end.verdict is Verdict.INVALID


def test_a_failure_is_one_even_where_times_were_too_few(fake, run, slowly) -> None:
    fake.failed = {"a": "head: it raised"}
    slowly(240.0)
    made = run()
    assert made.end is not None
    assert made.end.verdict is Verdict.ERROR
    assert any("left no time to confirm" in note for note in made.end.notes)


def test_a_time_too_short_for_the_first_pairs_makes_no_green_run(fake, run, slowly) -> None:
    slowly(10.0)
    fake.batch = 40
    with pytest.raises(TorchgaugeError, match="no regression can be confirmed"):
        run(minutes=3)
    fake.batch, fake.late = 4, 285.0
    made = run()
    assert made.end is not None
    assert (made.end.pairs, made.end.verdict) == (0, Verdict.INVALID)


@pytest.mark.parametrize(("head", "verdict"), [(1.0, Verdict.INVALID), (2.0, Verdict.REGRESSED)])
def test_counts_alone_make_no_green_run_where_times_could_not_fail(
    fake, run, slowly, monkeypatch, head: float, verdict: Verdict
) -> None:
    def count(*_: object) -> object:
        return {
            side: Counted([CountLine(side=side, process=0, case="a", metric="operators", values=[n])], [])
            for side, n in (("base", 1.0), ("head", head))
        }

    monkeypatch.setattr("torchgauge.measure.ab.counting.count", count)
    slowly(240.0)
    made = run(metrics=["time", "counts"])
    assert made.end is not None
    assert made.end.verdict is verdict
    accepted = run(metrics=["time", "counts"], accepted=[Accepted(case="a", reason="x", expires=date.max)])
    assert accepted.end is not None
    assert accepted.end.verdict is Verdict.INVALID
    assert "left no time to confirm" in " ".join([str(made.end.disturbed), *made.end.notes])


def test_cases_that_were_not_measured_now_keep_their_floors(tmp_path: Path) -> None:
    assert ENVIRONMENT is not None

    def noise(seconds: float, **log_ratios: list[float]) -> MachineNoise:
        return MachineNoise(
            machine_key=ENVIRONMENT.machine_key, isolation="paired", runs=1, pairs=20, invalid=0, alarms=0,
            alarms_at_most=1.0, named=(), unclear=0.0, cases=(), p_values=(), p_uniform=1.0,
            log_ratios=log_ratios, case_seconds=seconds,
        )  # fmt: skip

    def stored(path: Path) -> tuple[dict[str, list[float]], float | None]:
        return read_noise(path).log_ratios, read_noise(path).case_seconds

    keep_noise(noise(0.5, a=[0.1], b=[0.2], d=[0.2]), tmp_path)
    path = keep_noise(noise(0.001, b=[0.3]), tmp_path)
    assert stored(path) == ({"a": [0.1], "b": [0.3], "d": [0.2]}, 0.5)
    keep_noise(noise(0.6, a=[0.1], b=[0.4]), tmp_path)
    assert stored(path) == ({"a": [0.1], "b": [0.4], "d": [0.2]}, 0.6)
    path.write_text("{")
    keep_noise(noise(0.7, c=[0.5]), tmp_path)
    assert stored(path) == ({"c": [0.5]}, 0.7)


def test_what_can_not_be_counted_is_an_error_and_the_times_count(fake, run, monkeypatch) -> None:
    def count(*_: object) -> object:
        raise TorchgaugeError("head (here): counted nothing for 60 s and was ended")

    monkeypatch.setattr("torchgauge.measure.ab.counting.count", count)
    made = run(metrics=["time", "counts"])
    said = {(one.case, one.metric): one for one in made.comparisons}
    assert said["a", "time"].verdict is Verdict.EQUIVALENT
    assert said["a", "counts"].verdict is Verdict.ERROR
    assert said["a", "counts"].notes == ["head (here): counted nothing for 60 s and was ended"]
    assert made.end is not None
    assert made.end.verdict is Verdict.ERROR


@pytest.mark.parametrize("what", ["torch", "python"])
def test_a_canary_that_differs_under_another_torch_or_python_disturbs_nothing(
    fake, run, monkeypatch, what: str
) -> None:
    assert ENVIRONMENT is not None
    new, introduce = msgspec.structs.replace, fake.introduce
    part = {"torch": new(ENVIRONMENT.torch, version="2.6.0")}
    if what == "python":
        part = {"machine": new(ENVIRONMENT.machine, python="3.11.1")}
    base = Hello([], [], new(ENVIRONMENT, **part))
    monkeypatch.setattr(fake, "introduce", lambda self: replace(introduce(self), base=base))
    fake.effects = {CANARY.id: 0.05}
    end = run().end
    assert (end.verdict, end.disturbed) == (Verdict.EQUIVALENT, None)


def test_processes_are_joined_and_what_failed_in_one_of_them_is_an_error_alone(sides, monkeypatch) -> None:
    def count(_sides: object, _request: object, metric: str, process: int) -> dict[str, Counted]:
        def lines(side: str, value: float) -> list[CountLine]:
            return [
                CountLine(side=side, process=process, case=case, metric=metric, values=[value + process])
                for case in "ab"
            ]

        bad = [AbFailure(case="b", side="head", stage="check", error="E", message="m")] * process
        return {"base": Counted(lines("base", 1000.0), []), "head": Counted(lines("head", 1100.0), bad)}

    monkeypatch.setattr("torchgauge.measure.ab.counting.count", count)
    written: list[object] = []
    one, other = counted(
        *sides, Request(["bench"]), "instructions", ["a", "b"], written.append, lambda _: None
    )
    assert (one.case, one.verdict, one.pairs, one.ratio) == ("a", Verdict.REGRESSED, 2, 1100.5 / 1000.5)
    assert (other.case, other.verdict) == ("b", Verdict.ERROR)
    assert other.notes[0].endswith(": check: E: m")
    assert len(written) == 2 * 2 * 2 + 1


def test_counts_alone_measure_no_pair(fake, run, monkeypatch) -> None:
    fake.ends_after = 0  # a pair would raise
    both = {
        side: Counted([CountLine(side=side, process=0, case="a", metric="operators", values=[n])], [])
        for side, n in (("base", 1.0), ("head", 2.0))
    }
    monkeypatch.setattr("torchgauge.measure.ab.counting.count", lambda *_: both)
    made = run(metrics=["counts"])
    assert made.end is not None
    assert (made.end.pairs, made.end.verdict, len(made.counts)) == (0, Verdict.REGRESSED, 2)
