"""Runs with real processes: killed, interrupted, resumed, side by side; benchmarks that end their process."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from torchgauge.measure import launch, valgrind
from torchgauge.record import read

EIGHT = """
import time
import pytest

@pytest.mark.parametrize("n", range(8))
def bench_slow(gauge, n):
    gauge(time.sleep, 0.02)
"""
DEADLY = """
import os, signal

def bench_exits(gauge):
    gauge(os._exit, 3)

def bench_segfaults(gauge):
    gauge(os.kill, os.getpid(), signal.SIGSEGV)

def bench_sound(gauge):
    gauge(int)
"""
QUICK = ("--rounds", "1", "--budget", "quick", "--device", "cpu", "--no-ceilings")


def start(folder: Path, *words: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "torchgauge", "run", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process: subprocess.Popen[str], seconds: float = 120.0) -> SimpleNamespace:
    out, error = process.communicate(timeout=seconds)
    return SimpleNamespace(code=process.returncode, out=out, error=error)


def project(folder: Path, **files: str) -> Path:
    (folder / "bench").mkdir()
    for name, text in files.items():
        (folder / f"bench/bench_{name}.py").write_text(text)
    return folder


def wait(what: str, until: Callable[[], object], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def the_file(folder: Path) -> Path | None:
    return next(iter(folder.glob("results/*.jsonl")), None)


def lines(folder: Path) -> int:
    path = the_file(folder)
    return path.read_bytes().count(b"\n") if path else 0


def is_free(path: Path) -> bool:
    """Whether no process writes the file any more."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if "error" in line.lower() or "Traceback" in line]


