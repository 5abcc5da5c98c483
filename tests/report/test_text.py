from __future__ import annotations

import pytest

from torchgauge.report import text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x07link\x1b]8;;\x07", "link"),
        ("a\r\nb\tc", "a b c"),
        ("bell\x07 null\x00", "bell null"),
        ("left\u202eright\u2066", "leftright"),
        ("  µs ±  ", "µs ±"),
        (None, "None"),
    ],
)
def test_nothing_is_left_that_a_terminal_obeys(raw, shown):
    assert text.plain(raw) == shown


def test_a_long_text_is_cut_and_quickly():
    assert text.plain("x" * 10**7, 20) == "x" * 19 + "…"


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1024, 1024),
        (2.5, 2.5),
        ("2x3", 6),
        ("5×6", 30),
        ("(2, 3)", 6),
        ("1000x1024", 1_024_000),
        ("4 KiB", 4096),
        ("sine MLP", None),
        (True, None),
        (None, None),
        (float("nan"), None),
        (10**400, None),
        ("", None),
    ],
)
def test_a_size_is_a_number_a_shape_or_bytes(value, size):
    assert text.size_of(value) == size


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0001, "<0.1%"), (0.0042, "0.4%"), (0.02, "2%"), (0.5, "50%"), (3.0, "300%"), (25.0, "25×")],
)
def test_a_half_interval_is_short(share, shown):
    assert text.percent(share) == shown


def test_sentences_that_differ_in_numbers_are_merged():
    sentences = [
        "the loop is 12 % of float32",
        "the loop is 7.5 % of float32",
        "the loop is 1,300 % of float32",
    ]
    assert text.merge(sentences) == "the loop is 7.5–1,300 % of float32"
    assert text.shape(sentences[0]) == text.shape(sentences[1]) == "the loop is # % of float32"


def test_numbers_within_words_are_left_alone():
    assert text.shape("torch 2.13.0 on cuda:0 in float16") == "torch 2.13.0 on cuda:0 in float16"


def test_a_count_has_its_noun():
    assert text.count(1, "case") == "1 case"
    assert text.count(1200, "process", "processes") == "1,200 processes"
