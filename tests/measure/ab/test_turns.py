"""A side's part and a pair's, each over a socket with the other end played by the test."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeCall, FakeClock, FakeNow
from torchgauge.measure.ab.channel import Blocks, Channel, Finish, Finished, Hello, Ready, Take
from torchgauge.measure.ab.channel import Visit as Asked
from torchgauge.measure.ab.pair import (
    CASE_SECONDS,
    FEW_ROUNDS,
    LEAST_ROUNDS,
    LONG_CASE_SECONDS,
    MOST_ROUNDS,
    UNEVEN,
    Pair,
    Taken,
    rounds,
    shared_loops,
)
from torchgauge.measure.ab.turns import BLOCK_SECONDS, Turns
from torchgauge.measure.instruments import Visit
from torchgauge.measure.subject import Subject

LOOK = Visit("a", "cpu", first=True, seconds=0.0)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    one, other = map(Channel, socket.socketpair())
    yield one, other
    one.close()
    other.close()


def observed(side: Channel, conductor: Channel, now: FakeNow, call: FakeCall, orders: list[Take]):
    """Let a side answer orders; give what it said, what it gave back, and its observations."""
    for order in orders:
        conductor.send(order)
    conductor.send(Finish())
    result, observations = Turns(side, FakeClock(now)).observe(Subject(call), LOOK)
    said = [conductor.receive(Ready, Blocks, seconds=1) for _ in range(1 + len(orders))]
    return said, result, observations


def test_a_side_warms_up_and_times_what_it_is_told_to(ends) -> None:
    side, conductor = ends
    now = FakeNow()
    call = FakeCall(now, 1e-3, 20e-6)
    said, result, observations = observed(side, conductor, now, call, [Take(100, 2), Take(50, 1)])
    ready, first, second = said
    assert isinstance(ready, Ready)
    assert ready.seconds == pytest.approx(ready.loops * 20e-6)
    assert 0.5 * BLOCK_SECONDS < ready.seconds < 2 * BLOCK_SECONDS
    assert first == Blocks(pytest.approx([20e-6, 20e-6]))
    assert second == Blocks(pytest.approx([20e-6]))
    assert result == 1
    assert observations[0].samples == pytest.approx([20e-6] * 3)


def test_a_side_that_is_asked_for_nothing_has_its_warm_up_to_show(ends) -> None:
    side, conductor = ends
    now = FakeNow()
    _, _, observations = observed(side, conductor, now, FakeCall(now, 20e-6), [])
    assert observations[0].samples == pytest.approx([20e-6])


@given(base=st.integers(1, 10**6), head=st.integers(1, 10**6))
def test_both_sides_take_the_same_loops_and_no_block_is_much_longer_than_its_own(
    base: int, head: int
) -> None:
    loops = shared_loops(base, head)
    assert loops == shared_loops(head, base) >= 1
    assert min(base, head) <= loops <= UNEVEN * min(base, head) or loops == 1


@given(block=st.floats(1e-6, 100))
def test_a_case_gets_its_time_in_rounds_and_long_blocks_get_few(block: float) -> None:
    found = rounds(block)
    assert LEAST_ROUNDS <= found <= MOST_ROUNDS
    assert (
        4 * block * found <= (CASE_SECONDS if found > FEW_ROUNDS else LONG_CASE_SECONDS)
        or found == LEAST_ROUNDS
    )


@pytest.mark.parametrize(("block", "count"), [(2e-3, 24), (5e-3, 12), (20e-3, 12), (50e-3, 5), (1.0, 2)])
def test_rounds_by_the_length_of_a_block(block: float, count: int) -> None:
    assert rounds(block) == count


def test_a_pair_alternates_the_sides_and_the_order_is_drawn() -> None:
    """Both sides are played by threads; what they are asked for is written down as it comes."""
    asked: list[str] = []

    class Side:
        def __init__(self, name: str) -> None:
            ours, theirs = socket.socketpair()
            self.name, self.channel, self._theirs = name, Channel(ours), Channel(theirs)
            self.thread = threading.Thread(target=self._play)
            self.thread.start()

        def _play(self) -> None:
            self._theirs.send(Hello([], []))
            self._theirs.receive(Asked, seconds=5)
            self._theirs.send(Ready(400, 4e-3, "host-clock"))
            while isinstance(order := self._theirs.receive(Take, Finish, seconds=5), Take):
                asked.append(self.name)
                self._theirs.send(Blocks([1e-5] * order.count))
            self._theirs.send(Finished())
            self._theirs.close()

        def send(self, message) -> None:
            self.channel.send(message)

        def receive(self, *kinds, more: float = 0.0):
            return self.channel.receive(*kinds, seconds=5)

    base, head = Side("A"), Side("B")
    taken = Pair(base, head, random.Random(3)).measure("a", None)
    for side in (base, head):
        side.thread.join()
        side.channel.close()
    assert isinstance(taken, Taken)
    orders = ["".join(asked[place : place + 4]) for place in range(0, len(asked), 4)]
    assert orders == [one.order for one in taken.rounds]
    assert set(orders) == {"ABBA", "BAAB"}
    assert len(taken.rounds) == rounds(4e-3)
    assert all(len(one.base) == len(one.head) == 2 for one in taken.rounds)
