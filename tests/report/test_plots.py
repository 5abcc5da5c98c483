from __future__ import annotations

import random

import pytest

import synthetic
from torchgauge.analysis.frame import summaries
from torchgauge.report.bars import breakdown
from torchgauge.report.heat import heat_map
from torchgauge.report.plots import over_size, short, ticks
from torchgauge.report.points import benchmarks


def parts(cases, **options):
    frame = summaries([synthetic.run(cases=cases, failures=[], **options)])
    return benchmarks(frame[frame["metric"] != "first_call"])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1e-6, 1e-3, [1e-6, 1e-5, 1e-4, 1e-3]),
        (2e-6, 3e-5, [2e-6, 5e-6, 1e-5, 2e-5]),
        (2e-6, 1e-4, [3e-6, 1e-5, 3e-5, 1e-4]),
        (1.5, 9.0, [2.0, 5.0]),
        (1.1, 1.3, [1.1, 1.3]),
    ],
)
def test_ticks_are_round_and_few(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_ticks_are_few_over_any_range():
    assert all(2 <= len(ticks(1e-9, 10.0**power)) <= 7 for power in range(-7, 15))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1024, "2¹⁰"),
        (512, "512"),
        (1000, "1,000"),
        (10_000, "10k"),
        (10**6, "1M"),
        ("2x3", "2x3"),
        (0.5, "0.5"),
    ],
)
def test_sizes_are_short_on_an_axis(value, text):
    assert short(value) == text


def test_time_alone_where_no_work_is_stated_and_rate_beside_it_else():
    cases = [(synthetic.case("g", "plain", n=n), 1e-6 * n, {}) for n in (1, 10)]
    cases += [(synthetic.case("g", "rated", n=n), 1e-6 * n, {"bytes": 8.0 * n}) for n in (1, 10)]
    found = {name: over_size(rows, {}) for (_, name, _), rows in parts(cases).items()}
    assert [panel.title for panel in found["plain"].panels] == ["time"]
    assert [panel.title for panel in found["rated"].panels] == ["time", "rate"]


def test_a_benchmark_of_one_size_has_no_plot():
    cases = [(synthetic.case("g", "b", n=5, form=form), 1e-6, {}) for form in ("a", "b")]
    assert [over_size(rows, {}) for rows in parts(cases).values()] == [None]


def test_too_many_series_are_cut_and_the_plot_says_so():
    cases = [(synthetic.case("g", "b", to=f"t{i}", n=n), 1e-6 * n, {}) for i in range(11) for n in (1, 10)]
    (plot,) = [over_size(rows, {}) for rows in parts(cases).values()]
    assert len(plot.legend) == 8
    assert "8 of 11 series are drawn" in plot.description


def test_a_rate_that_only_a_series_left_out_has_is_no_panel():
    cases = [
        (synthetic.case("g", "b", kind=f"k{i}", n=n), 1e-6 * n, {"bytes": 8.0} if i == 9 else {})
        for i in range(10)
        for n in (1, 10)
    ]
    (plot,) = [over_size(rows, {}) for rows in parts(cases).values()]
    assert [panel.title for panel in plot.panels] == ["time"]


def test_the_breakdown_gives_parts_as_shares_of_the_whole_step():
    steps = {"forward": 2e-6, "backward": 5e-6, "training_step": 1e-5}
    cases = [(synthetic.case("sine_mlp", name, batch=32), s, {"noise": 1e-9}) for name, s in steps.items()]
    (plot,) = breakdown(parts(cases), {})
    assert "batch 32: whole step 10.0 µs, forward 20 %, backward 50 %" in plot.panels[0].svg


def test_dtypes_are_held_against_float32_on_the_same_device_at_the_largest_size():
    cases = [
        (synthetic.case("g", "b", device, dtype, n=n), seconds * n / 10, {"noise": 1e-9})
        for device, speed in (("cpu", 1.0), ("cuda:0", 100.0))
        for dtype, seconds in (
            ("float64", 2e-5 / speed),
            ("float32", 1e-5 / speed),
            ("float16", 5e-6 / speed),
        )
        for n in (1, 10)
    ]
    found = heat_map(parts(cases), {"5eed0001": "A"})
    assert found.columns[:3] == ("cpu float64", "cpu float32", "cpu float16")
    ((name, at, fields),) = found.rows
    assert (name, at) == ("g/b", "n = 10")
    assert [field.ratio for field in fields] == ["0.50×", "1.0×", "2.0×"] * 2
    assert [field.weight for field in fields] == [-50, 0, 50] * 2


def test_a_heat_map_compares_dtypes_where_each_of_them_has_something_to_do():
    cases = [
        (synthetic.case("c", "method", "cpu", dtype, method=method), 1e-5, {"bytes": 0.0 if idle else 8.0})
        for method, nothing in (("double", "float64"), ("float", "float32"), ("half", "float16"))
        for dtype in ("float32", "float64")
        for idle in [dtype == nothing]
    ]
    found = heat_map(parts(cases), {"5eed0001": "A"})
    assert found is not None
    assert [at for _, at, _ in found.rows] == ["method = half"]


@pytest.mark.parametrize("seed", range(3))
def test_of_points_of_one_size_the_heat_map_takes_the_same_one_in_whatever_order_they_came(seed):
    cases = [
        (synthetic.case("g", "b", "cpu", dtype, form=form, n=8), 1e-5, {})
        for form in ("functional", "in-place", "out")
        for dtype in ("float32", "float64")
    ]
    random.Random(seed).shuffle(cases)
    found = heat_map(parts(cases), {"5eed0001": "A"})
    assert [at for _, at, _ in found.rows] == ["form = functional, n = 8"]


def test_one_dtype_alone_has_no_heat_map():
    assert heat_map(parts([(synthetic.case("g", "b"), 1e-5, {})]), {"5eed0001": "A"}) is None
