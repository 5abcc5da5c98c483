"""Cases: which devices and dtypes, what the mark narrows, and ids that stay."""

from __future__ import annotations

import pytest

import torchgauge.measure.setup
from fakes import FakeRun
from torchgauge.errors import TorchgaugeError
from torchgauge.measure import cases, device
from torchgauge.measure.budget import BUDGETS
from torchgauge.measure.device import inventory

pytest_plugins = ["pytester"]


@pytest.fixture
def fake_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    assert torchgauge.measure.setup
    return FakeRun(pytester, monkeypatch)


def measured(fake_run: FakeRun, text: str, *arguments: str, budget: str = "quick", place: str = "cpu"):
    """Run a bench file; give the ids that were measured, and the skips by their ids."""
    fake_run.pytester.path.joinpath("bench_a.py").write_text("import pytest, torch\n" + text, "utf-8")
    result = fake_run(*arguments, budget=budget, device=place)
    assert result.ret == 0, result.stdout.str()
    run = fake_run.run
    skips = {skip.case.id: skip.reason for skip in run.skips}
    return sorted(line.case.id for line in run.measurements), skips


PLAIN = "def bench_it(gauge, device, dtype):\n    gauge(int)\n"


def mark(words: str, text: str = PLAIN) -> str:
    return f"@pytest.mark.gauge({words})\n{text}"


# Dtypes


def test_the_quick_budget_takes_the_first_dtype_that_is_offered(fake_run: FakeRun) -> None:
    found, _ = measured(fake_run, mark("dtypes=['int8', 'float32']"))
    assert found == ["a/it[cpu,int8]"]


def test_the_quick_budget_takes_what_the_mark_says_of_it(fake_run: FakeRun) -> None:
    found, _ = measured(fake_run, mark("dtypes=['int8', 'float32', 'bool'], quick=['float32', 'bool']"))
    assert found == ["a/it[cpu,bool]", "a/it[cpu,float32]"]


def test_the_standard_budget_takes_a_few_dtypes_and_the_thorough_one_all(fake_run: FakeRun) -> None:
    offered = ["float32", "int8", "int16", "int32"]
    found, _ = measured(fake_run, mark(f"dtypes={offered}"), budget="standard")
    few = BUDGETS["standard"].dtypes
    assert 1 < few < 4
    assert found == sorted(f"a/it[cpu,{name}]" for name in offered[:few])
    fake_run.files[0].unlink()
    found, _ = measured(fake_run, mark(f"dtypes={offered}"), budget="thorough")
    assert len(found) == 4


def test_without_a_mark_a_benchmark_offers_the_usual_floats(fake_run: FakeRun) -> None:
    found, _ = measured(fake_run, PLAIN, budget="thorough")
    assert found == sorted(f"a/it[cpu,{name}]" for name in cases.DEFAULT_DTYPES)


def test_a_dtype_that_is_asked_for_and_not_offered_is_a_skip_that_says_what_is(fake_run: FakeRun) -> None:
    found, skips = measured(fake_run, mark("dtypes=['float32', 'int8']"), "--gauge-dtype=int8,float64")
    assert found == ["a/it[cpu,int8]"]
    assert skips == {"a/it[cpu,float64]": "offers float32, int8, not float64"}


def test_all_dtypes_are_all_that_the_benchmark_offers(fake_run: FakeRun) -> None:
    found, skips = measured(fake_run, mark("dtypes=['float32', 'int8']"), "--gauge-dtype=all")
    assert found == ["a/it[cpu,float32]", "a/it[cpu,int8]"]
    assert skips == {}


def test_the_list_of_every_dtype_is_the_same_as_all(fake_run: FakeRun) -> None:
    # what a stored run that was begun with `--dtype all` is resumed with
    found, _ = measured(
        fake_run, mark("dtypes=['float32', 'int8']"), "--gauge-dtype", ",".join(device.DTYPES)
    )
    assert found == ["a/it[cpu,float32]", "a/it[cpu,int8]"]


