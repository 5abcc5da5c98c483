"""A side that the kernel kills, because its control group has no memory left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

GROUPS = Path("/sys/fs/cgroup")
LIMIT = 3 * 2**30
BENCH = """
import torch

def bench_calm(gauge):
    gauge(torch.ones(64).sum)

def bench_grows(gauge):
    gauge(lambda: [torch.ones(2**28) for _ in range(8)])
"""
MEASURE = """
import json, os, sys
from pathlib import Path

Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))

from torchgauge.measure.ab.conductor import Conductor, Request
from torchgauge.measure.sides import Spec, prepared

here = Spec("here")
with prepared(here, here, repository=Path.cwd(), source=None, bench_from="head") as sides:
    conductor = Conductor(*sides, Request(["bench"], seed=1), lambda _: None)
    cast = conductor.introduce()
    conductor.begin(cast, lambda line: None)
    (seen,) = conductor.measure(list(cast.cases))
print(json.dumps({"failed": seen.failed, "measured": list(seen.ratios)}))
"""


def own(controller: str) -> Path:
    """Give the folder of this process's control group."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == controller:
            return GROUPS / controller / path.lstrip("/")
    raise FileNotFoundError(controller)


@pytest.fixture
def group() -> Iterator[Path]:
    """Make a control group of 3 GiB, under either version of control groups."""
    try:
        old = (GROUPS / "memory").is_dir()
        made = own("memory" if old else "") / f"torchgauge-{os.getpid()}"
        made.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        try:
            (made / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(LIMIT))
        except OSError as error:
            pytest.skip(f"a control group's memory can't be limited here: {error}")
        swap = made / ("memory.memsw.limit_in_bytes" if old else "memory.swap.max")
        if swap.exists():
            swap.write_text(str(LIMIT if old else 0))
        yield made
    finally:
        made.rmdir()


def killed(group: Path) -> int:
    """Give how many processes of the group the kernel killed."""
    names = ("memory.oom_control", "memory.events")
    text = next((group / name).read_text() for name in names if (group / name).exists())
    return int(dict(line.split() for line in text.splitlines())["oom_kill"])


def test_a_side_killed_for_memory_fails_its_case_alone_and_is_told(group: Path, tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench_memory.py").write_text(BENCH)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(group)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert killed(group) > 0
    said = json.loads(done.stdout)
    ((case, why),) = said["failed"].items()
    assert case.startswith("memory/grows")
    assert "process: Exit: was killed (SIGKILL): the machine may have run out of memory" in why
    assert any(case.startswith("memory/calm") for case in said["measured"])
