"""Sections of the instruments that are not the clock: metrics side by side, and what a time is made of."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

import synthetic
from torchgauge.analysis.frame import summaries
from torchgauge.record import Part, Run
from torchgauge.report import html, markdown
from torchgauge.report.overview import overviews
from torchgauge.report.quality import is_noisy
from torchgauge.report.sections import sections
from torchgauge.report.tables import Notes, tables


def looked_at(*, timed: bool = True) -> Run:
    """A run of two cases, looked at by the clock, for their memory and with the profiler."""
    cases = [synthetic.case("inplace", "add", form=form, n=8) for form in ("functional", "in-place")]
    run = synthetic.run(cases=[(case, 1e-6, {"flop": 8.0}) for case in cases], failures=[], skips=[])
    pattern = run.measurements[0]
    lines = list(run.measurements) if timed else []
    operators = [Part(name=f"aten::op{i}", value=(20 - i) * 1e-6, calls=1.5 if i else 2.0) for i in range(12)]
    for case in cases:
        size = 32.0 if case.params["form"] == "functional" else 0.0
        for instrument, metric, unit, value, parts in (
            ("memory", "allocated_bytes", "B", size, []),
            ("memory", "peak_bytes", "B", size, []),
            ("profile", "self_cpu_time", "s", sum(part.value for part in operators), operators),
            ("profile", "operators", "1", 12.0, []),
        ):
            lines.append(
                msgspec.structs.replace(
                    pattern,
                    case=case,
                    instrument=instrument,
                    metric=metric,
                    unit=unit,
                    samples=[value],
                    loops=1,
                    warnings=[],
                    parts=parts,
                )
            )
    return dataclasses.replace(run, measurements=lines)


def laid_out(run: Run):
    return sections([run], summaries([run]), {run.id: "A"}, Notes())


def test_host_device_and_gap_stand_side_by_side_where_both_instruments_saw_the_case() -> None:
    run = looked_at()
    lines = [
        msgspec.structs.replace(
            run.measurements[0], instrument=instrument, metric=metric, samples=[value], warnings=[]
        )
        for instrument, metric, value in (
            ("time", "submit_time", 40e-6),
            ("time", "device_time", 50e-6),
            ("profile", "self_device_time", 8e-6),
        )
    ]
    section = laid_out(dataclasses.replace(run, measurements=lines))[-1]
    assert section.title == "Host, device, gap"
    assert "derived" in section.about
    (table,) = section.tables
    assert table.columns == ("device time", "submission time", "device time in kernels", "gap")
    assert [cell.value for cell in table.rows[0][1]] == ["50.0 µs", "40.0 µs", "8.00 µs", "42.0 µs"]
    assert "gap" not in [one.instrument for one in laid_out(run)]


def test_an_instruments_metrics_stand_side_by_side_and_cases_below_each_other() -> None:
    memory, profile = laid_out(looked_at())
    assert [section.title for section in (memory, profile)] == ["Memory", "Profile"]
    (table,) = memory.tables
    assert table.columns == ("allocated", "peak")
    assert [(labels, [cell.value for cell in cells]) for labels, cells in table.rows] == [
        (("functional",), ["32 B", "32 B"]),
        (("in-place",), ["0 B", "0 B"]),
    ]
    (table,) = profile.tables
    assert table.columns == ("CPU time in operators", "operators")
    assert [cells[1].value for _, cells in table.rows] == ["12", "12"]
    assert [cells[0].rate for _, cells in table.rows] == ["", ""]  # a profiler's time is no measure of speed


def test_a_case_that_is_alone_is_one_row() -> None:
    run = looked_at()
    run = dataclasses.replace(
        run, measurements=[line for line in run.measurements if line.case.params["form"] == "in-place"]
    )
    memory, _ = laid_out(run)
    ((labels, cells),) = memory.tables[0].rows
    assert labels == ()
    assert [cell.value for cell in cells] == ["0 B", "0 B"]


def test_what_a_time_is_made_of_is_named_largest_first_and_the_rest_is_not_lost() -> None:
    _, profile = laid_out(looked_at())
    assert [table.constants for table in profile.parts] == [
        "cpu · float32 · form = functional · n = 8",
        "cpu · float32 · form = in-place · n = 8",
    ]
    rows = profile.parts[0].rows
    assert [labels[0] for labels, _ in rows] == [*(f"aten::op{i}" for i in range(10)), "all others"]
    assert [cell.value for cell in rows[0][1]] == ["20.0 µs", "11 %", "2"]
    assert rows[1][1][2].value == "1.50"
    assert [cell.value for cell in rows[-1][1]] == ["19.0 µs", "11 %", ""]


def test_parts_of_less_than_a_hundredth_are_named_together() -> None:
    run = looked_at()
    parts = [
        Part(name=name, value=value, calls=1.0)
        for name, value in (("aten::mm", 0.97), ("aten::add", 0.01), ("aten::t", 0.009), ("aten::to", 0.0))
    ]
    lines = [
        msgspec.structs.replace(line, samples=[1.0], parts=parts) if line.metric == "self_cpu_time" else line
        for line in run.measurements
    ]
    _, profile = laid_out(dataclasses.replace(run, measurements=lines))
    shown = [(labels[0], cells[1].value) for labels, cells in profile.parts[0].rows]
    assert shown == [("aten::mm", "97 %"), ("aten::add", "1 %"), ("all others", "2 %")]


def test_the_tables_of_times_hold_nothing_else() -> None:
    frame = summaries([looked_at()])
    found = tables(frame, {}, Notes())
    assert {table.metric for table in found} == {"time"}


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("render", [html.render, markdown.render])
def test_pages_show_the_sections_with_and_without_times(render, timed: bool) -> None:
    text = render([looked_at(timed=timed)])
    for word in ("Memory", "Profile", "aten::op3", "all others"):
        assert word in text
    assert "Nothing was measured" not in text


# Ceilings


def held(*cases, devices=("cpu",), card: str = "Example GPU") -> Run:
    run = synthetic.run(devices, cases=cases, failures=[], skips=[], with_ceilings=True)
    environment = run.header.environment
    cards = [msgspec.structs.replace(one, name=card) for one in environment.accelerators]
    environment = msgspec.structs.replace(environment, accelerators=cards)
    return dataclasses.replace(run, header=msgspec.structs.replace(run.header, environment=environment))


def test_ceilings_are_a_section_with_a_table_a_kind() -> None:
    run = held(devices=("cpu", "cuda:0"), card="NVIDIA H200")
    (section,) = sections([run], summaries([run]), {run.id: "A"}, Notes())
    assert section.title == "Ceilings"
    shown = [(table.name, table.constants) for table in section.tables]
    assert shown == [
        ("memory", "cpu"), ("matmul", "cpu"), ("calls", "cpu"),
        ("memory", "cuda:0"), ("matmul", "cuda:0"), ("calls", "cuda:0"),
        ("published", "cuda:0 · NVIDIA H200 SXM"),
    ]  # fmt: skip
    memory = section.tables[0]
    assert memory.columns == ("copy", "read", "write", "update")
    assert [names for names, _ in memory.rows] == [("4 MiB",), ("128 MiB",)]
    assert memory.rows[1][1][3].value == "13.2 GB/s"


def test_a_run_without_ceilings_has_no_such_section() -> None:
    run = synthetic.run()
    assert sections([run], summaries([run]), {run.id: "A"}, Notes()) == []


def test_a_card_without_a_published_peak_is_said_to_have_none() -> None:
    run = held(devices=("cpu", "cuda:0"))
    (section,) = sections([run], summaries([run]), {run.id: "A"}, Notes())
    assert "cuda:0: no published peak is known of 'Example GPU'." in section.about


def test_rates_that_can_not_be_are_named_above_the_tables() -> None:
    fast = synthetic.case("matmul", "square", "cuda:0", n=512)
    run = held((fast, 1e-6, {"flop": 2.0 * 512**3}), devices=("cpu", "cuda:0"), card="NVIDIA H200")
    (overview,) = overviews([run], summaries([run]))
    said = [text for text in overview.cautions if fast.id in text]
    assert [text.split(":")[0] for text in said] == [
        "1 rate is impossible, above the chip's published peak",
        "1 rate is above the measured ceiling",
    ]


@pytest.mark.parametrize("write", [markdown.render, html.render])
def test_a_rate_has_its_share_behind_it_only_where_there_is_a_ceiling(write) -> None:
    at = synthetic.case("matmul", "square", n=512)
    run = held((at, 2 * 512**3 / 4.9e10, {"flop": 2.0 * 512**3}))
    assert "49%" in write([run])
    assert "49%" not in write([dataclasses.replace(run, ceilings=[])])


def test_ceilings_that_are_badly_known_are_counted_above_the_tables() -> None:
    run = held()
    lines = [
        msgspec.structs.replace(line, samples=[value * (1 + 9 * line.round) for value in line.samples])
        if line.case.name == "operator"
        else line
        for line in run.ceilings
    ]
    (overview,) = overviews([dataclasses.replace(run, ceilings=lines)], summaries([run]))
    assert [text for text in overview.cautions if "badly known" in text] == [
        "1 of 17 ceilings is badly known, worse than ±50 %: the machine was busy, and shares may be too high."
    ]


@pytest.mark.parametrize(
    ("named", "linked"),
    [
        ("run_traces/inplace-add_0a1b2c3d.json.gz", "results/run_traces/inplace-add_0a1b2c3d.json.gz"),
        ("../../etc/passwd", None),
        ("run_traces/../x.json.gz", None),
        ("javascript:alert(1)//x.json.gz", None),
        ("https://example.org/x.json.gz", None),
        ("run_traces/x.json.gz\n", None),
        (None, None),
    ],
)
def test_a_case_links_to_its_trace_and_to_nothing_else(named: str | None, linked: str | None) -> None:
    run = looked_at()
    lines = [
        msgspec.structs.replace(line, conditions={"trace": named}) if line.parts else line
        for line in run.measurements
    ]
    page = html.render([dataclasses.replace(run, measurements=lines)])
    assert (f'<a href="{linked}" download>' in page) == (linked is not None)
    assert page.count("download>") == (2 if linked else 0)


def test_times_taken_in_poor_conditions_are_counted_by_kind_and_stamp_the_run() -> None:
    at = [synthetic.case("creation", "zeros", n=n) for n in range(4)]
    said = [
        "poor conditions: throttled: the control group's CPU quota was used up in 3 periods",
        "poor conditions in all of 2 tries: throttled: the control group's CPU quota was used up",
        "poor conditions: crowded: the thread waited for a core 80% of the time",
        "still changing",
    ]
    run = synthetic.run(
        cases=[(case, 1e-5, {"warnings": [text]}) for case, text in zip(at, said, strict=True)], failures=[]
    )
    (overview,) = overviews([run], summaries([run]))
    kinds = "2 throttled by a CPU quota, 1 with other work on the cores"
    assert f"3 of 4 times were taken in poor conditions: {kinds}." in overview.cautions
    assert overview.stamps == ["throttled", "poor conditions"]


def test_a_run_is_stamped_impossible_and_interrupted() -> None:
    fast = synthetic.case("matmul", "square", "cuda:0", n=512)
    run = held((fast, 1e-6, {"flop": 2.0 * 512**3}), devices=("cpu", "cuda:0"), card="NVIDIA H200")
    run = dataclasses.replace(run, end=None)
    (overview,) = overviews([run], summaries([run]))
    assert overview.stamps == ["interrupted", "impossible"]


@pytest.mark.parametrize(("noise", "stamps"), [(0.001, []), (0.3, ["noisy"])])
def test_a_run_most_of_whose_times_are_noisy_is_stamped_so(noise: float, stamps: list[str]) -> None:
    cases = [(synthetic.case("creation", "zeros", n=n), 1e-5, {"noise": noise}) for n in range(8)]
    run = synthetic.run(cases=cases, failures=[])
    (overview,) = overviews([run], summaries([run]))
    assert overview.stamps == stamps


@pytest.mark.parametrize(
    ("half", "between", "noisy"),
    [(0.049, 0.0, False), (0.051, 0.0, True), (0.076, 0.03, False), (0.078, 0.03, True)],
)
def test_what_other_processes_add_to_an_interval_makes_no_time_noisy(
    half: float, between: float, *, noisy: bool
) -> None:
    assert is_noisy(half, between) is noisy


@pytest.mark.parametrize(
    ("noise", "processes", "noisy"), [(0.001, 1, False), (0.1, 1, True), (0.001, 3, False), (0.08, 3, True)]
)
def test_a_time_is_called_noisy_by_what_its_rounds_show(noise: float, processes: int, *, noisy: bool) -> None:
    cases = [(synthetic.case("creation", "zeros", n=6), 1e-5, {"noise": noise})]
    run = synthetic.run(cases=cases, processes=processes, failures=[], skips=[])
    frame = summaries([run])
    (overview,) = overviews([run], frame)
    assert any("1 of 1 time is noisy" in sentence for sentence in overview.cautions) is noisy
    (made,) = tables(frame, {run.id: "A"}, Notes())
    assert [cell.noisy for _, cells in made.rows for cell in cells if cell] == [noisy]
