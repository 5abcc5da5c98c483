"""The order of the cases and the shares of the time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgauge.measure.budget import BUDGETS, ORDER
from torchgauge.measure.schedule import MOST_PATIENCE, PATIENCE, Allowance, order

KEYS = [f"case {number}" for number in range(40)]
QUICK = BUDGETS["quick"]


def test_the_same_seed_process_and_round_give_the_same_order() -> None:
    assert order(KEYS, 7, 0, 1) == order(KEYS, 7, 0, 1)


@pytest.mark.parametrize("other", [(8, 0, 1), (7, 1, 1), (7, 0, 2)])
def test_another_seed_process_or_round_gives_another_order(other: tuple[int, int, int]) -> None:
    assert order(KEYS, 7, 0, 1) != order(KEYS, *other)


def test_an_order_holds_every_case_once_and_leaves_the_cases_as_they_were() -> None:
    keys = list(KEYS)
    shuffled = order(keys, 3, 0, 0)
    assert shuffled != KEYS
    assert sorted(shuffled) == sorted(KEYS)
    assert keys == KEYS


def test_the_orders_of_a_seed_are_the_same_for_ever() -> None:
    # a stored seed must give its order again in later versions
    assert "".join(order("abcdefgh", 42, 0, 0)) == "ghdfaebc"


def test_visits_share_what_is_left_of_the_time() -> None:
    allowance = Allowance(QUICK)
    assert allowance.seconds(spent=6.0, visits_left=400) == pytest.approx((QUICK.seconds - 6) / 400)


def test_what_a_visit_costs_beside_its_samples_is_taken_off_the_next_shares() -> None:
    allowance = Allowance(QUICK)
    allowance.visited(share=0.05, took=0.08)
    allowance.visited(share=0.05, took=0.06)
    assert allowance.seconds(spent=6.0, visits_left=400) == pytest.approx((QUICK.seconds - 6) / 400 - 0.02)


def test_a_visit_that_ended_early_lends_nothing() -> None:
    allowance = Allowance(QUICK)
    allowance.visited(share=0.05, took=0.01)
    assert allowance.seconds(spent=6.0, visits_left=400) == pytest.approx((QUICK.seconds - 6) / 400)


def test_tries_that_were_given_up_take_from_what_there_is_for_them_and_not_from_the_shares() -> None:
    allowance = Allowance(QUICK, processes=2)
    assert allowance.retry_seconds == pytest.approx(0.05 * QUICK.seconds)
    allowance.visited(share=0.05, took=0.18, retried=0.1)
    assert allowance.retry_seconds == pytest.approx(0.05 * QUICK.seconds - 0.1)
    assert allowance.seconds(6.0, 400) == pytest.approx((QUICK.seconds / 2 - 6) / 400 - 0.03)
    assert Allowance(BUDGETS["thorough"]).retry_seconds == math.inf


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_each_process_ends_by_its_equal_part_of_the_time(processes: int) -> None:
    spent, visits = 0.0, 400
    for process in range(processes):
        allowance = Allowance(QUICK, process, processes)
        for left in range(visits, 0, -1):
            spent += allowance.seconds(spent, left)
        assert spent == pytest.approx(QUICK.seconds * (process + 1) / processes)


def test_a_budget_without_an_aim_gives_every_visit_the_most() -> None:
    thorough = BUDGETS["thorough"]
    assert Allowance(thorough).seconds(1e6, 10**6) == thorough.visit_most


@given(
    name=st.sampled_from(ORDER),
    spent=st.floats(min_value=0, max_value=1e5),
    left=st.integers(min_value=0, max_value=10**6),
    took=st.floats(min_value=0, max_value=1e3),
)
def test_a_share_is_never_less_than_the_least_nor_more_than_the_most(name, spent, left, took) -> None:
    budget = BUDGETS[name]
    allowance = Allowance(budget)
    allowance.visited(0.01, took)
    assert budget.visit_least <= allowance.seconds(spent, left) <= budget.visit_most


def test_where_few_visits_are_left_one_waits_for_all_that_the_budget_has_for_it_up_to_two_seconds() -> None:
    share = Allowance(QUICK).share(spent=0.0, visits_left=5)
    assert (share.seconds, share.patience) == (QUICK.visit_most, MOST_PATIENCE)


def test_where_many_visits_are_left_one_waits_for_three_times_its_share() -> None:
    share = Allowance(QUICK).share(spent=0.0, visits_left=1000)
    assert share.patience == pytest.approx(PATIENCE * share.seconds)


def test_nothing_is_left_for_retries_once_they_took_more_than_there_was() -> None:
    allowance = Allowance(QUICK)
    allowance.visited(share=0.05, took=100.0, retried=100.0)
    assert allowance.share(spent=10.0, visits_left=5).retry == 0.0
