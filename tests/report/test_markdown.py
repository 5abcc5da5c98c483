from __future__ import annotations

import dataclasses
import re

import msgspec
import pytest

import synthetic
from torchgauge.report import markdown


def test_a_run_looks_as_agreed(small, golden):
    golden("report.md", markdown.render(small[:1]))


def test_an_instrument_that_was_left_out_is_told_above_the_tables(small):
    header = small[0].header
    config = msgspec.structs.replace(header.config, left_out={"energy": "cpu: no counter"})
    run = dataclasses.replace(small[0], header=msgspec.structs.replace(header, config=config))
    assert "> energy was asked for and left out: cpu: no counter" in markdown.render([run])


def test_nothing_in_a_run_file_is_markup(hostile):
    text = markdown.render([hostile])
    assert "<script" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    assert "http://" not in text
    assert not re.search(r"(?<!\\)\[link", text)
    assert "@someone" not in text


def test_every_row_of_a_table_has_as_many_cells_as_its_head(hostile):
    cells = None
    for line in markdown.render([hostile]).splitlines():
        if not line.startswith("|"):
            cells = None
            continue
        count = len(re.findall(r"(?<!\\)\|", line))
        cells = cells or count
        assert count == cells, line


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b _c_", r"a_b \_c\_"),
        ("- x", r"\- x"),
        ("1. x", r"1\. x"),
        ("1.5 x", "1.5 x"),
        ("a & <b>", "a &amp; &lt;b&gt;"),
        ("a|b\\", r"a\|b\\"),
    ],
)
def test_text_is_escaped_and_no_more_than_needed(text, escaped):
    assert markdown.escape(text) == escaped


def test_a_run_without_measurements_renders():
    text = markdown.render([synthetic.run(cases=[], failures=[], skips=[], finished=False)])
    assert "**interrupted**" in text
    assert "Nothing was measured." in text
