"""Real pairs of real processes, with benchmarks that do all that benchmarks should not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchgauge.errors import TorchgaugeError
from torchgauge.measure.ab.channel import CANARY
from torchgauge.measure.ab.conductor import Cast, Conductor, Request, Seen, visits
from torchgauge.measure.ab.pair import Taken, merged
from torchgauge.measure.sides import Spec, prepared
from torchgauge.record import read_ab
from torchgauge.record.ab import AbFailure, AbSkip, PairLine, Round

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

CODE = """
import os, signal, sys, time

SPEED = {speed}
LEAVES = {leaves}

def work():
    return sum(range(SPEED))

def leave():
    if LEAVES:
        os._exit(7)

def starve():
    if LEAVES:
        os.kill(os.getpid(), signal.SIGKILL)

def hang():
    if LEAVES:
        time.sleep(600)

def grow():
    if LEAVES:
        import resource, torch
        resource.setrlimit(resource.RLIMIT_AS, (1 << 36, 1 << 36))
        kept = [torch.ones(1 << 36, dtype=torch.uint8)]
"""
BENCH = """
import os, subprocess, sys
import code_under_test as code
import pytest

def bench_calm(gauge):
    gauge(code.work)

def bench_talks(gauge):
    print("to stdout")
    os.write(1, b"to the descriptor")
    gauge(code.work)

def bench_wanders(gauge, tmp_path):
    os.chdir(tmp_path)
    gauge(code.work)

def bench_leaves(gauge):
    gauge(code.leave)

def bench_starves(gauge):
    gauge(code.starve)

def bench_hangs(gauge):
    gauge(code.hang)

def bench_grows(gauge):
    gauge(code.grow)

def bench_wrong(gauge):
    gauge(code.work)
    assert not code.LEAVES, "the result is wrong"

def bench_leaves_a_child(gauge):
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)  # MARK"])
    gauge(code.work)

def bench_skipped_by_head(gauge):
    if code.LEAVES:
        pytest.skip("not here")
    gauge(code.work)
