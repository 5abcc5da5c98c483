from __future__ import annotations

import dataclasses
import random

import msgspec
import pytest

import synthetic
from torchgauge.analysis.frame import summaries
from torchgauge.record import Work
from torchgauge.report import html
from torchgauge.report.bars import breakdown, in_place
from torchgauge.report.copies import copies
from torchgauge.report.crossover import crossings, crossover
from torchgauge.report.heat import heat_map, run_map
from torchgauge.report.plots import over_size, short, ticks
from torchgauge.report.points import benchmarks
from torchgauge.report.roofline import rooflines
from torchgauge.report.strips import blocks, strips
from torchgauge.report.tables import timed


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


def test_a_roofline_has_a_roof_a_dtype_and_says_where_the_cases_lie():
    cases = [
        (synthetic.case("matmul", "square", dtype=dtype, n=512), 5e-3, {"flop": 2.0 * 512**3, "bytes": 3e6})
        for dtype in ("float32", "float64")
    ]
    run = synthetic.run(cases=cases, failures=[], with_ceilings=True)
    found = benchmarks(timed(summaries([run])))
    (plot,) = rooflines([run], found, {run.id: "A"})
    assert [entry.text for entry in plot.legend] == ["float64", "float32"]
    assert plot.panels[0].svg.startswith("<svg")
    assert "2 cases" in plot.panels[0].svg
    assert "float32 products" in plot.panels[0].svg
    assert rooflines([dataclasses.replace(run, ceilings=[])], found, {run.id: "A"}) == []


def test_an_accelerator_is_drawn_against_the_cpu_over_the_size():
    cases = [
        (synthetic.case("matmul", "square", device, n=n), seconds, {})
        for device, times in (("cpu", (2e-6, 1e-5, 6e-4)), ("cuda:0", (6e-6, 7e-6, 2e-5)))
        for n, seconds in zip((32, 128, 512), times, strict=True)
    ]
    found = crossings(parts(cases, devices=("cpu", "cuda:0")))
    (crossing,) = found
    assert crossing.wins_from == 128
    plot = crossover(found, {"5eed0001": "A"})
    assert plot is not None
    assert "matmul/square from 128" in plot.panels[0].svg
    assert crossover([], {}) is None


def test_one_series_of_each_benchmark_is_drawn_before_a_second_of_any():
    cases = [
        (synthetic.case("inplace", name, device, form=f"f{form}", n=n), 1e-6 * n, {})
        for name in ("add", "mul")
        for form in range(7)
        for device in ("cpu", "cuda:0")
        for n in (10, 100)
    ]
    plot = crossover(crossings(parts(cases, devices=("cpu", "cuda:0"))), {"5eed0001": "A"})
    assert plot is not None
    assert {entry.text.split()[0] for entry in plot.legend} == {"inplace/add", "inplace/mul"}
    assert "8 of 14 series are drawn" in plot.description


def test_a_strip_a_dtype_shows_the_blocks_of_the_largest_size():
    cases = [
        (synthetic.case("g", "b", dtype=dtype, n=n), 1e-6 * n, {"blocks": 30})
        for dtype in ("float32", "float64")
        for n in (10, 1000)
    ]
    run = synthetic.run(cases=cases, failures=[], rounds=5)
    rows = benchmarks(timed(summaries([run])))["g", "b", ""]
    plot = strips(rows, blocks([run]), {run.id: "A"})
    assert plot is not None
    alt = plot.panels[0].svg.split('aria-label="')[1].split('"')[0]
    assert "cpu float64 1,000: 80 ticks" in alt  # of 150 blocks
    assert "cpu float32 1,000: 80 ticks" in alt
    assert "cpu float32 10:" not in alt
    assert strips([], blocks([run]), {run.id: "A"}) is None


def test_runs_are_held_against_the_first_of_them():
    cases = [(synthetic.case("g", "b", n=n), 1e-6 * n, {}) for n in (10, 100)]
    cases.append((synthetic.case("g", "alone"), 1e-6, {}))
    runs = [
        synthetic.run(cases=cases, failures=[]),
        synthetic.run(cases=cases[:2], failures=[], run_id="5eed0002", speed=2.0),
    ]
    found = run_map(benchmarks(timed(summaries(runs))), {"5eed0001": "A", "5eed0002": "B"})
    assert found is not None
    assert found.columns == ("A", "B")
    ((name, at, (first, second)),) = found.rows
    assert (name, at) == ("g/b", "cpu, float32, n = 100")
    assert (first.ratio, second.ratio, second.weight) == ("1.0×", "2.0×", 50)