def test_tf32_on_the_cpu_is_a_skip_where_a_benchmark_offers_it(fake_run: FakeRun) -> None:
    found, skips = measured(fake_run, mark("dtypes=['float32', 'tf32']"), "--gauge-dtype=all")
    assert found == ["a/it[cpu,float32]"]
    assert "tf32" in skips["a/it[cpu,tf32]"]


def test_a_benchmarks_own_dtypes_are_left_as_they_are(fake_run: FakeRun) -> None:
    text = "@pytest.mark.parametrize('dtype', [torch.int16, torch.bool])\n" + PLAIN
    found, _ = measured(fake_run, text)
    assert found == ["a/it[cpu,bool]", "a/it[cpu,int16]"]


def test_a_functions_mark_comes_before_its_modules(fake_run: FakeRun) -> None:
    text = "pytestmark = pytest.mark.gauge(dtypes=['float64'])\n" + mark("dtypes=['int8']")
    text += "def bench_other(gauge, dtype):\n    gauge(int)\n"
    found, _ = measured(fake_run, text)
    assert found == ["a/it[cpu,int8]", "a/other[cpu,float64]"]


@pytest.mark.parametrize("spec", ["float31", "float32,nope", "", "float32,"])
def test_an_unknown_dtype_is_refused_by_name(spec: str) -> None:
    with pytest.raises(TorchgaugeError, match="unknown dtype"):
        cases.choose_dtypes(spec, ["cpu"])


def test_a_dtype_that_no_chosen_device_can_do_is_refused_with_the_reason() -> None:
    with pytest.raises(TorchgaugeError, match="'tf32' can't be measured: tf32 is a mode of CUDA"):
        cases.choose_dtypes("tf32", ["cpu"])


# Devices and budgets


def test_a_benchmark_for_other_devices_is_a_skip_that_names_them(fake_run: FakeRun) -> None:
    found, skips = measured(fake_run, mark("devices=['cuda', 'xpu']"))
    assert found == []
    assert skips == {"a/it[cpu,float32]": "measured on cuda or xpu only"}


@pytest.mark.parametrize(
    ("allowed", "place", "runs"),
    [
        ("['cuda']", "cuda:1", True),
        ("['cuda:1']", "cuda:1", True),
        ("['cuda:0']", "cuda:1", False),
        ("['accelerator']", "cuda:1", True),
        ("['cpu']", "cuda:1", False),
        ("['cpu', 'mps']", "cpu", True),
        ("['accelerator']", "cpu", False),
    ],
)
def test_a_mark_narrows_devices_by_kind_by_name_or_to_accelerators(
    fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch, allowed: str, place: str, runs: bool
) -> None:
    monkeypatch.setattr(inventory, "available", lambda: ["cpu", "cuda:0", "cuda:1"])
    monkeypatch.setattr(device, "release", lambda _: None)
    text = mark(f"devices={allowed}", "def bench_it(gauge, device):\n    gauge(int)\n")
    found, skips = measured(fake_run, text, place=place)
    assert bool(found) is runs
    assert bool(skips) is not runs


def test_each_chosen_device_is_a_case_of_its_own(fake_run: FakeRun, monkeypatch) -> None:
    monkeypatch.setattr(inventory, "available", lambda: ["cpu", "cuda:0"])
    found, _ = measured(fake_run, "def bench_it(gauge, device):\n    gauge(int)\n", place="all")
    assert found == ["a/it[cpu]", "a/it[cuda:0]"]


def test_a_larger_budgets_cases_are_left_out_without_a_word_in_the_file(fake_run: FakeRun) -> None:
    text = mark("budget='thorough'") + "def bench_other(gauge):\n    gauge(int)\n"
    found, skips = measured(fake_run, text, budget="standard")
    assert found == ["a/other[cpu]"]
    assert skips == {}


