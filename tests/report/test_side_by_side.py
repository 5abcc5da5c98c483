from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import msgspec
import pytest
from rich.console import Console

import synthetic
from torchgauge.record import Run
from torchgauge.report import markdown, projection
from torchgauge.units import format_quantity


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """Two runs of one machine at two times; the second on more threads, faster, and without one case."""

    def few(sizes: tuple[int, ...]):
        return [
            (synthetic.case("matmul", name, dtype=dtype, n=n), seconds * n, {})
            for name, dtype, seconds in (
                ("square", "float32", 1e-5),
                ("square", "float64", 2e-5),
                ("outer", None, 1e-6),
            )
            for n in sizes
        ]

    one = synthetic.run(cases=few((32, 128)), rounds=3, skips=[])
    two = synthetic.run(cases=few((32,)), run_id="5eed0002", rounds=3, speed=1.5, failures=[], skips=[])
    environment = two.header.environment
    torch = msgspec.structs.replace(environment.torch, threads=8)
    environment = msgspec.structs.replace(environment, torch=torch, fingerprint="another")
    return [one, replace(two, header=msgspec.structs.replace(two.header, environment=environment))]


def text(laid: projection.Laid, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    projection.show(laid, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_of_two_runs_looks_as_agreed(runs, golden) -> None:
    golden("projection.txt", text(projection.laid_out(runs, ["case"], ["run"])))


def test_the_markdown_looks_as_agreed(runs, golden) -> None:
    laid = projection.laid_out(runs[:1], ["name", "n"], ["dtype"])
    golden("projection.md", markdown.side_by_side(laid) + "\n")


def test_runs_of_different_times_are_told_to_hold_the_drift_and_dtypes_of_one_run_are_not(runs) -> None:
    across = projection.laid_out(runs, ["case"], ["run"]).notes
    assert any("the machine's drift between them" in note and "torchgauge ab" in note for note in across)
    within = projection.laid_out(runs[:1], ["case"], ["dtype"]).notes
    assert not any("drift" in note for note in within)


def test_across_fingerprints_no_regression_is_to_be_read(runs) -> None:
    across = projection.laid_out(runs, ["case"], ["run"]).notes
    assert any("fingerprints differ" in note and "No regression" in note for note in across)
    alike = replace(runs[1], header=runs[0].header, path=runs[1].path)
    alike = replace(alike, header=msgspec.structs.replace(alike.header, id="5eed0002"))
    assert not any("fingerprint" in n for n in projection.laid_out([runs[0], alike], ["case"], ["run"]).notes)


def test_a_ratio_is_written_where_a_difference_is_shown_and_else_a_tilde(runs) -> None:
    laid = projection.laid_out([runs[0]], ["name", "n"], ["dtype"], {"name": ["square"]}, ["float32"])
    (names, cells), *_ = laid.table.rows
    assert names == ("square", "32")
    at = dict(zip(laid.table.columns, cells, strict=True))
    assert at["float64"].rate == "1.99 ×"
    same = projection.laid_out([runs[0], replace(runs[0], header=other(runs[0]))], ["case"], ["run"])
    assert {cells[1].rate for names, cells in same.table.rows if "broken" not in names[0]} == {"~"}


def other(run: Run):
    return msgspec.structs.replace(run.header, id="5eed0009")


def test_json_and_csv_hold_every_cell_and_its_ratio(runs) -> None:
    laid = projection.laid_out(runs, ["case"], ["threads"])
    made = json.loads(projection.render_json(laid))
    assert (made["rows"], made["columns"], made["baseline"]) == (["case"], ["threads"], [2])
    rows = list(csv.DictReader(io.StringIO(projection.render_csv(laid))))
    assert len(rows) == len(made["cells"]) == len(laid.projection.cells)
    for row, cell in zip(rows, made["cells"], strict=True):
        assert row["case"] == cell["row"][0]
        if cell["value"]:
            assert float(row["value"]) == cell["value"]["value"]
        if cell["ratio"]:
            assert float(row["ratio"]) == pytest.approx(cell["ratio"]["value"])
            assert row["unit"] == "s"
    found = [cell["ratio"]["value"] for cell in made["cells"] if cell["ratio"]]
    assert found == pytest.approx([1 / 1.5] * 3, rel=0.01)
    assert sum(row["ratio"] != "" for row in rows) == 3
    assert "threads" not in made["varying"]


def test_values_have_units_and_text_of_strangers_does_no_harm(hostile) -> None:
    laid = projection.laid_out([hostile], ["case"], ["device"])
    assert "\x1b" not in text(laid)
    assert "<script" not in markdown.side_by_side(laid)
    for row in csv.reader(io.StringIO(projection.render_csv(laid))):
        assert not any(cell[:1] in ("=", "+", "@") for cell in row)
    assert format_quantity(1e-5, "s") in text(projection.laid_out([hostile], ["name"], ["n"]), 200)


def test_a_narrow_terminal_gets_the_columns_in_parts(runs) -> None:
    wide = projection.laid_out([runs[0]], ["name", "n"], ["dtype"])
    narrow = text(wide, 44)
    assert max(len(line) for line in narrow.splitlines()) <= 44
    assert narrow.count("square") >= 4


def test_several_metrics_are_never_joined(runs) -> None:
    laid = projection.laid_out(runs[:1], ["name"], ["dtype"], {"instrument": ["time"], "name": ["square"]})
    assert laid.projection.row_keys == ("name", "metric")
    assert [names for names, _ in laid.table.rows] == [("square", "time"), ("square", "first call")]
    assert "metric" not in laid.projection.varying


def test_what_is_asked_for_and_nowhere_is_told(runs) -> None:
    laid = projection.laid_out(runs, ["case"], ["run"], {"dtype": ["float32", "bfloat61"]})
    assert "Nothing has dtype=bfloat61." in laid.notes


def test_a_case_that_failed_in_a_later_round_is_named(runs) -> None:
    failed = msgspec.structs.replace(runs[0].failures[0], case=runs[0].measurements[0].case)
    laid = projection.laid_out([replace(runs[0], failures=[failed])], ["case"], ["run"])
    name = runs[0].measurements[0].case.id
    assert f"Failed in a later round, the values are from those before: {name}." in laid.notes


def test_the_header_names_what_all_cells_are_of(runs) -> None:
    laid = projection.laid_out(runs[:1], ["dtype"], ["run"], {"name": ["square"], "n": ["32"]})
    assert laid.common.startswith("matmul/square, n = 32 · ")


def test_a_rate_too_fast_to_be_true_is_named() -> None:
    fast = synthetic.case("matmul", "square", "cuda:0", n=512)
    run = synthetic.run(
        ("cpu", "cuda:0"), cases=[(fast, 1e-6, {"flop": 2.0 * 512**3})], with_ceilings=True, failures=[]
    )
    card = msgspec.structs.replace(run.header.environment.accelerators[0], name="NVIDIA H200")
    environment = msgspec.structs.replace(run.header.environment, accelerators=[card])
    run = replace(run, header=msgspec.structs.replace(run.header, environment=environment))
    (note,) = [note for note in projection.laid_out([run], ["case"], ["run"]).notes if "Impossible" in note]
    assert note == f"Impossible, above the chip's published peak: {fast.id}."