def test_in_place_is_compared_in_memory_too_where_it_was_measured():
    cases = [
        (synthetic.case("inplace", "add", form=form, n=8), 1e-6, {}) for form in ("functional", "in-place")
    ]
    run = synthetic.run(cases=cases, failures=[])
    lines = [
        msgspec.structs.replace(
            run.measurements[0],
            case=case,
            instrument="memory",
            metric="allocated_bytes",
            unit="B",
            samples=[32.0 if case.params["form"] == "functional" else 0.0],
        )
        for case, *_ in cases
    ]
    frame = summaries([dataclasses.replace(run, measurements=[*run.measurements, *lines])])
    found = in_place(benchmarks(timed(frame)) | benchmarks(frame[frame["instrument"] == "memory"]), {})
    assert [plot.title for plot in found] == [
        "In place against functional (cpu, float32)",
        "In place against functional, memory (cpu, float32)",
    ]
    assert "functional 32 B, in-place 0 B" in found[1].panels[0].svg


def test_copies_are_drawn_under_the_ceiling_of_their_way():
    cases = [
        (synthetic.case("transfer", name, "cuda:0", n, size=size), size / 1e10 + 1e-5, {"bytes": float(size)})
        for name, n in (("to_device", None), ("cpu", None), ("within", None))
        for size in (4096, 2**20, 2**24)
    ]
    run = synthetic.run(("cpu", "cuda:0"), cases=cases, failures=[], with_ceilings=True)
    link = msgspec.structs.replace(
        run.ceilings[0],
        case=synthetic.case("ceiling", "to_device", "cuda:0", None, memory="pinned"),
        samples=[1e-3] * 6,
        work=Work(flop=0.0, bytes=2e7),
    )
    lines = [msgspec.structs.replace(link, round=number) for number in range(5)]
    run = dataclasses.replace(run, ceilings=[*run.ceilings, *lines])
    up, down, within = copies([run], benchmarks(timed(summaries([run]))), {run.id: "A"})
    assert [plot.title for plot in (up, down, within)] == [
        "To the device (cuda:0)",
        "Back to the host (cuda:0)",
        "Within one memory (cuda:0)",
    ]
    assert "s ceiling 20.0 GB/s" in up.panels[0].svg
    assert "ceiling" not in down.panels[0].svg  # none was measured that way
    assert "ceiling over 8 MiB" in within.panels[0].svg


def test_copies_of_one_size_are_no_plot():
    run = synthetic.run(cases=[(synthetic.case("transfer", "within", size=4096), 1e-5, {"bytes": 8192.0})])
    assert copies([run], benchmarks(timed(summaries([run]))), {run.id: "A"}) == []


@pytest.mark.parametrize("dims", [(-1, -2), (-2, -1, 0), (-1, 1)])
def test_parameters_below_zero_are_no_sizes(dims):
    cases = [
        (synthetic.case("softmax", "along", device, dim=dim), 1e-5, {})
        for device in ("cpu", "cuda:0")
        for dim in dims
    ]
    found = parts(cases, devices=("cpu", "cuda:0"))
    assert crossings(found) == []
    assert over_size(found["softmax", "along", ""], {}) is None


def test_times_that_are_none_break_no_plot():
    cases = [
        (synthetic.case("sine_mlp", name, batch=8, width=4, mode="eager"), 1e-5, {"flop": 8.0})
        for name in ("forward", "loss", "backward", "training_step")
    ]
    cases += [(synthetic.case("matmul", "square", dtype=d, n=8), 1e-5, {}) for d in ("float32", "float64")]
    run = synthetic.run(cases=cases, failures=[], skips=[])
    for value in (0.0, -1.0):
        lines = [
            msgspec.structs.replace(line, samples=[value] * len(line.samples))
            if line.case.name in ("training_step", "square") and line.case.dtype == "float32"
            else line
            for line in run.measurements
        ]
        assert "</html>" in html.render([dataclasses.replace(run, measurements=lines)])


def test_series_stand_in_the_order_of_their_runs_and_not_of_their_ids():
    names = {"ffff0001": "A", "00000002": "B"}
    runs = [
        synthetic.run(
            cases=[(synthetic.case("matmul", "square", n=n), 1e-6 * n, {}) for n in (8, 64)],
            run_id=name,
            failures=[],
            skips=[],
        )
        for name in names
    ]
    frame = summaries(runs)
    found = benchmarks(frame[frame["metric"] != "first_call"])
    drawn = over_size(found["matmul", "square", ""], names)
    assert drawn is not None
    assert [entry.text for entry in drawn.legend] == ["A", "B"]
