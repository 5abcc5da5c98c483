from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgauge.analysis.gate import (
    USUAL_COST,
    Batch,
    Comparison,
    Cost,
    Design,
    State,
    Verdict,
    Wanted,
    begin,
    canary_alarms,
    check,
    comparisons,
    fail,
    floor_from,
    overall,
    p_beyond,
    p_equivalent,
    plan,
    smallest_effect,
    take,
    usual_cost,
)
from torchgauge.errors import TorchgaugeError

DESIGN = Design()
COST = Cost(start=5, case=0.7)
CASES = [f"case{number}" for number in range(12)]
UNCLEAR = [-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03]
"""Neither beyond a floor of 1 % nor surely inside."""
Measure = Callable[[str], float]


def noisy(effects: dict[str, float], spread: float, seed: int) -> Measure:
    chance = random.Random(seed)
    return lambda case: math.log1p(effects.get(case, 0)) + chance.gauss(0, spread)


def drive(
    measure: Measure, seconds: float = 285, design: Design = DESIGN, cases: list[str] = CASES
) -> tuple[State, list[Batch], float]:
    """Run the gate to its end; give what it knows, the batches, and the time that was left."""
    state, batches = begin(design, dict.fromkeys(cases, design.least_floor)), []
    while (batch := plan(state, seconds, COST)) is not None:
        seconds -= batch.pairs * COST.pair(len(batch.cases))
        batches.append(batch)
        state = take(state, {case: [measure(case) for _ in range(batch.pairs)] for case in batch.cases})
    return state, batches, seconds


def verdicts(state: State) -> dict[str, Verdict]:
    return {one.case: one.verdict for one in comparisons(state)}


def steady(value: float, pairs: int) -> list[float]:
    """Give values that lie closely about one."""
    return [value + 1e-4 * (place - (pairs - 1) / 2) for place in range(pairs)]


# Verdicts of a run


def test_a_slower_and_a_faster_case_are_named_and_no_other() -> None:
    state, _, _ = drive(noisy({"case3": 0.05, "case7": -0.10}, spread=0.01, seed=1))
    found = verdicts(state)
    assert found.pop("case3") is Verdict.REGRESSED
    assert found.pop("case7") is Verdict.IMPROVED
    assert set(found.values()) <= {Verdict.EQUIVALENT, Verdict.INCONCLUSIVE}
    assert list(found.values()).count(Verdict.EQUIVALENT) >= 8


def test_a_regression_is_told_with_its_ratio_from_fresh_pairs_and_a_p_within_alpha() -> None:
    state, _, _ = drive(noisy({"case3": 0.05}, spread=0.01, seed=2))
    found = next(one for one in comparisons(state, metric="time") if one.case == "case3")
    assert found.ratio is not None
    assert found.low is not None
    assert found.high is not None
    assert found.p is not None
    assert 1.04 < found.low < found.ratio < found.high < 1.06
    assert found.p <= DESIGN.alpha
    assert found.pairs == len(state.ratios["case3"]) - DESIGN.screen
    assert (found.metric, found.floor, found.smallest_effect) == ("time", 0.01, None)


def test_screening_alone_convicts_nothing_however_large_the_difference() -> None:
    state = begin(DESIGN, dict.fromkeys(CASES, 0.01))
    state = take(state, {case: steady(0.5, 100) for case in CASES})
    assert set(verdicts(state).values()) == {Verdict.INCONCLUSIVE}
    assert [one.case for one in state.waves[0].candidates] == CASES


