"""What torch imports late, in real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchgauge.measure.ab.conductor import Conductor, Request
from torchgauge.measure.sides import Spec, prepared

LATE_BENCH = """
import os, sys

with open(os.environ["NOTED"], "a") as noted:
    print("torch._dynamo" in sys.modules, file=noted)

def work():
    return sum(range(2000))

def bench_imports_late(gauge):
    import torch._dynamo
    gauge(work)
"""


def test_what_both_sides_import_late_is_imported_at_the_start_of_the_next_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = tmp_path / "noted"
    monkeypatch.setenv("NOTED", str(noted))
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench_late.py").write_text(LATE_BENCH)
    here = Spec("here")
    with prepared(here, here, repository=tmp_path, source=None, bench_from="head") as sides:
        conductor = Conductor(*sides, Request(["bench"], seed=1, patience=60.0), lambda _: None)
        conductor.begin(cast := conductor.introduce(), lambda _: None)
        for _ in range(2):
            conductor.measure(list(cast.cases))
    assert noted.read_text().split() == ["False"] * 4 + ["True"] * 2