"""
MARK = f"left-by-{os.getpid()}"
BENCH = BENCH.replace("MARK", MARK)
FAILING = {"leaves", "starves", "hangs", "wrong"}
SKIPPED = {"skipped_by_head": "not here", "grows": "can't allocate memory"}


def eventually(holds: Callable[[], object]) -> bool:
    """Wait until it holds, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def processes() -> Iterator[tuple[int, int, str]]:
    """Give number, parent and command line of each process that runs."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(place.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            command = place.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        yield int(place.name), parent, command


def git(folder: Path, *words: str) -> None:
    names = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a repository whose working tree does harm and whose commit does not; give its folder."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("temporary")
        patch.setenv("TMPDIR", str(place))
        patch.setattr(tempfile, "tempdir", str(place))
        folder = tmp_path_factory.mktemp("repository")
        (folder / "src").mkdir()
        (folder / "bench").mkdir()
        code = folder / "src" / "code_under_test.py"
        code.write_text(CODE.format(speed=2000, leaves=False))
        (folder / "bench" / "bench_harm.py").write_text(BENCH)
        git(folder, "init", "-q")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "words")
        code.write_text(CODE.format(speed=4000, leaves=True))
        yield folder
        assert list(place.iterdir()) == [], "something was left behind"


@pytest.fixture(scope="module", params=["paired", "sequential"])
def measured(repository: Path, request) -> tuple[Cast, Seen, list[PairLine | AbFailure | AbSkip]]:
    """Measure one pair of all benchmarks; a hang is one after eight seconds."""
    lines: list[PairLine | AbFailure | AbSkip] = []
    asked = Request(["bench"], seed=1, patience=8.0, isolation=request.param)
    with prepared(
        Spec("git", "HEAD"), Spec("here"), repository=repository, source=None, bench_from="head"
    ) as sides:
        conductor = Conductor(*sides, asked, lambda _: None)
        cast = conductor.introduce()
        conductor.begin(cast, lines.append)
        (seen,) = conductor.measure(list(cast.cases))
    return cast, seen, lines


def short(case: str) -> str:
    return case.removeprefix("harm/").partition("[")[0]


def test_a_side_that_does_twice_the_work_takes_about_twice_as_long(measured) -> None:
    _, seen, lines = measured
    ratio = next(ratio for case, ratio in seen.ratios.items() if short(case) == "calm")
    line = next(line for line in lines if isinstance(line, PairLine) and short(line.case.id) == "calm")
    in_turns = line.rounds[0].order in ("ABBA", "BAAB")
    # log 2 is 0.69; one after the other, the machine's drift is in it
    assert (0.4 < ratio < 1.0) if in_turns else (0.05 < ratio < 1.4)


def test_all_are_measured_but_those_that_fail_or_are_skipped(measured) -> None:
    cast, seen, _ = measured
    assert {short(case) for case in seen.failed} == FAILING
    assert {short(case) for case in seen.skipped} == SKIPPED.keys()
    assert seen.ratios.keys() == {CANARY.id, *cast.cases} - seen.failed.keys() - seen.skipped.keys()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("leaves", "process: Exit: ended its process (exit code 7)"),
        ("starves", "process: Exit: was killed (SIGKILL): the machine may have run out of memory"),
        ("hangs", "process: Hang: hangs: no answer for 8 s"),
        ("wrong", "check: AssertionError: the result is wrong"),
    ],
)
def test_each_failure_is_told_in_a_plain_line_with_its_side(measured, name: str, said: str) -> None:
    _, seen, lines = measured
    how = next(how for case, how in seen.failed.items() if short(case) == name)
    assert how.startswith(f"head (here): {said}")
    assert "\n" not in how
    line = next(line for line in lines if isinstance(line, AbFailure) and short(line.case) == name)
    assert line.side == "head"


@pytest.mark.parametrize(("name", "reason"), SKIPPED.items())
def test_what_a_side_skips_or_has_no_memory_for_is_told_with_its_reason(measured, name, reason) -> None:
    _, _, lines = measured
    skip = next(line for line in lines if isinstance(line, AbSkip) and short(line.case) == name)
    assert skip.side == "head"
    assert reason in skip.reason


def test_all_raw_blocks_are_written_down(measured) -> None:
    _, seen, lines = measured
    pairs = [line for line in lines if isinstance(line, PairLine)]
    assert [line.case.id for line in pairs] == list(seen.ratios)
    assert all(len(one.base) == len(one.head) > 0 for line in pairs for one in line.rounds)


def test_nobody_is_left(measured) -> None:
    assert eventually(lambda: not sides_of(os.getpid()))
    assert eventually(lambda: not any(MARK in command for _, _, command in processes()))


def test_the_places_of_benchmarks_are_known(measured) -> None:
    cast, _, _ = measured
    places = {short(case): place for case, place in cast.head.places.items()}
    assert places["calm"] == ("bench/bench_harm.py", BENCH.split("\n").index("def bench_calm(gauge):") + 1)


def test_a_selection_of_nothing_is_refused_with_the_cure(repository: Path) -> None:
    with prepared(
        Spec("git", "HEAD"), Spec("here"), repository=repository, source=None, bench_from="head"
    ) as sides:
        conductor = Conductor(*sides, Request(["bench"], keyword="nothing", patience=30.0), lambda _: None)
        with pytest.raises(TorchgaugeError, match=r"matches none of 10 benchmarks.*--collect-only"):
            conductor.introduce()


def test_a_conductor_that_is_killed_leaves_neither_process_nor_folder(repository: Path, tmp_path) -> None:
    place = tmp_path / "temporary"
    with measuring(repository, tmp_path, place) as process:
        assert eventually(lambda: sides_of(process.pid))
        started = sides_of(process.pid)
        process.kill()
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))
    assert eventually(lambda: not list(place.iterdir()))
    assert len(list((tmp_path / "results").glob("*.ab.jsonl"))) == 1


def test_pairs_are_measured_at_once_each_on_a_core_of_its_own(repository: Path) -> None:
    lines: list[PairLine | AbFailure | AbSkip] = []
    with prepared(
        Spec("git", "HEAD"), Spec("git", "HEAD"), repository=repository, source=None, bench_from="each"
    ) as sides:
        conductor = Conductor(*sides, Request(["bench"], keyword="calm or wanders", seed=1), lambda _: None)
        conductor.begin(cast := conductor.introduce(), lines.append)
        lanes = conductor.lanes
        seen = conductor.measure(list(cast.cases), lanes)
    assert lanes == min(2, len(os.sched_getaffinity(0)))
    assert [sorted(map(short, one.ratios)) for one in seen] == [
        ["calm", "torchgauge/canary", "wanders"]
    ] * lanes
    assert {line.pair for line in lines if isinstance(line, PairLine)} == set(range(lanes))


def test_few_cases_are_visited_twice_in_a_pair_and_many_once() -> None:
    assert [visits(cases) for cases in (1, 12, 24, 25, 240)] == [2, 2, 2, 1, 1]


def test_the_rounds_of_all_visits_are_one_pairs() -> None:
    one, other = (
        Taken(3, "host-clock", [Round(order="ABBA", base=[value], head=[value])], poor)
        for value, poor in ((1.0, None), (2.0, "throttled"))
    )
    joined = merged([one, other])
    assert joined.rounds == [*one.rounds, *other.rounds]
    assert (joined.loops, joined.poor) == (3, "throttled")


def test_one_that_fails_in_every_pair_is_told_once_and_the_others_go_on(repository: Path) -> None:
    told: list[str] = []
    lines: list[PairLine | AbFailure | AbSkip] = []
    with prepared(
        Spec("git", "HEAD"), Spec("here"), repository=repository, source=None, bench_from="head"
    ) as sides:
        conductor = Conductor(*sides, Request(["bench"], keyword="calm or leaves", seed=1), told.append)
        conductor.begin(cast := conductor.introduce(), lines.append)
        seen = conductor.measure([case for case in cast.cases if "child" not in case], conductor.lanes)
    assert len(told) == 1
    assert all("calm" in map(short, one.ratios) and len(one.failed) == 1 for one in seen)


def test_ctrl_c_ends_all_pairs_at_once(repository: Path, tmp_path) -> None:
    place = tmp_path / "temporary"
    with measuring(repository, tmp_path, place) as process:
        assert eventually(lambda: len(sides_of(process.pid)) == 4 or len(os.sched_getaffinity(0)) < 2)
        started = sides_of(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert "failed" not in process.stderr.read()
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))
    assert eventually(lambda: not list(place.iterdir()))
    (file,) = (tmp_path / "results").glob("*.ab.jsonl")
    assert read_ab(file).failures == []


def measuring(repository: Path, results: Path, temporary: Path) -> subprocess.Popen[str]:
    """Start the command; it has begun its first pair."""
    temporary.mkdir()
    words = ["ab", "--base", "git:HEAD", "-k", "calm", "--results", str(results / "results")]
    script = f"import sys; from torchgauge.cli import main; sys.exit(main({words}))"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=repository,
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("pair 1: ")
    return process


def sides_of(conductor: int) -> list[int]:
    """Give the processes of sides that this process has started."""
    return [
        pid
        for pid, parent, command in processes()
        if parent == conductor and "torchgauge.measure.ab" in command
    ]
