"""The page in a real browser: it works, it asks for nothing, and it fits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import chromium
import synthetic
from torchgauge.report import html
from torchgauge.units import parse_quantity

pytestmark = pytest.mark.skipif(chromium.found() is None, reason="no chromium: install your system's package")


@pytest.fixture(scope="module")
def tab() -> Iterator[chromium.Page]:
    with chromium.browser() as page:
        yield page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    runs = [
        synthetic.run(("cpu", "cuda:0"), rounds=3, with_ceilings=True),
        synthetic.run(("cpu",), rounds=3, run_id="5eed0002", speed=1.3, finished=False, with_ceilings=True),
    ]
    path.write_text(html.render(runs))
    return path


@pytest.fixture(scope="module")
def hostile_page(hostile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "hostile.html"
    path.write_text(html.render([hostile]))
    return path


def column(tab: chromium.Page, table: int, place: int) -> list[str]:
    """Give the texts of a column of one of the page's tables."""
    return tab.run(
        f"[...document.querySelectorAll('table')[{table}].tBodies[0].rows]"
        f".map((row) => row.cells[{place}]).map((cell) => (cell.querySelector('b') || cell).textContent)"
    )


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1600])
def test_it_opens_without_a_word_asks_for_nothing_and_does_not_scroll_sideways(
    tab, page, width, dark
) -> None:
    tab.open(page, width=width, dark=dark)
    assert tab.console == []
    assert tab.requests == [page.as_uri()]
    assert tab.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    paper = tab.run("getComputedStyle(document.documentElement).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") != dark


def test_nothing_from_outside_is_let_in(tab, page) -> None:
    tab.open(page)
    tab.run("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
    blocked = tab.run("fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.message)")
    assert blocked.startswith("Failed to fetch")
    assert len([said for said in tab.console if "Content Security Policy" in said]) >= 2


def test_a_click_on_a_head_sorts_and_another_sorts_the_other_way(tab, page) -> None:
    tab.open(page)
    table = tab.run(
        "[...document.querySelectorAll('table')].findIndex((t) => t.closest('article') && t.rows.length > 4)"
    )
    place = tab.run(
        f"document.querySelectorAll('table')[{table}].tBodies[0].rows[0].querySelectorAll('th').length"
    )
    head = f"document.querySelectorAll('table')[{table}].tHead.rows[0].cells[{place}]"
    click = f"{head}.querySelector('button').click()"
    tab.run(click)
    up = [parse_quantity(value, "s") for value in column(tab, table, place) if value]
    tab.run(click)
    down = [parse_quantity(value, "s") for value in column(tab, table, place) if value]
    assert len(up) > 2
    assert up == sorted(up)
    assert down == sorted(up, reverse=True)
    assert tab.run(f"{head}.getAttribute('aria-sort')") == "descending"


def test_the_filter_leaves_the_rows_that_hold_every_word(tab, page) -> None:
    tab.open(page)
    every = tab.run(
        "[...document.querySelectorAll('main tbody tr')].filter((row) => row.offsetParent).length"
    )
    tab.run(
        "(() => { const field = document.getElementById('filter'); field.value = 'square 512';"
        " field.dispatchEvent(new Event('input')); })()"
    )
    left = tab.run(
        "[...document.querySelectorAll('main article tbody tr')].filter((row) => row.offsetParent)"
        ".map((row) => row.textContent)"
    )
    assert 0 < len(left) < every
    assert all("512" in row for row in left)
    assert tab.run("document.getElementById('filtered').textContent").endswith(" rows")
    tab.run(
        "(() => { const field = document.getElementById('filter'); field.value = '';"
        " field.dispatchEvent(new Event('input')); })()"
    )
    again = tab.run(
        "[...document.querySelectorAll('main tbody tr')].filter((row) => row.offsetParent).length"
    )
    assert again == every


def test_without_script_all_is_there_but_the_filter(tab, page, tmp_path) -> None:
    still = tmp_path / "still.html"
    text = page.read_text()
    still.write_text(text[: text.index("<script>")] + "</body></html>")
    tab.open(still)
    assert tab.run("document.querySelector('.filter').hidden")
    assert tab.run("document.querySelectorAll('table').length") > 10


def test_what_a_stranger_wrote_runs_nothing(tab, hostile_page) -> None:
    tab.open(hostile_page)
    assert tab.console == []
    assert tab.requests == [hostile_page.as_uri()]
    assert tab.run("document.querySelectorAll('script').length") == 1
    assert tab.run("document.querySelectorAll('img, iframe, object, a[href^=http]').length") == 0


def test_headings_are_in_order_and_drawings_have_a_name(tab, page) -> None:
    tab.open(page)
    levels = tab.run("[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    unnamed = (
        "[...document.querySelectorAll('svg[role=img]')].filter((s) => !s.getAttribute('aria-label')).length"
    )
    assert tab.run(unnamed) == 0
    assert tab.run("document.querySelectorAll('svg[role=img]').length") > 5
    assert tab.run("document.documentElement.lang") == "en"


def test_heads_and_plain_cells_sort_by_the_number_that_they_show(tab, page, tmp_path) -> None:
    cells = [
        "n = 1,024",
        "n = 64",
        "64,64",
        "12 µs",
        "9 ms",
        "1,024",
        "64",
        "4 MiB",
        "64 KiB",
        "45 %",
        "1.5×",
        "3.2 GB/s ±4%",
        "many",
        "",
    ]
    body = "".join(
        f"<tr><th>{cell}</th></tr>" if "±" not in cell else "<tr><th><b>3.2 GB/s</b> <i>±4%</i></th></tr>"
        for cell in cells
    )
    text = page.read_text().replace(
        "</main>", f'<table id="odd"><thead><tr><th>a</th></tr></thead><tbody>{body}</tbody></table></main>'
    )
    other = tmp_path / "odd.html"
    other.write_text(text)
    tab.open(other)
    tab.run("document.querySelector('#odd thead button').click()")
    shown = tab.run("[...document.querySelectorAll('#odd tbody tr')].map((row) => row.textContent)")
    assert shown == [
        *("12 µs", "9 ms", "1.5×", "45 %", "64", "1,024", "64 KiB", "4 MiB", "3.2 GB/s ±4%"),
        *("64,64", "many", "n = 64", "n = 1,024", ""),
    ]


def test_the_filter_reaches_heat_maps_and_opens_what_holds_a_row(tab, page) -> None:
    tab.open(page)
    tab.run(
        "(() => { const field = document.getElementById('filter'); field.value = 'matmul';"
        " field.dispatchEvent(new Event('input')); })()"
    )
    shown = "[...document.querySelectorAll('{} tbody tr')].filter((row) => row.offsetParent).length"
    warm = tab.run(
        "[...document.querySelectorAll('section.warm tbody tr')].filter((row) => row.offsetParent)"
        ".map((row) => row.textContent)"
    )
    assert warm
    assert all("matmul" in row for row in warm)
    assert tab.run(shown.format("#first")) > 0
