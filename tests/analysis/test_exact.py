from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgauge.analysis.gate.exact import compare_counts, judge
from torchgauge.record.ab import Comparison, CountLine, Verdict

FLOORS = {"operators": 0.0, "instructions": 0.005}
MIRROR = {Verdict.REGRESSED: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSED}
VALUES = st.lists(st.floats(1, 1e9), min_size=1, max_size=6)


def line(case: str = "a", metric: str = "operators", *values: float, **parts: float) -> CountLine:
    return CountLine(side="base", process=0, case=case, metric=metric, values=list(values), parts=parts)


def only(base: list[CountLine], head: list[CountLine]) -> Comparison:
    (found,) = compare_counts(base, head, FLOORS)
    return found


def test_one_operator_more_is_a_regression_and_is_named() -> None:
    found = only(
        [line("a", "operators", 3, 3, add=2, mul=1)], [line("a", "operators", 4, 4, add=2, mul=1, copy_=1)]
    )
    assert found.verdict is Verdict.REGRESSED
    assert found.notes == ["3 → 4: +1 copy_"]
    assert found.ratio == pytest.approx(4 / 3)


def test_one_fewer_is_an_improvement() -> None:
    found = only([line("a", "operators", 3, add=3)], [line("a", "operators", 2, add=2)])
    assert (found.verdict, found.notes) == (Verdict.IMPROVED, ["3 → 2: -1 add"])


def test_as_many_of_another_kind_are_equivalent_and_are_named() -> None:
    found = only([line("a", "operators", 3, add=3)], [line("a", "operators", 3, add=2, add_=1)])
    assert (found.verdict, found.notes) == (Verdict.EQUIVALENT, ["-1 add, +1 add_"])


def test_something_where_there_was_nothing_is_a_regression_without_a_ratio() -> None:
    found = only([line("a", "operators", 0, 0)], [line("a", "operators", 1, 1, copy_=1)])
    assert (found.verdict, found.ratio, found.low) == (Verdict.REGRESSED, None, None)


def test_nothing_on_both_sides_is_equivalent() -> None:
    assert only([line("a", "operators", 0)], [line("a", "operators", 0)]).verdict is Verdict.EQUIVALENT


def test_what_one_side_did_not_count_is_missing() -> None:
    found = only([line("a", "operators", 1)], [])
    assert (found.verdict, found.notes) == (Verdict.MISSING, ["only base counted operators"])


def test_a_difference_within_the_floor_is_none_and_one_beyond_it_is() -> None:
    assert judge([1000, 1001], [1004, 1005], 0.005) is Verdict.EQUIVALENT
    assert judge([1000, 1001], [1008, 1010], 0.005) is Verdict.REGRESSED
    assert judge([1008, 1010], [1000, 1001], 0.005) is Verdict.IMPROVED


def test_counts_of_two_levels_on_each_side_are_no_regression() -> None:
    assert judge([1000, 1020], [1000, 1020], 0.005) is Verdict.EQUIVALENT
    assert judge([1000, 1020], [1020, 1020], 0.005) is Verdict.INCONCLUSIVE


def test_the_long_name_of_a_template_is_cut() -> None:
    found = only([line("a", "operators", 0)], [line("a", "operators", 1, **{"x" * 300: 1})])
    assert found.notes == [f"0 → 1: +1 {'x' * 59}…"]


def test_only_the_largest_differences_are_named() -> None:
    more = {f"op{number}": float(number) for number in range(1, 8)}
    found = only([line("a", "operators", 0)], [line("a", "operators", 28, **more)])
    assert found.notes == ["0 → 28: +7 op7, +6 op6, +5 op5, +4 op4 and 3 more"]


@given(base=VALUES, head=VALUES, floor=st.sampled_from([0.0, 0.005, 0.1]))
def test_swapped_sides_give_mirrored_verdicts(base: list[float], head: list[float], floor: float) -> None:
    said = judge(base, head, floor)
    assert judge(head, base, floor) is MIRROR.get(said, said)


@given(values=VALUES)
def test_the_same_counts_are_never_a_change(values: list[float]) -> None:
    assert judge(values, values, 0.0) is Verdict.EQUIVALENT
