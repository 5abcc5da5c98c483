from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from torchgauge.units import format_quantity, parse_quantity, significant

SIGNS = st.sampled_from([1.0, -1.0])


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (9.92e-6, "s", "9.92 µs"),
        (1.234e-9, "s", "1.23 ns"),
        (0.0123, "s", "12.3 ms"),
        (1.0, "s", "1.00 s"),
        (90.0, "s", "90.0 s"),
        (5000.0, "s", "5000 s"),
        (216.4e9, "FLOP/s", "216 GFLOP/s"),
        (1.5e15, "FLOP/s", "1.50 PFLOP/s"),
        (4.3e12, "B/s", "4.30 TB/s"),
        (33554432.0, "FLOP", "33.6 MFLOP"),
        (1.0, "B", "1 B"),
        (1023.0, "B", "1023 B"),
        (1024.0, "B", "1 KiB"),
        (1536.0, "B", "1.50 KiB"),
        (65536.0, "B", "64 KiB"),
        (2.0**20 - 1, "B", "1.00 MiB"),
        (3 * 2.0**30, "B", "3 GiB"),
        (0.0, "s", "0 s"),
        (-0.002, "s", "-2.00 ms"),
        (700.0, "W", "700 W"),
        (0.0625, "W", "62.5 mW"),
        (1.5e-6, "J", "1.50 µJ"),
        (2500.0, "J", "2.50 kJ"),
        (float("inf"), "s", "inf s"),
        (float("nan"), "s", "nan s"),
        (None, "s", "–"),
    ],
)
def test_a_quantity_is_written_with_three_digits_and_the_prefix_that_suits_it(
    value: float | None, unit: str, text: str
) -> None:
    assert format_quantity(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(9.996e-6, "10.0 µs"), (99.96e-6, "100 µs"), (999.6e-6, "1.00 ms"), (0.99951, "1.00 s")],
)
def test_rounding_up_to_the_next_digit_keeps_three_digits(value: float, text: str) -> None:
    assert format_quantity(value, "s") == text


@given(value=st.floats(1e-12, 1e3, exclude_max=True))
@example(999.5e-9)
@example(0.9995)
def test_a_time_has_three_digits_and_never_a_thousand_of_its_unit(value: float) -> None:
    number, _ = format_quantity(value, "s").split(" ")
    if value < 999.5:
        assert re.fullmatch(r"\d\.\d\d|\d\d\.\d|\d\d\d", number), number


@given(value=st.floats(1e-13, 1e7), sign=SIGNS)
def test_a_time_read_back_is_within_half_a_percent(value: float, sign: float) -> None:
    assert parse_quantity(format_quantity(sign * value, "s"), "s") == pytest.approx(
        sign * value, rel=5.001e-3
    )


@given(value=st.floats(1.0, 1e15))
@example(1023.6)
@example(2.0**20 - 0.5)
def test_a_size_read_back_is_within_half_a_percent(value: float) -> None:
    assert parse_quantity(format_quantity(value, "B"), "B") == pytest.approx(value, rel=5.001e-3)


@given(exponent=st.integers(0, 45), factor=st.integers(1, 1023))
def test_a_size_of_whole_units_is_read_back_exactly(exponent: int, factor: int) -> None:
    size = float(factor * 2 ** (exponent // 10 * 10))
    assert parse_quantity(format_quantity(size, "B"), "B") == size


@pytest.mark.parametrize("unit", ["FLOP/s", "B/s", "FLOP", "W", "items/s"])
@given(value=st.floats(1e-3, 1e18))
def test_a_rate_read_back_is_within_half_a_percent(unit: str, value: float) -> None:
    assert parse_quantity(format_quantity(value, unit), unit) == pytest.approx(value, rel=5.001e-3)


@pytest.mark.parametrize("unit", ["s", "B", "B/s", "FLOP/s"])
def test_nothing_is_read_back_from_zero_but_zero(unit: str) -> None:
    assert parse_quantity(format_quantity(0.0, unit), unit) == 0.0


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("9.92 µs", "s", 9.92e-6),
        ("9.92us", "s", 9.92e-6),
        ("9.92 \u03bcs", "s", 9.92e-6),
        (" 3 ms ", "s", 3e-3),
        ("1e-3", "", 1e-3),
        (".5 s", "s", 0.5),
        ("5. s", "s", 5.0),
        ("64KiB", "B", 65536.0),
        ("64 kB", "B", 64000.0),
        ("+2 GFLOP/s", "FLOP/s", 2e9),
    ],
)
def test_what_people_write_is_read(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("", "s"),
        ("fast", "s"),
        ("5", "s"),
        ("5 B", "s"),
        ("5 Kis", "s"),
        ("5 xs", "s"),
        ("1 2 s", "s"),
        ("–", "s"),
    ],
)
def test_what_is_no_quantity_is_refused_with_an_example(text: str, unit: str) -> None:
    with pytest.raises(ValueError, match=r"is no quantity in s; write it like '1\.50 µs'"):
        parse_quantity(text, unit)


@given(value=st.floats(1e-9, 1e9), digits=st.integers(1, 6), sign=SIGNS)
def test_significant_digits_are_as_many_as_asked_for(value: float, digits: int, sign: float) -> None:
    text = significant(sign * value, digits)
    assert "e" not in text
    assert float(text) == pytest.approx(sign * value, rel=0.5001 * 10 ** (1 - digits))
    shown = text.lstrip("-").replace(".", "").lstrip("0")
    assert len(shown) == max(digits, math.floor(math.log10(abs(float(text)))) + 1)
