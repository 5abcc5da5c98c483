"""A process under callgrind: how it is started, and what its dumps say."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import valgrind

# A dump as callgrind writes it without lines: names once, then by number; behind `calls=` the callee's cost.
DUMP = """\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 4711
cmd:  python -m benchmark
part: 2

desc: I1 cache:
positions: line
events: Ir
summary: 1290

ob=(1) /usr/lib/libpython3.11.so
fl=(1) ???
fn=(1) _PyEval_EvalFrameDefault
0 500
cob=(2) /usr/lib/libtorch_cpu.so
cfn=(2) at::_ops::add(at::Tensor const&)
calls=100 0
0 700
0 20

fn=(3) _PyObject_Free
+0 70

ob=(2)
fn=(2)
0 600
cfn=(3)
calls=3 0
* 21
* 100

totals: 1290
"""


def test_a_dump_gives_each_functions_own_cost_and_not_what_its_callees_cost() -> None:
    found = valgrind.Dump(DUMP)
    assert found.functions == {
        "_PyEval_EvalFrameDefault": 520,
        "_PyObject_Free": 70,
        "at::_ops::add(at::Tensor const&)": 700,
    }
    assert found.total == 1290


def test_a_dump_gives_what_all_calls_of_a_function_cost_with_what_they_call() -> None:
    assert valgrind.Dump(DUMP).callees == {"at::_ops::add(at::Tensor const&)": 700, "_PyObject_Free": 21}


@pytest.mark.parametrize("text", ["", "\n", DUMP[: DUMP.rindex("totals")], DUMP[: DUMP.rindex("1290")]])
def test_a_dump_that_is_cut_off_is_one_line_and_no_count(text: str) -> None:
    with pytest.raises(TorchgaugeError, match="not whole"):
        assert valgrind.Dump(text).total


def test_the_functions_of_a_dump_sum_up_to_its_total() -> None:
    assert sum(valgrind.Dump(DUMP).functions.values()) == valgrind.Dump(DUMP).total


def test_a_counted_process_has_one_thread_one_hash_seed_and_few_variables() -> None:
    given = {
        "PATH": "/bin",
        "HOME": "/root",
        "LC_ALL": "C",
        "SECRET": "x",
        "OMP_NUM_THREADS": "8",
        "LS_COLORS": "",
    }
    found = valgrind.environment(given, Path("/tmp/t"))
    assert found == {
        "PATH": "/bin",
        "HOME": "/root",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        valgrind.DUMPS: "/tmp/t/dump",
    }


def test_without_valgrind_the_package_to_install_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert valgrind.missing() == "valgrind is missing: install your system's package valgrind"
    monkeypatch.setattr("torch._C._valgrind_supported_platform", lambda: True)
    assert valgrind.lacking("cpu") == valgrind.missing()


def test_on_another_system_it_is_said_that_linux_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert valgrind.missing() == "instructions are counted by valgrind on Linux, this is darwin"


def test_a_torch_without_the_bindings_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch._C._valgrind_supported_platform", lambda: False)
    assert "built without callgrind's bindings" in (valgrind.lacking("cpu") or "")
    monkeypatch.delattr("torch._C._valgrind_supported_platform")
    assert "built without callgrind's bindings" in (valgrind.lacking("cpu") or "")


def test_a_device_other_than_the_cpu_is_not_counted() -> None:
    assert "say --device cpu" in (valgrind.lacking("cuda:0") or "")


def test_outside_callgrind_nothing_can_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(valgrind.DUMPS, raising=False)
    with pytest.raises(TorchgaugeError, match="use torchgauge run"):
        valgrind.Callgrind()


def test_a_dump_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(valgrind.DUMPS, str(tmp_path / "dump"))
    counter = valgrind.Callgrind()
    monkeypatch.setattr(counter, "_instrument", lambda: None)
    with pytest.raises(TorchgaugeError, match="callgrind left no counts"):
        counter.count([lambda: None])
