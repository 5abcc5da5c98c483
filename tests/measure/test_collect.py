"""What is collected: benchmarks, the user's own tests, files that do not import, and what is refused."""

from __future__ import annotations

import pytest

import torchgauge.measure.setup
from fakes import FakeRun

pytest_plugins = ["pytester"]

SOUND = "def bench_sound(gauge):\n    gauge(int)\n"


@pytest.fixture
def fake_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    assert torchgauge.measure.setup  # imported before pytester notes which modules there are
    return FakeRun(pytester, monkeypatch)


def test_a_file_that_does_not_import_is_a_failure_and_the_others_run_on(fake_run: FakeRun) -> None:
    fake_run.pytester.makepyfile(bench_a=SOUND, bench_broken="import a_module_that_is_not_there")
    assert fake_run("--continue-on-collection-errors").ret == 1
    run = fake_run.run
    assert [line.case.id for line in run.measurements] == ["a/sound[cpu]"]
    (failure,) = run.failures
    assert (failure.stage, failure.case.group) == ("collection", "broken")
    assert "a_module_that_is_not_there" in failure.message


def test_two_files_of_one_name_are_told_so(fake_run: FakeRun) -> None:
    for folder in ("one", "two"):
        fake_run.pytester.mkdir(folder).joinpath("bench_a.py").write_text(SOUND)
    fake_run("--continue-on-collection-errors")
    (failure,) = fake_run.run.failures
    assert "has the same name" in failure.message


def test_under_xdist_nothing_is_measured(fake_run: FakeRun) -> None:
    fake_run.pytester.makeconftest(
        "def pytest_addoption(parser):\n    parser.addoption('--numprocesses', type=int)\n"
    )
    fake_run.pytester.makepyfile(bench_a=SOUND)
    result = fake_run("-p", "no:xdist", "--numprocesses=2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*xdist*leave out -n*"])
    assert fake_run.files == []


def test_a_users_own_tests_run_beside_the_benchmarks_and_are_not_recorded(fake_run: FakeRun) -> None:
    fake_run.pytester.makepyfile(bench_a=SOUND, test_own="def test_own():\n    pass")
    fake_run().assert_outcomes(passed=2)
    assert [line.case.id for line in fake_run.run.measurements] == ["a/sound[cpu]"]


def test_another_plugins_gauge_is_not_taken_for_ours(fake_run: FakeRun) -> None:
    own = "import pytest\n\n@pytest.fixture\ndef gauge():\n    return lambda fn: fn()\n\n" + SOUND
    fake_run.pytester.makepyfile(bench_a=SOUND, bench_own=own)
    fake_run().assert_outcomes(passed=2)
    assert [line.case.id for line in fake_run.run.measurements] == ["a/sound[cpu]"]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("dtype=['float32']", "not dtype"),
        ("['float32']", "positional"),
        ("dtypes=['float31']", "unknown dtype 'float31'"),
        ("quick=['nope']", "unknown dtype 'nope'"),
        ("budget='huge'", "unknown budget 'huge'"),
    ],
)
@pytest.mark.parametrize("arguments", ["gauge", "gauge, dtype"])
def test_a_wrong_mark_is_refused_before_anything_is_measured(
    fake_run: FakeRun, words: str, cause: str, arguments: str
) -> None:
    marked = f"import pytest\n@pytest.mark.gauge({words})\ndef bench_it({arguments}):\n    gauge(int)\n"
    fake_run.pytester.path.joinpath("bench_a.py").write_text(marked + SOUND, "utf-8")
    result = fake_run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert cause in result.stderr.str()
    assert "bench_it" in result.stderr.str()
    assert fake_run.files == []


def test_two_benchmarks_with_the_same_id_are_refused_by_their_names(fake_run: FakeRun) -> None:
    for folder in ("one", "two"):
        fake_run.pytester.mkpydir(folder).joinpath("bench_a.py").write_text(
            "def bench_it(gauge):\n    gauge(int)\n"
        )
    result = fake_run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*one/bench_a.py::bench_it and two/bench_a.py::bench_it share the case id*"])
    assert fake_run.files == []
