"""The subject: calls with any number of arguments, and fresh state where it is asked for."""

from __future__ import annotations

import weakref
from itertools import count

import pytest
import torch

from torchgauge.measure.subject import Subject, kept, nothing


@pytest.mark.parametrize("arity", range(7))
@pytest.mark.parametrize("kwargs", [{}, {"out": "here"}])
def test_a_block_calls_as_often_as_asked_with_all_arguments(arity: int, kwargs: dict[str, str]) -> None:
    seen = []
    args = tuple(range(arity))
    Subject(lambda *a, **k: seen.append((a, k)), args, kwargs).block(5)()
    assert seen == [(args, kwargs)] * 5


def test_once_gives_the_result_of_one_call() -> None:
    assert Subject(divmod, (7, 2)).call()() == (3, 1)


def test_a_block_can_be_run_only_as_it_was_made() -> None:
    # `repeat` is used up: timing the same block twice would time an empty one
    seen = []
    block = Subject(seen.append, (1,)).block(3)
    block()
    block()
    assert len(seen) == 3


def test_prepare_for_each_block_makes_one_state_before_the_block_runs() -> None:
    states, seen = count(), []
    subject = Subject(seen.append, prepare=lambda: (next(states),))
    first = subject.block(3)
    assert seen == []
    assert next(states) == 1  # made when the block was, so outside the timed part
    first()
    subject.block(2)()
    assert seen == [0, 0, 0, 2, 2]


def test_prepare_for_each_call_gives_every_call_its_own_state() -> None:
    states, seen = count(), []
    block = Subject(seen.append, prepare=lambda: (next(states),), each="call").block(4)
    assert next(states) == 4
    block()
    assert seen == [0, 1, 2, 3]


def test_prepare_for_each_call_keeps_keyword_arguments() -> None:
    seen = []
    subject = Subject(
        lambda *a, **k: seen.append((a, k)), (), {"dim": 0}, prepare=lambda: (1, 2), each="call"
    )
    subject.block(2)()
    subject.call()()
    assert seen == [((1, 2), {"dim": 0})] * 3


def test_the_empty_loop_calls_a_function_that_does_nothing() -> None:
    assert nothing() is None
    Subject(nothing).block(3)()


def test_a_plain_result_is_kept_and_the_call_is_not_made_again() -> None:
    calls: list[int] = []
    subject = Subject(calls.append, (1,))
    later = kept(subject, {"loss": (torch.ones(2), 3.0)})
    assert later()["loss"][1] == 3.0
    assert calls == []


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (1, x), lambda x: [{"loss": x}]])
def test_a_result_that_holds_a_graph_is_dropped_and_made_again(wrap) -> None:
    weight = torch.ones(3, requires_grad=True)
    subject = Subject(lambda: wrap(weight * 2))
    result = subject.call()()
    later = kept(subject, result)
    assert str(later()) == str(result)
    assert later() is not result


def test_nothing_holds_a_dropped_result() -> None:
    class Loss:
        grad_fn = "a node"

    made: list[weakref.ref[Loss]] = []

    def forward() -> Loss:
        loss = Loss()
        made.append(weakref.ref(loss))
        return loss

    later = kept(subject := Subject(forward), subject.call()())
    assert made[0]() is None
    assert isinstance(later(), Loss)
