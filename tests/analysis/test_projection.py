from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import synthetic
from torchgauge.analysis.frame import summaries, with_params
from torchgauge.analysis.projection import project
from torchgauge.analysis.ratio import Ratio, Value, ratio_of
from torchgauge.errors import TorchgaugeError
from torchgauge.record import Run


def run(run_id: str = "5eed0001", *, speed: float = 1.0, host: str = "box", threads: int = 2, **more) -> Run:
    settings = {"failures": [], "rounds": 3, "seed": int(run_id, 16)} | more
    made = synthetic.run(run_id=run_id, speed=speed, host=host, **settings)
    environment = made.header.environment
    torch = msgspec.structs.replace(environment.torch, threads=threads)
    environment = msgspec.structs.replace(environment, torch=torch, fingerprint=f"f{threads}{host}")
    return replace(made, header=msgspec.structs.replace(made.header, environment=environment))


def small(dtypes=("float32", "float64"), sizes=(32, 128)):
    seconds = {"float32": 1e-5, "float64": 2e-5, "float16": 8e-5}
    return [
        (synthetic.case("matmul", name, dtype=dtype, n=n), seconds[dtype] * n, {})
        for name in ("square", "batched")
        for dtype in dtypes
        for n in sizes
    ]


def values(*runs: Run):
    """Give the headlines by hand: one row a case."""
    frame = with_params(summaries(runs))
    return frame[frame["metric"] == "time"]


def test_dtypes_side_by_side_have_the_ratios_that_pandas_gives_by_hand() -> None:
    one = run(cases=small())
    found = project([one], ["case"], ["dtype"])
    table = values(one).pivot(index=["name", "n"], columns="dtype", values="value")
    expected = table["float64"] / table["float32"]
    assert found.columns == (("float32",), ("float64",))
    assert len(found.rows) == 4
    for (row, column), cell in found.cells.items():
        name, n = row[0].removeprefix("matmul/").removesuffix("]").split("[cpu,n=")
        by_hand = table.loc[(name, int(n))]
        assert cell.value is not None
        assert cell.value.value == by_hand[column[0]]
        if column == ("float64",):
            assert cell.ratio is not None
            assert cell.ratio.value == pytest.approx(expected.loc[(name, int(n))])
            assert cell.ratio.differs
        else:
            assert cell.ratio is None
    mean = found.means[1]
    assert mean is not None
    assert mean.value == pytest.approx(math.exp(expected.map(math.log).mean()))
    assert (mean.cases, mean.without) == (4, 0)
    assert found.means[0] is None
    assert found.varying == {}


@pytest.mark.parametrize(
    ("key", "other", "columns"),
    [("threads", {"threads": 8}, ((2,), (8,))), ("machine", {"host": "yonder"}, (("box",), ("yonder",)))],
)
def test_runs_side_by_side_have_the_ratios_that_pandas_gives_by_hand(key, other, columns) -> None:
    one, two = run(cases=small()), run("5eed0002", speed=2.0, cases=small(), **other)
    found = project([one, two], ["case"], [key])
    table = values(one, two).pivot(index="case", columns="run", values="value")
    expected = table["5eed0002"] / table["5eed0001"]
    assert found.columns == columns
    got = {row[0]: found.cells[row, columns[1]].ratio for row in found.rows}
    assert {case: ratio.value for case, ratio in got.items() if ratio} == pytest.approx(expected.to_dict())
    assert found.runs == (("5eed0001",), ("5eed0002",))
    assert len({*found.fingerprints}) == 2


def test_what_else_varies_between_columns_is_named_and_what_is_constant_too() -> None:
    one, two = run(cases=small()), run("5eed0002", host="yonder", threads=8, cases=small())
    found = project([one, two], ["case"], ["machine"])
    assert found.varying == {"threads": (2, 8)}
    assert found.constant["torch"] == "2.13.0+cpu"
    assert found.constant["device"] == "cpu"
    assert "dtype" not in found.constant
    assert project([one, two], ["case"], ["machine", "threads"]).varying == {}


def test_a_parameter_and_a_fact_of_the_environment_are_keys_too() -> None:
    found = project([run(cases=small())], ["name", "dtype"], ["n"])
    assert found.columns == ((32,), (128,))
    assert found.rows[0] == ("batched", "float32")
    cell = found.cells[("square", "float32"), (128,)]
    assert cell.ratio is not None
    assert cell.ratio.value == pytest.approx(4, rel=0.2)
    assert project([run(cases=small())], ["case"], ["torch.blas"]).columns == (("mkl",),)


def test_a_cell_of_many_cases_is_compared_case_by_case_where_both_columns_have_them() -> None:
    cases = [*small(), (synthetic.case("matmul", "square", dtype="float64", n=9999), 1.0, {})]
    one = run(cases=cases)
    found = project([one], ["group"], ["dtype"])
    table = values(one).pivot(index=["name", "n"], columns="dtype", values="value")
    both = table.dropna()
    cell = found.cells[("matmul",), ("float64",)]
    assert (cell.cases, cell.matched) == (5, 4)
    assert cell.value is not None
    assert cell.value.value == pytest.approx(math.exp(table["float64"].map(math.log).mean()))
    assert cell.ratio is not None
    assert cell.ratio.value == pytest.approx(
        math.exp((both["float64"] / both["float32"]).map(math.log).mean())
    )