def test_a_mark_on_one_parameter_puts_that_one_into_a_larger_budget(fake_run: FakeRun) -> None:
    text = (
        "large = pytest.param(2**20, marks=pytest.mark.gauge(budget='standard'))\n"
        "@pytest.mark.parametrize('n', [8, large])\ndef bench_it(gauge, n):\n    gauge(int)\n"
    )
    found, _ = measured(fake_run, text)
    assert found == ["a/it[cpu,n=8]"]
    fake_run.files[0].unlink()
    found, _ = measured(fake_run, text, budget="standard")
    assert found == ["a/it[cpu,n=1048576]", "a/it[cpu,n=8]"]


# Ids


def test_an_id_is_group_name_device_dtype_and_parameters(fake_run: FakeRun) -> None:
    text = (
        "@pytest.mark.parametrize('n', [8])\n@pytest.mark.parametrize('form', ['in-place'])\n"
        "def bench_add(gauge, device, dtype, form, n):\n    gauge(int)\n"
    )
    found, _ = measured(fake_run, text)
    assert len(found) == 1
    assert found[0].startswith("a/add[cpu,float32,")
    case = fake_run.run.measurements[0].case
    assert (case.group, case.name, case.device, case.dtype) == ("a", "add", "cpu", "float32")
    assert case.params == {"n": 8, "form": "in-place"}


def test_parameters_that_are_objects_are_named_in_words(fake_run: FakeRun) -> None:
    text = (
        "@pytest.mark.parametrize('v', [torch.int8, torch.nn.ReLU, torch.relu, None, True, 0.5, 'a\\x1bb'])\n"
        "def bench_it(gauge, v):\n    gauge(int)\n"
    )
    found, _ = measured(fake_run, text)
    assert found == sorted(f"a/it[cpu,v={v}]" for v in ["int8", "ReLU", "relu", "None", "True", "0.5", "ab"])


def test_numbers_of_numpy_are_numbers(fake_run: FakeRun) -> None:
    text = (
        "import enum, numpy\n\nclass Size(enum.IntEnum):\n    SMALL = 3\n\n"
        "@pytest.mark.parametrize('v', [numpy.float64(0.5), numpy.int32(7), Size.SMALL, numpy.True_])\n"
        "def bench_it(gauge, v):\n    gauge(int)\n"
    )
    found, _ = measured(fake_run, text)
    assert found == sorted(f"a/it[cpu,v={v}]" for v in ("0.5", "7", "3", "True"))


def test_parametrize_may_be_given_its_arguments_by_name(fake_run: FakeRun) -> None:
    text = (
        "@pytest.mark.parametrize(argnames=['n', 'dtype'], argvalues=[(1, torch.int8)])\n"
        "def bench_it(gauge, device, dtype, n):\n    gauge(int)\n"
    )
    found, _ = measured(fake_run, text)
    assert [key.partition("[")[0] for key in found] == ["a/it"]
    assert "int8" in found[0]


def test_a_dtype_named_twice_is_measured_once(fake_run: FakeRun) -> None:
    found, _ = measured(fake_run, PLAIN, "--gauge-dtype=float32,float32")
    assert found == ["a/it[cpu,float32]"]


def test_an_object_without_a_name_is_named_without_its_place_in_memory(fake_run: FakeRun) -> None:
    text = (
        "class Thing:\n    pass\n\n@pytest.mark.parametrize('v', [Thing()])\n"
        "def bench_it(gauge, v):\n    gauge(int)\n"
    )
    found, _ = measured(fake_run, text)
    assert found == ["a/it[cpu,v=<bench_a.Thing object>]"]


def test_a_benchmark_in_a_class_is_named_with_it(fake_run: FakeRun) -> None:
    text = "class TestSmall:\n    def bench_it(self, gauge):\n        gauge(int)\n"
    assert measured(fake_run, text)[0] == ["a/TestSmall.it[cpu]"]
