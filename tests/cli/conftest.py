"""The command in a folder of its own, and what a refusal looks like."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import torchgauge.measure.setup
from torchgauge import cli
from torchgauge.measure import launch, worker


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with benchmarks, in which the command is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/bench_a.py").write_text("def bench_it(gauge, device, dtype):\n    gauge(int)\n")
    return tmp_path


@pytest.fixture
def command(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., SimpleNamespace]:
    """Run the command in this process, its workers too: a process of their own costs seconds."""
    assert torchgauge.measure.setup

    class Closing(worker.Worker):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            self.streams = [self.stdout, self.stderr]
            made.append(self)

    made: list[Closing] = []
    monkeypatch.setattr(worker, "Worker", Closing)

    class InProcess:
        def __init__(self, words: list[str], **_: object) -> None:
            self._words = words[words.index("torchgauge.measure.worker") + 1 :]

        def wait(self) -> int:
            path = list(sys.path)
            try:
                return worker.main(self._words)
            finally:
                sys.path[:] = path
                for name in [name for name in sys.modules if name.startswith(("bench_", "conftest"))]:
                    del sys.modules[name]
                for stream in made.pop().streams:
                    stream.close()

    monkeypatch.setattr(launch, "subprocess", SimpleNamespace(Popen=InProcess))

    def run(*words: str) -> SimpleNamespace:
        capfd.readouterr()
        try:
            code = cli.main(words)
        except SystemExit as stop:
            code = stop.code
        out, error = capfd.readouterr()
        return SimpleNamespace(code=code, out=out, error=error)

    return run


@pytest.fixture
def refused() -> Callable[..., None]:
    """Check for one line on stderr, nothing on stdout, exit code 2."""

    def check(done: SimpleNamespace, *words: str) -> None:
        assert done.code == 2, done
        assert done.out == ""
        lines = [line for line in done.error.splitlines() if line.strip()]
        assert len(lines) == 1, done.error
        assert lines[0].startswith("torchgauge: error: ")
        for word in words:
            assert word in lines[0]

    return check
