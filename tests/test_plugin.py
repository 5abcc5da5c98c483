"""The plugin as a guest: other people's pytest runs are as if it were not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

import torchgauge.measure.setup
from torchgauge import plugin

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--device", default="none")
    parser.addoption("--dtype", default="none")

@pytest.fixture
def device(request):
    return "the host's own " + request.config.getoption("--device")

@pytest.fixture
def dtype():
    return "the host's own dtype"
"""
TESTS = """
import sys

def test_the_fixtures_are_the_hosts(device, dtype):
    assert device == "the host's own gpu7"
    assert dtype == "the host's own dtype"

def test_pytest_benchmark_is_as_ever(benchmark):
    assert benchmark(lambda: 42) == 42

def bench_is_no_test():
    raise AssertionError

def test_nothing_heavy_was_imported():
    assert "torch" not in sys.modules
    assert not [name for name in sys.modules if name.startswith("torchgauge.measure")]
"""
OWN_GAUGE = """
import pytest

@pytest.fixture
def gauge():
    return "a pressure"

@pytest.mark.parametrize("dtype", ["f4"])
def test_a_hosts_own_gauge_is_its_own(gauge, device, dtype):
    assert gauge == "a pressure"
    assert device == "the host's own gpu7"
    assert dtype == "f4"
"""


def test_a_host_with_its_own_device_option_and_fixture_passes_unchanged(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_host.py").write_text(TESTS)
    (tmp_path / "test_own.py").write_text(OWN_GAUGE)
    (tmp_path / "bench_host.py").write_text("raise AssertionError('collected')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    words = ["-m", "pytest", "-q", "-W", "error", "--strict-markers", "--strict-config", "--device", "gpu7"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    assert not (tmp_path / "results").exists()


@pytest.fixture
def plain(pytester: pytest.Pytester):
    """Run a test file in a plain pytest run, in this process."""
    assert torchgauge.measure.setup  # imported before pytester notes which modules there are

    def run(text: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_it="import pytest, torch\n" + text)
        return pytester.runpytest_inprocess("-p", "no:hypothesispytest", "-W", "error", *arguments)

    return run


def test_in_a_plain_run_the_measured_line_is_called_once_and_nothing_is_written(
    plain, pytester: pytest.Pytester
) -> None:
    text = """
calls = []

def test_measured(gauge, device, dtype):
    assert device == torch.device("cpu")
    gauge.work(flop=1)
    assert gauge(lambda: calls.append(1) or "result") == "result"
    assert (dtype, calls) == (torch.float32, [1])
"""
    plain(text).assert_outcomes(passed=1)
    assert not (pytester.path / "results").exists()


def test_in_a_plain_run_a_mark_narrows_the_dtypes(plain) -> None:
    text = """
@pytest.mark.gauge(dtypes=["int8", "float32"])
def test_measured(gauge, dtype):
    assert gauge(lambda: dtype) is torch.int8
"""
    plain(text, "--strict-markers").assert_outcomes(passed=1)


def test_in_a_plain_run_misuse_is_an_error_of_the_test(plain) -> None:
    text = """
def test_never(gauge):
    pass

def test_twice(gauge):
    gauge(int)
    gauge(int)
"""
    result = plain(text)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines_random(["*never called*", "*called twice*"])


def test_in_a_plain_run_a_wrong_mark_is_an_error_of_its_file(plain) -> None:
    result = plain("@pytest.mark.gauge(dtype=['int8'])\ndef test_it(gauge, dtype):\n    gauge(int)\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the gauge mark takes dtypes=*"])


def test_device_and_dtype_are_given_only_to_functions_that_ask_for_gauge(plain) -> None:
    plain("def test_it(device):\n    pass\n").assert_outcomes(errors=1)


def test_tests_beside_benchmarks_run_too_when_measuring(plain, pytester: pytest.Pytester) -> None:
    text = "def test_one():\n    pass\n\ndef test_two(gauge):\n    gauge(int)\n"
    result = plain(text, "--gauge-measure", "--gauge-rounds=1", "--gauge-no-ceilings")
    result.assert_outcomes(passed=2)
    assert len(list(pytester.path.glob("results/*.jsonl"))) == 1


def test_every_option_says_whose_it_is(pytester: pytest.Pytester) -> None:
    class Group:
        names: ClassVar[list[str]] = []

        def addoption(self, *names: str, **_: object) -> None:
            self.names += names

    class Parser:
        def getgroup(self, *_: str) -> Group:
            return Group()

    plugin.pytest_addoption(Parser())
    assert Group.names
    assert [name for name in Group.names if not name.startswith("--gauge-")] == []


@pytest.mark.parametrize(
    ("option", "cause"),
    [
        ("--gauge-device=gpu", "unknown device 'gpu'; this machine has cpu"),
        ("--gauge-dtype=float31", "unknown dtype 'float31'"),
        ("--gauge-rounds=0", "rounds"),
        ("--gauge-rounds=-1", "rounds"),
    ],
)
def test_a_bad_option_ends_a_measuring_run_before_it_begins(
    plain, pytester: pytest.Pytester, option: str, cause: str
) -> None:
    result = plain("def test_it(gauge):\n    gauge(int)\n", "--gauge-measure", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert cause in result.stderr.str()
    assert "Traceback" not in result.stderr.str()
    assert not (pytester.path / "results").exists()
