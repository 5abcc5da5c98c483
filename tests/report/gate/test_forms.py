from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Xml

import jsonschema
import msgspec
import pytest

from compared import COMPARISONS, header, made
from synthetic import HOSTILE
from torchgauge.record.ab import Comparison, Verdict
from torchgauge.report.gate import annotations, document, junit, markdown, page, text, words
from torchgauge.report.gate.forest import forest

SCHEMA = Path(__file__).parents[3] / "docs" / "ab.schema.json"


def test_the_terminals_table_looks_as_agreed(compared, golden):
    golden("gate.txt", text.render(compared))


def test_markdown_looks_as_agreed(compared, golden):
    golden("gate.md", markdown.render(compared))


def test_junit_looks_as_agreed(compared, golden):
    golden("gate.xml", junit.render(compared))


def test_json_looks_as_agreed(compared, golden):
    golden("gate.json", document.render(compared))


def test_annotations_look_as_agreed(compared, golden):
    golden("gate-annotations.txt", annotations.render(compared))


def test_json_keeps_to_its_schema(compared, invalid):
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    for run in (compared, invalid, replace(compared, end=None)):
        validator.validate(json.loads(document.render(run)))
    broken = json.loads(document.render(compared)) | {"verdict": "FINE"}
    assert not validator.is_valid(broken)


def test_the_schema_in_the_docs_is_that_of_the_document():
    made_now = subprocess.run(
        [sys.executable, "-m", "torchgauge.report.gate.document"], capture_output=True, text=True, check=True
    )
    assert SCHEMA.read_text("utf-8") == made_now.stdout


def test_the_contracts_keys_are_there(compared):
    found = json.loads(document.render(compared))
    assert {"schema", "verdict", "comparisons", "environment", "config"} <= found.keys()
    keys = {"case", "metric", "verdict", "ratio", "low", "high", "p", "floor", "pairs"}
    assert all(keys <= one.keys() for one in found["comparisons"])


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.EQUIVALENT, 0),
        (Verdict.IMPROVED, 0),
        (Verdict.INCONCLUSIVE, 0),
        (Verdict.REGRESSED, 1),
        (Verdict.ERROR, 3),
        (Verdict.MISSING, 3),
        (Verdict.INVALID, 4),
    ],
)
def test_each_verdict_has_its_exit_code(verdict, code):
    assert words.exit_code(made(verdict=verdict)) == code


def test_a_run_without_an_end_is_invalid(compared):
    stopped = replace(compared, end=None)
    assert words.exit_code(stopped) == 4
    assert "it was stopped before its end" in words.headline(stopped)


def test_an_accepted_regression_is_told_and_counts_as_no_failure(compared):
    name = "optimizers/step[cpu,optimizer=SGD]"
    assert "1 slower, 1 failed" in words.headline(compared)
    assert "1 slower and accepted" in words.headline(compared)
    assert name not in annotations.render(compared)
    suite = Xml.fromstring(junit.render(compared))
    test = next(one for one in suite if one.get("name") == name)
    assert [child.tag for child in test] == ["system-out"]


def test_junits_numbers_are_those_of_its_tests(compared):
    suite = Xml.fromstring(junit.render(compared))
    for tag, number in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert len(suite.findall(f"testcase/{tag}")) == int(suite.get(number, "-1"))
    assert len(suite.findall("testcase")) == int(suite.get("tests", "-1")) == len(COMPARISONS)


def test_an_invalid_run_is_never_red(invalid):
    suite = Xml.fromstring(junit.render(invalid))
    assert {child.tag for test in suite for child in test} == {"skipped"}
    assert "::error" not in annotations.render(invalid)
    assert "🔴" not in markdown.render(invalid)
    assert "no verdict of this run counts" in text.render(invalid)


def test_github_gets_ten_annotations_at_most():
    many = [Comparison(case=f"c{n}", metric="time", verdict=Verdict.REGRESSED, ratio=1.1) for n in range(25)]
    lines = annotations.render(made(many)).splitlines()
    assert len(lines) == 10
    assert lines[-1].endswith("::16 more cases; see the table")
    assert len(annotations.render(made(many[:10])).splitlines()) == 10


def test_an_annotation_stays_one_command_whatever_it_says():
    hostile = Comparison(
        case="a,b::c%0A", metric="time", verdict=Verdict.ERROR, notes=["50 % done\n::error::forged"]
    )
    rendered = annotations.render(made([hostile]))
    assert rendered.count("\n") == 1
    assert rendered.startswith("::error title=a%2Cb%3A%3Ac%250A::ERROR: 50 %25 done ::error::forged")


@pytest.mark.parametrize("harm", [*HOSTILE, "\x00\x08", "]]>", "‮"])
def test_hostile_text_stays_text_in_every_form(harm):
    comparison = Comparison(
        case=harm, metric=harm, verdict=Verdict.REGRESSED, ratio=1.1, notes=[harm], accepted=harm
    )
    run = made([comparison], notes=[harm], disturbed=harm)
    suite = Xml.fromstring(junit.render(run))
    assert len(suite) == 1
    shown = markdown.render(run)
    assert "<script" not in shown
    assert "<img" not in shown
    assert "http://" not in shown
    for form in (text.render(run), shown, annotations.render(run)):
        assert all(sign.isprintable() or sign == "\n" for sign in form)
    json.loads(document.render(run))


