from __future__ import annotations

import pytest

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import threads


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("4", 4), ("all", 4)])
def test_a_number_of_threads_or_all_cores(text: str, count: int) -> None:
    assert threads.parse(text, present=4) == count


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5", "ALL", "²", "5", "1e1"])
def test_anything_else_is_refused_in_one_line_that_says_what_to_say(text: str) -> None:
    with pytest.raises(TorchgaugeError, match="say") as raised:
        threads.parse(text, present=4)
    assert "\n" not in str(raised.value)


def test_all_is_at_least_one_on_this_machine() -> None:
    assert threads.parse("all") >= threads.parse("1")


def test_a_process_with_threads_of_its_own_hands_them_to_numpys_library_too() -> None:
    assert set(threads.variables(3).items()) >= {("OMP_NUM_THREADS", "3"), ("MKL_NUM_THREADS", "3")}
    assert threads.variables(None) == {}