@given(values=st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_no_first_batch_ever_ends_in_a_regression(values: list[float]) -> None:
    found = comparisons(take(begin(DESIGN, {"a": 0.01}), {"a": values}))[0]
    assert found.verdict in (Verdict.EQUIVALENT, Verdict.INCONCLUSIVE)
    assert found.p is None


def test_what_looked_bad_in_screening_only_is_no_regression() -> None:
    state = take(begin(DESIGN, {"a": 0.01}), {"a": steady(0.05, 7)})
    state = take(state, {"a": steady(0.0, 14)})
    found = comparisons(state)[0]
    assert found.verdict is not Verdict.REGRESSED
    assert found.p == 1.0


def test_the_shares_of_all_tests_add_up_to_alpha_and_those_of_all_looks_to_theirs() -> None:
    tests = [DESIGN.alpha_of_test(wave) for wave in range(len(DESIGN.waves)) for _ in range(DESIGN.tests)]
    assert sum(tests) == pytest.approx(DESIGN.alpha)
    looks = [DESIGN.alpha_of_look(look) for look in range(len(DESIGN.looks))]
    assert sum(looks) == pytest.approx(DESIGN.equivalence_alpha)


def test_what_became_suspicious_later_is_confirmed_on_pairs_after_that() -> None:
    state = take(begin(DESIGN, {"a": 0.01}), {"a": UNCLEAR})
    assert state.waves == ()
    state = take(state, {"a": steady(0.05, 20)})
    assert [(one.case, one.since) for one in state.waves[0].candidates] == [("a", 27)]
    assert verdicts(state) == {"a": Verdict.INCONCLUSIVE}  # those twenty chose it
    state = take(state, {"a": steady(0.05, DESIGN.confirm)})
    found = comparisons(state)[0]
    assert (found.verdict, found.pairs) == (Verdict.REGRESSED, DESIGN.confirm)


def test_a_second_wave_is_held_to_its_own_share_of_alpha() -> None:
    pairs = 8  # 2^-8 is within what a test of the first wave may have, and not within the second's
    assert DESIGN.alpha_of_test(1) < 2.0**-pairs <= DESIGN.alpha_of_test(0)
    state = take(begin(DESIGN, {"a": 0.01, "b": 0.01}), {"a": steady(0.05, 7), "b": UNCLEAR})
    assert verdicts(take(state, {"a": steady(0.05, pairs)}))["a"] is Verdict.REGRESSED
    state = take(state, {"b": steady(0.05, 7)})
    assert [one.case for one in state.waves[1].candidates] == ["b"]
    assert verdicts(take(state, {"b": steady(0.05, pairs)}))["b"] is Verdict.INCONCLUSIVE
    assert verdicts(take(state, {"b": steady(0.05, DESIGN.confirm)}))["b"] is Verdict.REGRESSED


def test_a_wave_is_tested_no_more_often_than_fixed() -> None:
    chance = random.Random(5)
    state = begin(DESIGN, {"a": 0.01})
    for _ in range(20):
        state = take(state, {"a": [0.012 + chance.gauss(0, 0.05) for _ in range(14)]})
    assert [wave.tests for wave in state.waves] == [DESIGN.tests] * len(DESIGN.waves)


def test_a_time_that_ends_before_the_first_test_leaves_a_test_with_what_there_is() -> None:
    state = take(begin(DESIGN, {"a": 0.01}), {"a": steady(0.05, 7)})
    assert verdicts(take(state, {"a": steady(0.05, 5)})) == {"a": Verdict.INCONCLUSIVE}
    assert verdicts(take(state, {"a": steady(0.05, 9)})) == {"a": Verdict.REGRESSED}


def test_a_difference_on_the_floor_is_neither() -> None:
    state, _, _ = drive(lambda case: math.log1p(0.01))
    assert set(verdicts(state).values()) == {Verdict.INCONCLUSIVE}


def test_pairs_without_any_difference_are_equivalent_after_screening() -> None:
    state, batches, _ = drive(lambda case: 0.0)
    assert set(verdicts(state).values()) == {Verdict.EQUIVALENT}
    assert [batch.pairs for batch in batches] == [DESIGN.screen]


@given(seed=st.integers(0, 999))
def test_the_order_of_cases_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    ratios = [{case: [chance.gauss(0.01, 0.02) for _ in range(14)] for case in CASES} for _ in range(3)]

    def judged(cases: list[str]) -> dict[str, Comparison]:
        state = begin(DESIGN, dict.fromkeys(cases, 0.01))
        for batch in ratios:
            state = take(state, {case: batch[case] for case in cases})
        return {one.case: one for one in comparisons(state)}

    assert judged(CASES) == judged(chance.sample(CASES, len(CASES)))


@given(seed=st.integers(0, 999))
def test_swapped_sides_give_mirrored_verdicts(seed: int) -> None:
    chance = random.Random(seed)
    ratios = [[chance.gauss(0.02, 0.02) for _ in range(14)] for _ in range(3)]
    ahead = back = begin(DESIGN, {"a": 0.01})
    for batch in ratios:
        ahead, back = take(ahead, {"a": batch}), take(back, {"a": [-one for one in batch]})
    mirrored = {Verdict.REGRESSED: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSED}
    one, other = comparisons(ahead)[0], comparisons(back)[0]
    assert other.verdict is mirrored.get(one.verdict, one.verdict)
    assert other.p == one.p
    assert other.ratio == pytest.approx(1 / (one.ratio or math.nan))


def test_a_case_that_fails_is_settled_and_measured_no_more() -> None:
    state = fail(begin(DESIGN, {"a": 0.01, "b": 0.01}), "a", Verdict.ERROR)
    assert plan(state, 285, COST) == Batch(("b",), DESIGN.screen)
    found = comparisons(take(state, {"a": [0.0] * 7, "b": [0.0] * 7}))
    assert [one.verdict for one in found] == [Verdict.ERROR, Verdict.EQUIVALENT]
    assert (found[0].ratio, found[0].low, found[0].pairs) == (None, None, 0)


def test_only_pairs_can_say_that_a_case_regressed() -> None:
    with pytest.raises(ValueError, match="for pairs to say"):
        fail(begin(DESIGN, {"a": 0.01}), "a", Verdict.REGRESSED)


# What is measured next


@pytest.mark.parametrize("seconds", [0, 20, 60, 100, 200, 285, 1200])
@pytest.mark.parametrize("spread", [0.005, 0.02, 0.06])
def test_no_run_takes_longer_than_its_time(seconds: float, spread: float) -> None:
    _, batches, left = drive(noisy({"case0": 0.04}, spread, seed=4), seconds)
    assert left >= 0
    assert all(batch.pairs > 0 and batch.cases for batch in batches)


def test_everything_is_screened_first_and_further_pairs_go_where_it_is_unclear() -> None:
    _, batches, _ = drive(lambda case: 0.05 if case == "case5" else 0.0)
    assert batches[0] == Batch(tuple(CASES), DESIGN.screen)
    assert {batch.cases for batch in batches[1:]} == {("case5",)}
    assert sum(batch.pairs for batch in batches[1:]) == DESIGN.confirm


def test_where_time_is_short_candidates_are_confirmed_before_others_are_looked_at() -> None:
    state = begin(DESIGN, dict.fromkeys(CASES, 0.01))
    state = take(state, dict.fromkeys(CASES, UNCLEAR))
    state = take(state, {"case5": steady(0.05, 7)})
    assert plan(state, 600, COST) is not None
    assert plan(state, 90, COST) == Batch(("case5",), DESIGN.confirm)


def test_where_time_is_shorter_still_those_least_like_chance_are_confirmed() -> None:
    state = begin(DESIGN, dict.fromkeys(CASES, 0.01))
    state = take(state, {case: steady(0.02 + 0.01 * place, 7) for place, case in enumerate(CASES)})
    planned = plan(state, 110, COST)
    assert planned is not None
    assert planned.pairs == state.due(0) == DESIGN.confirm
    assert planned.cases == ("case11", "case10", "case9", "case8")


def test_many_candidates_are_given_the_pairs_that_they_need() -> None:
    cases = [f"case{number}" for number in range(240)]
    state = begin(DESIGN, dict.fromkeys(cases, 0.01))
    state = take(state, {case: steady(0.05, 7) for case in cases})
    assert 2.0 ** -state.due(0) <= DESIGN.alpha_of_test(0) / 240 < 2.0 ** -(state.due(0) - 1)
    state = take(state, {case: steady(0.05, state.due(0)) for case in cases})
    assert set(verdicts(state).values()) == {Verdict.REGRESSED}


def test_screening_takes_fewer_pairs_where_time_is_short() -> None:
    state = begin(DESIGN, {f"case{number}": 0.01 for number in range(60)})
    pairs = [batch.pairs if (batch := plan(state, seconds, COST)) else 0 for seconds in (900, 400, 300, 40)]
    assert pairs == [7, 5, 4, 0]


def test_an_hour_is_not_spent_where_minutes_do() -> None:
    _, _, left = drive(noisy({}, spread=0.01, seed=6), seconds=3600)
    assert left > 2400


# A design that can't turn red


def test_a_design_that_can_never_turn_red_is_refused_with_the_cure() -> None:
    check(DESIGN, cases=12, seconds=300, cost=COST)
    with pytest.raises(TorchgaugeError, match=r"5 pairs can never confirm .* confirm with 8 or more"):
        check(replace(DESIGN, confirm=5), cases=12)


@given(alpha=st.floats(1e-6, 0.5), confirm=st.integers(1, 20))
def test_what_is_not_refused_can_turn_red_and_what_is_refused_can_not(alpha: float, confirm: int) -> None:
    design = replace(DESIGN, alpha=alpha, confirm=confirm)
    state = take(begin(design, {"a": 0.01}), {"a": steady(0.5, 7)})
    state = take(state, {"a": steady(0.5, confirm)})
    red = verdicts(state) == {"a": Verdict.REGRESSED}
    try:
        check(design, cases=1)
    except TorchgaugeError:
        assert not red
    else:
        assert red


def test_too_little_time_to_confirm_anything_is_refused_with_what_it_takes() -> None:
    with pytest.raises(TorchgaugeError, match=r"among 60 cases in 2\.0 minutes.*allow 3\.9 or more"):
        check(DESIGN, cases=60, seconds=120, cost=COST)
    check(DESIGN, cases=60, seconds=3.9 * 60, cost=COST)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_an_alpha_that_is_no_probability_is_refused(alpha: float) -> None:
    with pytest.raises(TorchgaugeError, match="probability such as"):
        Design(alpha=alpha)


def test_shares_of_more_than_all_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        Design(waves=(0.75, 0.75))
    with pytest.raises(ValueError, match="can't cost"):
        Cost(start=5, case=0)


# One case


def test_inside_the_floor_beyond_it_and_neither() -> None:
    inside, beyond = steady(0.0, 12), steady(0.05, 12)
    assert p_equivalent(inside, 0.01) == p_beyond(beyond, 0.01, 1) == 2**-12
    assert p_equivalent(beyond, 0.01) == p_beyond(inside, 0.01, 1) == p_beyond(beyond, 0.01, -1) == 1.0


def test_a_floor_reaches_as_far_down_as_up() -> None:
    down = steady(math.log(1 / 1.05), 12)
    assert p_beyond(down, 0.04, -1) == 2**-12
    assert p_beyond(down, 0.06, -1) == 1.0


def test_quiet_and_too_few_stored_pairs_leave_the_least_floor() -> None:
    assert floor_from(steady(0.0, 200), DESIGN, 21) == DESIGN.least_floor
    assert floor_from([0.5, -0.5] * 9, DESIGN, 21) == DESIGN.least_floor


def test_noise_raises_the_floor_in_proportion_and_a_lasting_difference_raises_it_too() -> None:
    chance = random.Random(7)
    stored = [chance.gauss(0, 0.03) for _ in range(240)]
    floor = floor_from(stored, DESIGN, 21)
    assert 0.02 < floor < 0.03
    doubled = floor_from([2 * one for one in stored], DESIGN, 21)
    assert math.log1p(doubled) == pytest.approx(2 * math.log1p(floor))
    assert floor_from([one + 0.03 for one in stored], DESIGN, 21) > 1.2 * floor
    assert floor_from(stored, DESIGN, 21) == floor


def test_four_times_the_pairs_halve_a_raised_floor() -> None:
    chance = random.Random(7)
    stored = [chance.gauss(0, 0.05) for _ in range(240)]
    assert floor_from(stored, DESIGN, 64) == pytest.approx(floor_from(stored, DESIGN, 16) / 2, rel=0.15)


def test_a_floor_is_for_the_pairs_that_the_time_allows() -> None:
    chance = random.Random(7)
    stored = [chance.gauss(0, 0.05) for _ in range(240)]
    short, long = (Wanted(DESIGN, seconds, 12) for seconds in (300, 1200))
    assert short.floor(stored, 0.5) == floor_from(stored, DESIGN, 30)  # 270 s of pairs that take 9 s
    assert long.floor(stored, 0.5) < short.floor(stored, 0.5)
    assert short.floor(stored, None) == short.floor(stored, USUAL_COST.case)


def test_the_smallest_effect_is_found_in_eight_of_ten() -> None:
    chance = random.Random(8)
    alpha = DESIGN.alpha_of_test(0)

    def draw(effect: float) -> list[float]:
        return [math.log1p(effect) + chance.gauss(0, 0.02) for _ in range(21)]

    told = sorted(smallest_effect(draw(0), 0.01, alpha) or math.nan for _ in range(201))[100]
    found = sum(p_beyond(draw(told), 0.01, 1) <= alpha for _ in range(600)) / 600
    assert 0.72 < found < 0.88


def test_inconclusive_tells_the_smallest_effect_and_equivalent_does_not() -> None:
    chance = random.Random(10)
    state = take(
        begin(DESIGN, {"a": 0.01, "b": 0.01}),
        {"a": [chance.gauss(0, 0.05) for _ in range(21)], "b": steady(0.0, 21)},
    )
    unclear, equivalent = comparisons(state)
    assert (unclear.verdict, equivalent.verdict) == (Verdict.INCONCLUSIVE, Verdict.EQUIVALENT)
    assert state.screened == 21
    assert unclear.smallest_effect is None  # pairs that choose convict nothing
    state = take(state, {"a": [chance.gauss(0, 0.05) for _ in range(21)]})
    unclear, equivalent = comparisons(state)
    assert unclear.smallest_effect == smallest_effect(state.ratios["a"], 0.01, DESIGN.alpha_of_test(0), 21)
    assert unclear.smallest_effect is not None
    assert unclear.smallest_effect > 0.02
    assert equivalent.smallest_effect is None


@pytest.mark.parametrize("spread", [0.015, 0.022, 0.03])
def test_the_whole_course_finds_what_it_says_it_would_have_found(spread: float) -> None:
    told = []
    for seed in range(12):
        state, _, _ = drive(noisy({}, spread, seed))
        told += [one.smallest_effect for one in comparisons(state) if one.smallest_effect is not None]
    effect = sorted(told)[len(told) // 2]
    found = [verdicts(drive(noisy({"case3": effect}, spread, seed))[0])["case3"] for seed in range(100, 160)]
    assert found.count(Verdict.REGRESSED) >= 0.65 * len(found)


def test_pairs_that_only_choose_find_nothing() -> None:
    pairs = steady(0.0, 21)
    whole, part = smallest_effect(pairs, 0.01, 0.01), smallest_effect(pairs, 0.01, 0.01, 7)
    assert whole is not None
    assert part is not None
    reach, wider = math.log1p(whole) - math.log1p(0.01), math.log1p(part) - math.log1p(0.01)
    assert wider == pytest.approx(reach * math.sqrt(21 / 14))
    assert smallest_effect(pairs, 0.01, 0.01, 15) is None


def test_many_cases_are_guessed_to_take_what_they_took() -> None:
    seen = 37.3  # seconds a pair, two at once, of 239 cases on two cores
    assert usual_cost(1, 2).pair(239) == pytest.approx(seen, rel=0.1)
    check(DESIGN, cases=239, seconds=300, cost=usual_cost(1, 2))
    with pytest.raises(TorchgaugeError, match="allow"):
        check(DESIGN, cases=239, seconds=300, cost=usual_cost(1, 1))


def test_screening_leaves_the_time_to_confirm_a_candidate() -> None:
    slow = Cost(start=20, case=0.1)
    batch = plan(begin(DESIGN, dict.fromkeys(CASES, 0.01)), 285, slow)
    assert batch is not None
    assert slow.fits(285 - batch.pairs * slow.pair(12), 1) >= 8


def test_too_few_pairs_could_have_seen_no_effect_at_all() -> None:
    assert smallest_effect([0.01, 0.02, 0.03], 0.01, 0.01) is None
    assert smallest_effect([], 0.01, 0.01) is None


def test_a_canary_alarms_where_the_same_code_differs_and_not_for_noise() -> None:
    chance = random.Random(9)
    assert canary_alarms([0.03 + chance.gauss(0, 0.01) for _ in range(14)])
    assert canary_alarms([-0.03 + chance.gauss(0, 0.01) for _ in range(14)])
    assert not any(canary_alarms([chance.gauss(0, 0.03) for _ in range(14)]) for _ in range(100))
    assert not canary_alarms([0.5, 0.5, 0.5])


# The run as a whole


def test_the_worst_verdict_of_the_cases_is_that_of_the_run() -> None:
    order = [*Verdict][1:]
    assert order[0] is Verdict.REGRESSED
    for place, worst in enumerate(order):
        assert overall(order[place:]) is worst


def test_a_disturbed_run_is_invalid_and_never_red() -> None:
    assert overall([Verdict.REGRESSED, Verdict.EQUIVALENT], disturbed=True) is Verdict.INVALID


def test_a_run_without_a_case_is_refused() -> None:
    with pytest.raises(ValueError, match="without a case"):
        overall([])


def test_where_time_is_short_those_nearest_to_equivalent_are_looked_at() -> None:
    near = [-0.02, -0.002, -0.001, 0.0, 0.0, 0.001, 0.002]
    state = take(begin(DESIGN, {"far": 0.01, "near": 0.01}), {"far": UNCLEAR, "near": near})
    assert (state.waves, dict(state.settled)) == ((), {})
    assert plan(state, 18, COST) == Batch(("near",), 3)