def test_the_command_that_measures_again_names_commits_and_quotes_what_it_must(compared):
    assert words.reproduce(compared) == (
        "torchgauge ab bench --base git:3f2a91c0de3f2a91c0de3f2a91c0de3f2a91c0de --head here "
        "-k 'matmul or '\"'\"'add'\"'\"'' --seed 7"
    )


def test_what_too_few_pairs_could_not_find_is_said():
    unclear = msgspec.structs.replace(COMPARISONS[4], smallest_effect=None)
    assert "too few pairs to find anything" in text.render(made([unclear]))


def test_the_page_shows_all_cases_and_is_allowed_nothing_from_outside(compared):
    shown = page.render(compared)
    assert "default-src 'none'" in shown
    assert all(f">{one.case}<" in shown for one in compared.comparisons)
    assert "ratio of head to base" in shown.lower()
    assert "<script" not in shown


def test_the_page_draws_each_pair_of_each_case_that_has_a_ratio(compared):
    drawn = forest(compared)
    assert drawn is not None
    pairs = sum(1 for line in compared.pairs)
    ratios = sum(one.ratio is not None for one in compared.comparisons)
    assert drawn.panels[0].svg.count("<use") == pairs + 2 * ratios  # of each its mark, and its tick
    assert forest(replace(compared, comparisons=[compared.comparisons[3]])) is None


@pytest.mark.parametrize("harm", HOSTILE)
def test_hostile_text_is_no_markup_in_the_page(harm):
    one = Comparison(
        case=harm, metric=harm, verdict=Verdict.REGRESSED, ratio=1.1, low=1.0, high=1e300, notes=[harm]
    )
    shown = page.render(made([one], notes=[harm], disturbed=harm))
    assert "<script>alert" not in shown
    assert "<img" not in shown
    assert "\x1b" not in shown


def test_a_run_that_is_invalid_for_want_of_time_says_so_in_every_form():
    why = "a pair takes 120 s for 4 cases, which left no time to confirm a regression"
    run = made(verdict=Verdict.INVALID, disturbed=why)
    told = json.loads(document.render(run))
    assert (told["verdict"], told["disturbed"]) == ("INVALID", why)
    suite = Xml.fromstring(junit.render(run))
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "0",
        "0",
        suite.get("tests"),
    )
    assert all(test[0].get("type") == "INVALID" and why in test[0].get("message", "") for test in suite)
    assert annotations.render(run).startswith(f"::warning title=torchgauge ab::INVALID: {why}")
    assert all(why in form for form in (markdown.render(run), text.render(run), page.render(run)))
    assert "run it again" not in text.render(run)  # that would not help


def test_time_and_counts_of_one_case_are_told_apart_and_their_disagreement_is_said():
    time = COMPARISONS[-1]
    operators = Comparison(
        case=time.case, metric="operators", verdict=Verdict.REGRESSED, ratio=4 / 3, floor=0.0, pairs=1
    )
    run = made([operators, time], notes=[])
    assert words.headline(run).startswith("REGRESSED: of 2 comparisons 1 slower")
    assert words.notes(run) == [f"{time.case}: its metrics disagree: operators REGRESSED, time EQUIVALENT"]
    names = [test.get("name") for test in Xml.fromstring(junit.render(run))]
    assert names == [f"{time.case} (operators)", time.case]
    marks = [
        forest(replace(run, comparisons=some)).panels[0].svg.count("<use")
        for some in ([time], [operators, time])
    ]
    assert marks[1] - marks[0] == 2  # its mark and its tick, and no dot of a timed pair


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ({"lanes": 2}, "28 pairs of processes, 2 at once, in 290 s, 23% of it inside timed blocks"),
        ({"pairs": 0}, "counted in 290 s"),
    ],
)
def test_what_was_spent_is_said(end, said):
    assert words.effort(made(**end)) == said


def test_the_command_that_measures_again_names_every_option_that_is_not_usual():
    config = msgspec.structs.replace(
        header().config,
        keyword=None,
        device="cuda:0",
        dtype="float32",
        source="lib",
        bench_from="each",
        budget="standard",
        threads=4,
        metrics=["time", "counts"],
        isolation="sequential",
        minutes=12.5,
        accept="ok.toml",
        timeout=90.0,
        results="kept here",
        pytest_args=["--deselect", "x y"],
    )
    told = words.reproduce(replace(made(), header=header(config=config))).partition("--head here ")[2]
    assert told == (
        "--device cuda:0 --dtype float32 --source lib --bench-from each --budget standard --threads 4 "
        "--metric time,counts --isolation sequential --minutes 12.5 --accept ok.toml "
        "--timeout 90 --results 'kept here' --seed 7 -- --deselect 'x y'"
    )