def test_several_runs_of_one_cell_are_joined_with_the_interval_from_between_them() -> None:
    runs = [run(f"5eed000{n}", speed=1 + 0.1 * n, cases=small()) for n in range(1, 5)]
    found = project(runs, ["case"], ["machine"])
    assert len(found.columns) == 1
    table = values(*runs)
    cell = found.cells[found.rows[0], ("box",)]
    mine = table[table["case"] == "matmul/batched[cpu,float64,n=32]"]["value"]
    cell = found.cells[("matmul/batched[cpu,float64,n=32]",), ("box",)]
    assert cell.repeats == 4
    assert cell.value is not None
    assert cell.value.value == pytest.approx(math.exp(mine.map(math.log).mean()))
    half = 3.1824 * mine.map(math.log).std() / 2
    assert cell.value.high == pytest.approx(cell.value.value * math.exp(half), rel=1e-4)


def test_two_ways_of_measuring_one_device_are_not_compared_and_devices_are() -> None:
    one = run(cases=small())
    two = run("5eed0002", cases=small())
    other = replace(
        two, measurements=[msgspec.structs.replace(line, method="another") for line in two.measurements]
    )
    found = project([one, other], ["case"], ["run"])
    assert found.mismatched == len(found.rows) == 8
    assert found.means == (None, None)
    assert found.varying["method"] == ("another", "host-clock")
    cases = [(synthetic.case("g", "b", device, n=1), 1e-5, {}) for device in ("cpu", "cuda:0")]
    both = synthetic.run(("cpu", "cuda:0"), cases=cases, rounds=3)
    across = project([both], ["case"], ["device"])
    assert across.columns == (("cpu",), ("cuda:0",))
    assert across.means[1] is not None
    assert across.varying["method"] == ("device-events", "host-clock")


def test_where_holds_keys_to_values_and_chooses_the_metric() -> None:
    one = run(cases=small())
    found = project([one], where={"dtype": ["float64"], "n": ["32"]})
    assert found.rows == (("matmul/batched[cpu,float64,n=32]",), ("matmul/square[cpu,float64,n=32]",))
    firsts = project([one], where={"metric": ["first_call"]})
    assert firsts.constant["metric"] == "first_call"


def test_the_baseline_is_the_first_column_with_a_value_or_the_one_that_is_named() -> None:
    cases = [*small(), (synthetic.case("matmul", "square", dtype=None, n=32), 1e-5, {})]
    one = run(cases=cases)
    found = project([one], ["name", "n"], ["dtype"])
    assert found.columns[found.baseline] == ("float32",)
    named = project([one], ["name", "n"], ["dtype"], baseline=["float64"])
    assert named.columns[named.baseline] == ("float64",)
    with pytest.raises(TorchgaugeError, match="no column int8 of dtype: there are null, float32, float64"):
        project([one], ["case"], ["dtype"], baseline=["int8"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"rows": ["color"]}, "no key 'color' in these runs: there are case, group, name"),
        ({"where": {"color": ["red"]}}, "no key 'color'"),
        ({"rows": ["case", "run"]}, "run stands on both rows and columns, or twice"),
        ({"where": {"dtype": ["int8"]}}, "--where dtype=int8 leaves nothing of these runs"),
    ],
)
def test_what_can_not_be_laid_out_is_refused_in_one_line(arguments, told) -> None:
    with pytest.raises(TorchgaugeError, match=told) as refused:
        project([run(cases=small())], **arguments)
    assert "\n" not in str(refused.value)


def test_a_case_that_failed_stays_visible() -> None:
    found = project([run(failures=None)])
    cell = found.cells[("mine/broken[cpu]",), ("5eed0001",)]
    assert (cell.value, cell.failed) == (None, 1)


def test_a_value_of_zero_has_no_ratio_and_harms_none() -> None:
    cases = small()
    one, two = run(cases=cases), run("5eed0002", cases=cases)
    nothing = replace(
        two,
        measurements=[
            msgspec.structs.replace(line, samples=[0.0] * len(line.samples)) for line in two.measurements
        ],
    )
    found = project([one, nothing])
    assert all(found.cells[row, ("5eed0002",)].ratio is None for row in found.rows)
    assert project([one, nothing], ["group"], ["run"]).cells[("matmul",), ("5eed0002",)].value == Value(0.0)


def test_the_interval_of_a_ratio_is_recovered_from_both() -> None:
    # log 2, with log half widths 0.3 and 0.4: 0.5 together
    base = Value(1.0, math.exp(-0.3), math.exp(0.3))
    other = Value(2.0, 2 * math.exp(-0.4), 2 * math.exp(0.4))
    found = ratio_of(base, other)
    assert found.value == pytest.approx(2)
    assert (found.low, found.high) == (pytest.approx(2 * math.exp(-0.5)), pytest.approx(2 * math.exp(0.5)))
    assert ratio_of(base, Value(2.0)) == Ratio(2.0, None, None, 1)
    assert not ratio_of(base, Value(2.0)).differs


positive = st.floats(1e-9, 1e3)


@given(positive, positive, st.floats(1e-3, 1.0), st.floats(1e-3, 1.0))
def test_the_inverse_ratio_has_the_inverse_interval(one, other, down, up) -> None:
    base, head = (
        Value(one, one * math.exp(-down), one * math.exp(up)),
        Value(other, other * math.exp(-up), other),
    )
    there, back = ratio_of(base, head), ratio_of(head, base)
    assert there.value * back.value == pytest.approx(1)
    assert there.low is not None
    assert back.high is not None
    assert there.low * back.high == pytest.approx(1)
    assert there.low <= there.value <= (there.high or 0)
