from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest

import synthetic
from torchgauge.report import html
from torchgauge.report.history_plots import history

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags nest, and collects what a page could load or link to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "srcset", "data", "action", "poster", "xlink:href"):
                self.targets.append(value)
            if name.startswith("on"):
                self.handlers.append(name)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def full() -> str:
    return html.render([synthetic.run()])


@pytest.fixture(scope="module")
def attacked(hostile) -> str:
    return html.render([hostile])


def test_the_page_is_well_formed_and_its_ids_are_its_own(full):
    page = Page(full)
    assert len(page.ids) == len(set(page.ids))
    assert {target[1:] for target in page.targets} <= set(page.ids)


def test_the_page_loads_nothing(full):
    page = Page(full)
    assert all(target.startswith("#") for target in page.targets)
    assert not {"link", "img", "iframe", "object", "base"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert not re.search(r"https?:|//[a-z]|@import|url\(", full)
    assert "default-src 'none'; style-src 'unsafe-inline'" in full


def test_every_section_is_there_where_there_are_data(full):
    headings = re.findall(r"<h[123][^>]*>([^<]*)", full)
    for expected in (
        "creation",
        "matmul",
        "inplace",
        "optimizers",
        "sine_mlp",
        "mine",
        "Dtypes against float32",
    ):
        assert expected in headings
    for words in (
        "In place against functional (cpu, float32)",
        "Optimizers (cpu, float32)",
        "Breakdown of the",
    ):
        assert words in full
    assert "What the numbers mean" in full


def test_plots_are_small_drawings_that_say_what_they_show(full):
    drawings = re.findall(r'<svg role="img" aria-label="([^"]+)".*?</svg>', full)
    assert len(drawings) > 20
    assert any(label.startswith("time of matmul/square over n, 4 series, from") for label in drawings)
    assert all(len(found[0]) < 40_000 for found in re.finditer(r"<svg role=.*?</svg>", full))
    for found in re.finditer(r"<svg role=.*?</svg>", full):
        ElementTree.fromstring(found[0])
    assert "DejaVu" not in "".join(found[0] for found in re.finditer(r"<svg role=.*?</svg>", full))


def test_the_same_run_gives_the_same_page():
    cases = [(synthetic.case("g", "b", n=n), 1e-6 * n, {}) for n in (1, 10)]
    assert len({html.render([synthetic.run(cases=cases)]) for _ in range(2)}) == 1


def test_the_page_is_small(full):
    assert len(full.encode()) < 400_000


def test_nothing_in_a_run_file_is_markup(attacked):
    page = Page(attacked)
    assert "img" not in page.tags
    assert page.tags.count("script") == 1  # its own, which the policy knows by its hash
    assert page.handlers == []
    assert "\x1b" not in attacked
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "$\\frac{1}{0}$" in page.text


@pytest.mark.parametrize("failures", [None, []])
def test_a_run_without_measurements_renders(failures):
    page = Page(html.render([synthetic.run(cases=[], failures=failures, finished=False)]))
    assert "interrupted" in page.text
    assert "Nothing was measured." in page.text


def test_a_group_of_ones_own_gets_the_generic_table_and_plot():
    cases = [(synthetic.case("mine", "scan", "cpu", None, rows=n), 1e-6 * n, {}) for n in (10, 100)]
    text = html.render([synthetic.run(cases=cases, failures=[])])
    assert "time of mine/scan over rows" in text


def test_what_a_comparison_needs_may_be_missing():
    cases = [
        (synthetic.case("inplace", "add", form="out", n=1), 1e-6, {}),
        (synthetic.case("optimizers", "step", form=3, optimizer=None), 1e-6, {}),
        (synthetic.case("sine_mlp", "training_step"), 1e-6, {}),
        (synthetic.case("sine_mlp", "forward", n=0), 1e-6, {}),
        (synthetic.case("sine_mlp", "forward", n=5), 1e-6, {}),
    ]
    text = html.render([synthetic.run(cases=cases, failures=[])])
    assert "In place against functional" not in text
    assert "Breakdown" not in text


def test_a_page_is_made_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None; sys.path.insert(0, sys.argv[1]); import synthetic\n"
        "from torchgauge.report import html, markdown\n"
        "from torchgauge.analysis import export\n"
        "run = synthetic.run(cases=[(synthetic.case('g', 'b', n=n), 1e-5, {}) for n in (1, 2)])\n"
        "assert '</html>' in html.render([run]) and markdown.render([run])\n"
        "assert export.pytest_benchmark(run)\n"
        "assert not any(name.startswith('torchgauge.measure') for name in sys.modules)\n"
    )
    folder = synthetic.__file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_history_of_many_runs_has_its_steps_drawn():
    runs = []
    for number in range(14):
        slower = 1.4 if number >= 7 else 1.0
        cases = [
            (synthetic.case("g", "wanders", n=1), 1e-5, {}),
            (synthetic.case("g", "steps", n=1), 1e-5 * slower, {}),
        ]
        run = synthetic.run(cases=cases, run_id=f"{number:08x}", rounds=3, seed=number, failures=[], skips=[])
        started = f"2026-03-{number + 1:02d}T10:00:00.000+00:00"
        runs.append(dataclasses.replace(run, header=msgspec.structs.replace(run.header, started=started)))
    page = html.render(runs)
    assert "1 step in 2 series." in page
    assert "History of g/steps[cpu,float32,n=1], 14 runs: 1.4" in page
    assert "since 2026-03-08" in page
    assert 'id="history"' not in html.render(runs[:5])


def test_steps_of_one_case_under_two_fingerprints_and_of_two_metrics_are_drawn_apart():
    runs = []
    for machine, at in (("one", 5), ("other", 8)):
        for number in range(12):
            cases = [(synthetic.case("g", "steps", "cuda:0", n=1), 1e-5 * (2 if number >= at else 1), {})]
            made = synthetic.run(
                ("cpu", "cuda:0"), cases=cases, run_id=f"{machine}{number}", rounds=3, seed=number,
                failures=[], skips=[],
            )  # fmt: skip
            lines = [*made.measurements]
            lines += [
                msgspec.structs.replace(line, metric="time", method="host-clock")
                for line in made.measurements
                if line.metric == "device_time"
            ]
            environment = msgspec.structs.replace(made.header.environment, fingerprint=machine * 4)
            started = f"2026-03-{number + 1:02d}T10:00:00.000+00:00"
            header = msgspec.structs.replace(made.header, started=started, environment=environment)
            runs.append(dataclasses.replace(made, header=header, measurements=lines))
    found = history(runs)
    assert found is not None
    assert found.plot is not None
    titles = [panel.title for panel in found.plot.panels]
    assert len(set(titles)) == len(titles) == 4
    assert "g/steps[cuda:0,float32,n=1], device time, fingerprint oneoneon" in titles