@pytest.fixture(scope="module")
def saga(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One run: interrupted with Ctrl-C, resumed and killed, resumed to its end. Snapshots of its file."""
    folder = project(tmp_path_factory.mktemp("saga"), a=EIGHT)
    process = start(folder, *QUICK, "--seed", "7", "bench")
    wait("a first measurement", lambda: lines(folder) >= 3)
    process.send_signal(signal.SIGINT)
    interrupted = finish(process)
    path = the_file(folder)
    after_interrupt = path.read_bytes()

    begun = after_interrupt.count(b"\n")
    process = start(folder, "--resume", str(path))
    wait("another measurement", lambda: lines(folder) > begun)
    at_kill = lines(folder)
    process.send_signal(signal.SIGKILL)
    finish(process)
    wait("the worker to follow its parent", lambda: is_free(path), 20)
    after_kill = path.read_bytes()
    path.write_bytes(after_kill + b'{"kind":"measurement","case":{"id":"a/sl')  # cut off in a write

    resumed = finish(start(folder, "--resume", str(path)))
    return SimpleNamespace(
        folder=folder,
        path=path,
        interrupted=interrupted,
        after_interrupt=after_interrupt,
        at_kill=at_kill,
        after_kill=after_kill,
        resumed=resumed,
    )


@pytest.fixture
def snapshot(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "snapshot.jsonl"
        path.write_bytes(content)
        return path

    return write


def test_ctrl_c_closes_the_file_and_exits_130(saga: SimpleNamespace, snapshot) -> None:
    assert saga.interrupted.code == 130
    run = read(snapshot(saga.after_interrupt))
    assert run.end is not None
    assert run.end.interrupted
    assert run.interrupted
    assert run.warnings == []
    assert run.end.measured == len({line.case.id for line in run.measurements}) < 8
    assert errors(saga.interrupted.error) == []


def test_kill_9_leaves_all_that_was_finished_and_a_file_that_can_be_read(
    saga: SimpleNamespace, snapshot
) -> None:
    run = read(snapshot(saga.after_kill))
    assert run.end is None
    assert run.interrupted
    assert saga.after_kill.startswith(saga.after_interrupt)
    assert 2 <= len({line.case.id for line in run.measurements}) < 8


def test_a_worker_stops_after_the_visit_in_which_its_parent_died(saga: SimpleNamespace) -> None:
    # a visit is two lines, `time` and `first_call`; one may have ended between the look and the kill
    assert saga.after_kill.count(b"\n") - saga.at_kill <= 4


def test_show_reads_a_killed_run_without_torch_and_says_that_it_was_interrupted(
    saga: SimpleNamespace, snapshot
) -> None:
    path = snapshot(saga.after_kill + b'{"cut')
    check = (
        "import sys; from torchgauge.cli import main; code = main(['show', sys.argv[1]]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check, str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "interrupted" in done.stdout
    assert "cut off" in done.stderr


def test_resume_completes_the_run_and_measures_nothing_again(saga: SimpleNamespace) -> None:
    assert saga.resumed.code == 0, saga.resumed.error
    assert saga.path.read_bytes().startswith(saga.after_kill)
    run = read(saga.path)
    assert not run.interrupted
    times = [(line.case.id, line.round) for line in run.measurements if line.metric == "time"]
    assert len(times) == len(set(times)) == 8
    assert run.end.measured == 8
    assert 0 < run.end.timed_seconds < run.end.wall_seconds


def test_a_resumed_run_keeps_the_order_of_its_seed(saga: SimpleNamespace) -> None:
    run = read(saga.path)
    order = [line.case.params["n"] for line in run.measurements if line.metric == "time"]
    assert run.header.config.seed == 7
    assert order != sorted(order)


def test_a_complete_run_is_not_resumed(saga: SimpleNamespace) -> None:
    before = saga.path.read_bytes()
    done = finish(start(saga.folder, "--resume", str(saga.path)))
    assert done.code == 2
    assert done.error.count("\n") == 1
    assert "is complete" in done.error
    assert saga.path.read_bytes() == before


def test_a_benchmark_that_ends_its_process_is_a_failure_and_the_others_run_on(tmp_path: Path) -> None:
    done = finish(start(project(tmp_path, deadly=DEADLY), *QUICK, "bench"))
    assert done.code == 1
    run = read(the_file(tmp_path))
    assert {(line.case.name, line.stage, line.error) for line in run.failures} == {
        ("exits", "process", "exit code 3"),
        ("segfaults", "process", "SIGSEGV"),
    }
    assert len(run.failures) == 2
    assert {line.case.name for line in run.measurements} == {"sound"}
    assert (run.end.measured, run.end.failed, run.end.interrupted) == (1, 2, False)
    assert "exits[cpu]" in done.error


@pytest.mark.parametrize("code", [0, 2, 130])
def test_whatever_exit_code_a_benchmark_ends_its_process_with_costs_that_case_alone(
    tmp_path: Path, code: int
) -> None:
    deadly = f"import os\n\ndef bench_exits(gauge):\n    gauge(os._exit, {code})\n"
    project(tmp_path, deadly=deadly, sound="def bench_sound(gauge):\n    gauge(int)\n")
    done = finish(start(tmp_path, *QUICK, "bench", "--benchmark-json", "out.json"))
    assert done.code == 1
    run = read(the_file(tmp_path))
    assert [(line.case.name, line.error) for line in run.failures] == [("exits", f"exit code {code}")]
    assert not run.interrupted
    # what an earlier worker measured is in pytest-benchmark's file too
    entries = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert [entry["fullname"] for entry in entries] == ["sound/sound[cpu]"]


def test_a_file_that_ends_the_process_when_it_is_imported_is_named(tmp_path: Path) -> None:
    project(tmp_path, deadly="import os\nos._exit(5)\n", sound="def bench_sound(gauge):\n    gauge(int)\n")
    done = finish(start(tmp_path, *QUICK, "bench"))
    assert done.code == 2
    (line,) = done.error.splitlines()
    assert "bench_deadly.py ends the process (exit code 5) when it is imported" in line


def test_a_benchmark_that_forks_is_recorded_once_and_its_children_hold_no_lock(tmp_path: Path) -> None:
    text = """
import os, time

def bench_forks(gauge):
    gauge(int)
    if os.fork() == 0 and os.fork() == 0:
        os.closerange(0, 256)
        time.sleep(20)  # a child that outlives the run

def bench_sound(gauge):
    gauge(int)
"""
    project(tmp_path, a=text)
    done = finish(start(tmp_path, *QUICK, "bench"))
    assert done.code == 0, done.error
    run = read(the_file(tmp_path))
    times = [line.case.name for line in run.measurements if line.metric == "time"]
    assert sorted(times) == ["forks", "sound"]


def test_a_run_whose_folder_a_benchmark_removes_says_so(tmp_path: Path) -> None:
    text = "import shutil\n\ndef bench_removes(gauge):\n    gauge(shutil.rmtree, 'results', True)\n"
    done = finish(start(project(tmp_path, a=text), *QUICK, "bench"))
    assert done.code == 2
    assert "is gone" in done.error.splitlines()[-1]


def test_a_second_ctrl_c_ends_a_benchmark_that_does_not_listen(tmp_path: Path) -> None:
    text = """
import time

def deaf():
    while True:
        try:
            open("deaf", "w").close()
            time.sleep(60)
        except BaseException:
            open("heard", "w").close()

def bench_deaf(gauge):
    gauge(deaf)
"""
    process = start(project(tmp_path, a=text), *QUICK, "bench")
    wait("the benchmark", (tmp_path / "deaf").exists)
    process.send_signal(signal.SIGINT)
    wait("the first signal", (tmp_path / "heard").exists)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.code == 130
    assert "again: at once" in done.error
    assert read(the_file(tmp_path)).interrupted


def test_a_worker_whose_parent_dies_before_the_first_case_measures_nothing(tmp_path: Path) -> None:
    text = "open('imported', 'w').close()\nimport time\ntime.sleep(1)\n\n" + EIGHT
    project(tmp_path, a=text)
    process = start(tmp_path, *QUICK, "bench")
    wait("the import", (tmp_path / "imported").exists)
    process.kill()
    finish(process)  # its output ends when the worker does
    assert read(the_file(tmp_path)).measurements == []


def test_options_for_all_of_a_users_pytest_runs_are_not_measured_with(tmp_path: Path) -> None:
    project(tmp_path, sound="def bench_sound(gauge):\n    gauge(int)\n")
    environment = {**os.environ, "PYTEST_ADDOPTS": "--collect-only --no-such-option"}
    done = finish(start(tmp_path, *QUICK, "bench", env=environment))
    assert done.code == 0, done.error
    assert len(read(the_file(tmp_path)).measurements) == 2


def test_a_run_is_not_resumed_where_its_benchmarks_are_not(saga: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = saga.path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    before = path.read_bytes()
    done = finish(start(tmp_path, "--resume", str(path)))
    assert done.code == 2
    assert "bench: not here; resume from the folder in which the run was begun" in done.error
    assert path.read_bytes() == before


def test_each_instrument_looks_in_a_process_of_its_own_and_resuming_knows_what_it_saw(tmp_path: Path) -> None:
    text = "import os, torch\n\ndef bench_it(gauge):\n    print(os.getpid(), file=open('pids', 'a'))\n"
    project(tmp_path, a=text + "    gauge(torch.empty, 1000)\n")
    words = ("--instruments", "memory,time,profile", "--processes", "2", *QUICK)
    done = finish(start(tmp_path, *words, "bench"))
    assert done.code == 0, done.error
    path = the_file(tmp_path)
    run = read(path)
    seen = {(line.instrument, line.process) for line in run.measurements}
    assert seen == {("memory", 0), ("time", 1), ("time", 2), ("profile", 3)}
    assert len(set((tmp_path / "pids").read_text().split())) == 4
    assert (run.end.measured, run.header.config.instruments) == (1, ["memory", "time", "profile"])
    assert len(list(path.with_suffix(".profile").iterdir())) == 1
    assert [title in done.out for title in ("Memory", "Profile", "aten::empty")] == [True] * 3
    # without the last two processes' lines the rest is made again, and nothing twice
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines[:-1] if b'"process":0' in line or line is lines[0]))
    done = finish(start(tmp_path, "--resume", str(path)))
    assert done.code == 0, done.error
    resumed = read(path)
    assert sorted((line.instrument, line.process, line.metric) for line in resumed.measurements) == sorted(
        (line.instrument, line.process, line.metric) for line in run.measurements
    )


def test_two_runs_at_once_into_one_folder_are_both_whole_and_feed_pytest_benchmark(tmp_path: Path) -> None:
    project(tmp_path, a=EIGHT)
    both = [start(tmp_path, *QUICK, "-k", "0 or 1", "--benchmark-json", f"{side}.json") for side in "ab"]
    done = [finish(process) for process in both]
    assert [one.code for one in done] == [0, 0], done[0].error + done[1].error
    runs = [read(path) for path in tmp_path.glob("results/*.jsonl")]
    assert len({run.id for run in runs}) == 2
    for run in runs:
        assert (run.end.measured, run.interrupted, run.warnings) == (2, False, [])
    samples = {frozenset(line.samples) for run in runs for line in run.measurements if line.metric == "time"}
    fed = {
        frozenset(entry["stats"]["data"])
        for side in "ab"
        for entry in json.loads((tmp_path / f"{side}.json").read_text())["benchmarks"]
    }
    assert fed == samples


def test_stopping_at_the_first_failure_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    project(tmp_path, a=EIGHT.replace("gauge(time.sleep, 0.02)", "gauge(lambda: 1 / 0)"))
    done = finish(start(tmp_path, *QUICK, "bench", "--", "-x"))
    run = read(the_file(tmp_path))
    assert done.code == 1
    assert [line.stage for line in run.failures] == ["measure"]
    assert run.interrupted


@pytest.fixture
def small_disk() -> Iterator[Callable[[], None]]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    return limit


def test_a_full_disk_is_one_line_and_all_before_it_is_kept(tmp_path: Path, small_disk) -> None:
    text = (
        "import pytest\n\n@pytest.mark.parametrize('n', range(40))\ndef bench_it(gauge, n):\n    gauge(int)\n"
    )
    project(tmp_path, a=text)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = finish(start(tmp_path, *QUICK, "bench", preexec_fn=small_disk, env=environment))
    assert done.code == 2, done.error
    assert len(errors(done.error)) == 1, done.error
    assert "can't be written: File too large" in done.error
    assert "--resume" in done.error
    run = read(the_file(tmp_path))
    assert run.warnings == []
    assert run.interrupted
    assert len(run.measurements) < 40


def test_ctrl_c_before_the_first_case_is_quiet(tmp_path: Path) -> None:
    # the file of the benchmark is imported long before its first case is visited
    process = start(project(tmp_path, a="open('imported', 'w').close()\n" + EIGHT), *QUICK, "bench")
    wait("the import of the benchmark", (tmp_path / "imported").exists)
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.code == 130
    assert errors(done.error) == []


@pytest.mark.parametrize("begun", ["", '{"kind":"run","sch'])
def test_ctrl_c_before_the_first_line_is_whole_leaves_no_file_that_can_not_be_read(
    tmp_path: Path, begun: str
) -> None:
    text = f"""
import sys, time
with open(sys.argv[sys.argv.index("--gauge-file") + 1], "w") as file:
    file.write({begun!r})
open("imported", "w").close()
time.sleep(60)
"""
    process = start(project(tmp_path, a=text), *QUICK, "bench")
    wait("the import of the benchmark", (tmp_path / "imported").exists)
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.code == 130
    assert errors(done.error) == []
    assert list((tmp_path / "results").iterdir()) == []


def test_ceilings_come_before_the_cases_and_threads_are_kept_when_the_run_is_resumed(tmp_path: Path) -> None:
    text = "import os\n\ndef bench_it(gauge):\n"
    text += "    print(os.environ['OMP_NUM_THREADS'], file=open('said', 'a'))\n"
    project(tmp_path, a=text + "    gauge(int)\n")
    done = finish(start(tmp_path, "bench", *QUICK[:-1], "--threads", "1"))
    assert done.code == 0, done.error
    path = the_file(tmp_path)
    run = read(path)
    environment, config = run.header.environment, run.header.config
    assert (environment.torch.threads, config.threads, config.ceilings) == (1, 1, True)
    assert environment.variables["MKL_NUM_THREADS"] == "1"
    assert run.end.measured == 1
    assert {line.case.name for line in run.ceilings} == {"copy", "read", "write", "update", "operator"}
    lines = path.read_bytes().splitlines(keepends=True)
    first = next(index for index, line in enumerate(lines) if b'"instrument":"time"' in line)
    assert first == len(run.ceilings) + 1
    assert "Ceilings" in done.out
    path.write_bytes(b"".join(lines[:first]))
    done = finish(start(tmp_path, "--resume", str(path)))
    assert done.code == 0, done.error
    resumed = read(path)
    assert resumed.ceilings == run.ceilings
    assert len(resumed.measurements) == len(run.measurements)
    assert (tmp_path / "said").read_text().split() == ["1", "1"]


# Under valgrind


@pytest.mark.skipif(valgrind.missing() is not None, reason=str(valgrind.missing()))
def test_instructions_are_counted_in_one_process_beside_a_pass_for_the_times(tmp_path: Path) -> None:
    counted = """
import torch

def bench_one(gauge):
    gauge(torch.zeros, 16)

def bench_twice(gauge):
    gauge(lambda: (torch.zeros(16), torch.zeros(16)))
"""
    options = ("--budget", "quick", "--rounds", "1", "--device", "cpu", "--no-ceilings")
    process = start(project(tmp_path, a=counted), *options, "--instruments", "time,instructions", "bench")
    done = finish(process, 400.0)
    assert done.code == 0
    run = read(the_file(tmp_path))
    assert (run.end.measured, run.end.failed) == (2, 0)
    lines = {line.case.name: line for line in run.measurements if line.instrument == "instructions"}
    one, twice = lines["one"], lines["twice"]
    assert one.process == twice.process == 1
    assert 1.5 < twice.samples[0] / one.samples[0] < 2.5
    assert one.samples[0] > one.conditions["empty_loop_instructions"] > 0
    assert any("empty_cpu" in part.name or "zeros" in part.name for part in one.parts)


@pytest.mark.parametrize(
    ("instrument", "seed", "words"),
    [
        ("instructions", None, ["--gauge-seed", "0"]),
        ("instructions", 7, ["--gauge-seed", "7"]),
        ("time", None, []),
    ],
)
def test_a_process_that_counts_draws_no_seed(
    instrument: str, seed: int | None, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    class Started:
        def __init__(self, command: list[str], **_: object) -> None:
            commands.append(command)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(launch.subprocess, "Popen", Started)
    request = launch.Request(paths=["bench"], instruments=[instrument], seed=seed)
    launch._worker(request, tmp_path / "crumb", 0, tmp_path / "run.jsonl", [])
    (command,) = commands
    where = command.index("--gauge-seed") if "--gauge-seed" in command else len(command)
    assert command[where : where + 2] == words


def test_without_valgrind_the_times_are_measured_and_the_run_says_what_is_left_out(tmp_path: Path) -> None:
    folder = project(tmp_path, a="def bench_it(gauge):\n    gauge(int)\n")
    environ = os.environ | {"PATH": str(tmp_path)}
    done = finish(start(folder, *QUICK, "--instruments", "time,instructions", "bench", env=environ))
    assert done.code == 0
    run = read(the_file(tmp_path))
    assert not run.interrupted
    assert {line.instrument for line in run.measurements} == {"time"}
    reason = "cpu: valgrind is missing: install your system's package valgrind"
    assert run.header.config.left_out == {"instructions": reason}
    assert f"instructions is left out on {reason}" in done.error
    alone = finish(start(folder, *QUICK, "--instruments", "instructions", "bench", env=environ))
    assert alone.code == 2
    assert alone.error.splitlines() == [f"torchgauge: error: instructions can't be measured here: {reason}"]
