"""`torchgauge doctor`: its exit codes, and what it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import synthetic
from torchgauge.measure import doctor
from torchgauge.measure.doctor.examination import verdict
from torchgauge.measure.doctor.findings import Finding


@pytest.mark.parametrize(("level", "code"), [("poor", 4), ("note", 0), ("unknown", 0)])
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_doctor_ends_with_4_where_conditions_are_too_poor_and_else_with_0(
    command, monkeypatch: pytest.MonkeyPatch, level: str, code: int, form: str
) -> None:
    found = doctor.Examination(
        schema=1,
        torchgauge="0.1.0",
        taken="2026-03-01T10:00:00+00:00",
        verdict=verdict([Finding(level=level, what="load", value="9.00 on 2 cores")]),
        devices=["cpu"],
        findings=[Finding(level=level, what="load", value="9.00 on 2 cores")],
        paired_difference=0.01,
        moment_spread=0.1,
        precision=[],
        ceilings=[],
        environment=synthetic.header().environment,
    )
    monkeypatch.setattr(doctor, "examine", lambda *_: found)
    done = command("doctor", "--device", "cpu", "--format", form)
    assert done.code == code
    assert "9.00 on 2 cores" in done.out
    assert done.error.startswith("looking at the machine")
    if form == "json":
        assert json.loads(done.out)["findings"][0]["level"] == level


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "gpu"], ["unknown device 'gpu'"]),
        (["--device", "cuda:97"], ["'cuda:97' is not there"]),
        (["--format", "xml"], ["'xml'", "json"]),
        (["bench"], ["bench", "--help"]),
    ],
)
def test_bad_input_of_the_doctor_is_one_line(command, words: list[str], told: list[str]) -> None:
    done = command("doctor", *words)
    assert (done.code, done.out) == (2, "")
    *_, last = done.error.splitlines()
    assert last.startswith("torchgauge: error: ")
    assert all(word in last for word in told)
    assert "Traceback" not in done.error


@pytest.mark.parametrize("missing", ["torch", "pynvml", "pandas"])
def test_the_doctor_names_a_missing_torch_and_needs_neither_nvml_nor_pandas(missing: str) -> None:
    code = f"import sys\nsys.modules[{missing!r}] = None\nfrom torchgauge.cli import main\n"
    code += "from torchgauge.measure import doctor\ndoctor.examine = lambda *_: sys.exit(77)\n" * (
        missing != "torch"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit(main(['doctor']))"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if missing == "torch":
        assert (done.returncode, done.stdout) == (2, "")
        assert "torch is missing" in done.stderr
        assert "'run'" in done.stderr
        assert "Traceback" not in done.stderr
    else:
        assert done.returncode == 77, done.stderr


def test_the_doctor_looks_at_this_machine_without_valgrind(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "torchgauge", "doctor", "--device", "cpu", "--format", "json"],
        env={**os.environ, "PATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in (0, 4), done.stderr
    found = json.loads(done.stdout)
    assert (found["verdict"] == "poor") == (done.returncode == 4)
    (valgrind,) = (one for one in found["findings"] if one["what"] == "instructions")
    assert (valgrind["level"], valgrind["value"]) == ("note", "valgrind is missing")
    assert {one["name"] for one in found["ceilings"]} >= {"copy", "matmul", "operator"}
    assert all(one["peak"] or one["peak_source"] for one in found["ceilings"])
    assert len(found["precision"]) == 3
    assert "Traceback" not in done.stderr
