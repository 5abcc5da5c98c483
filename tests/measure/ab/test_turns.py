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
from torchgauge.measure import clocks, device
from torchgauge.measure.ab.channel import Blocks, ByHost, Channel, Finish, Finished, Hello, Ready, Take
from torchgauge.measure.ab.channel import Visit as Asked
from torchgauge.measure.ab.pair import (
    CASE_SECONDS,
    FEW_ROUNDS,
    LEAST_ROUNDS,
    LONG_CASE_SECONDS,
    MOST_ROUNDS,
    UNEVEN,
    NotTaken,
    Pair,
    Solo,
    Taken,
    alone,
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


class PlayedSide:
    """A side that a thread plays; what it is asked for is written down as it comes."""

    def __init__(self, name: str, asked: list[str], method: str = "host-clock") -> None:
        ours, theirs = socket.socketpair()
        self.name, self.channel, self._theirs = name, Channel(ours), Channel(theirs)
        self._asked, self._method = asked, method
        self.thread = threading.Thread(target=self._play)
        self.thread.start()

    def _play(self) -> None:
        self._theirs.send(Hello([], []))
        self._theirs.receive(Asked, seconds=5)
        self._theirs.send(Ready(400, 4e-3, self._method))
        while not isinstance(order := self._theirs.receive(Take, Finish, ByHost, seconds=5), Finish):
            if isinstance(order, ByHost):
                self._asked.append(f"{self.name} by host")
                self._theirs.send(Ready(400, 4e-3, "host-clock-synchronized"))
                continue
            self._asked.append(self.name)
            self._theirs.send(Blocks([1e-5] * order.count))
        self._theirs.send(Finished())
        self._theirs.close()

    def send(self, message) -> None:
        self.channel.send(message)

    def receive(self, *kinds, more: float = 0.0):
        return self.channel.receive(*kinds, seconds=5)


def measured(base: PlayedSide, head: PlayedSide) -> Taken:
    taken = Pair(base, head, random.Random(3)).measure("a", None)
    for side in (base, head):
        side.thread.join()
        side.channel.close()
    assert isinstance(taken, Taken)
    return taken


def test_a_pair_alternates_the_sides_and_the_order_is_drawn() -> None:
    asked: list[str] = []
    taken = measured(PlayedSide("A", asked), PlayedSide("B", asked))
    orders = ["".join(asked[place : place + 4]) for place in range(0, len(asked), 4)]
    assert orders == [one.order for one in taken.rounds]
    assert set(orders) == {"ABBA", "BAAB"}
    assert len(taken.rounds) == rounds(4e-3)
    assert all(len(one.base) == len(one.head) == 2 for one in taken.rounds)


@pytest.mark.parametrize(
    ("base", "head", "told"),
    [
        ("device-events", "device-events", []),
        ("device-events", "host-clock-synchronized", ["A by host"]),
        ("host-clock-synchronized", "device-events", ["B by host"]),
    ],
)
def test_where_one_side_is_timed_by_the_host_the_other_is_as_well(
    base: str, head: str, told: list[str]
) -> None:
    asked: list[str] = []
    taken = measured(PlayedSide("A", asked, base), PlayedSide("B", asked, head))
    assert [one for one in asked if "host" in one] == told
    assert asked[: len(told)] == told  # before any block
    assert taken.method == ("host-clock-synchronized" if told else "device-events")


@pytest.mark.parametrize(
    ("before", "said", "outcome"),
    [
        ("host-clock-synchronized", "device-events", "host-clock-synchronized"),
        ("device-events", "device-events", "device-events"),
        ("device-events", "host-clock-synchronized", None),
    ],
)
def test_a_side_alone_follows_the_clock_of_the_one_before_it_or_can_not(
    before: str, said: str, outcome: str | None
) -> None:
    side = PlayedSide("B", [], said)
    assert side.receive(Hello)
    taken = alone(side, "a", None, Solo(400, before, [1e-5] * 4))
    side.thread.join()
    side.channel.close()
    if outcome is None:
        assert isinstance(taken, NotTaken)
        assert "the host's clock times it" in taken.reason
    else:
        assert isinstance(taken, Solo)
        assert (taken.method, len(taken.blocks)) == (outcome, 4)


def test_a_side_that_is_to_be_timed_by_the_host_warms_up_by_it_and_stays_with_it(
    ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, conductor = ends
    now = FakeNow()
    by_events = FakeClock(now, metric="device_time")
    by_host = FakeClock(now)
    by_host.method = "host-clock-synchronized"
    monkeypatch.setattr(clocks, "choose", lambda *_: clocks.Choice(by_events))
    monkeypatch.setattr(device, "clock", lambda place, *, events: by_events if events else by_host)
    turns = Turns(side, FakeClock(now))
    look = Visit("a", "cuda:0", first=True, seconds=0.0)
    for order in (ByHost(), Take(10, 1), Finish()):
        conductor.send(order)
    _, (seen,) = turns.observe(Subject(FakeCall(now, 20e-6)), look)
    methods = [conductor.receive(Ready, Blocks, seconds=1) for _ in range(3)]
    assert [one.method for one in methods[:2]] == ["fake", "host-clock-synchronized"]
    assert (seen.metric, seen.method) == ("time", "host-clock-synchronized")
    taken = len(by_events.blocks)
    conductor.send(Finish())
    turns.observe(Subject(FakeCall(now, 20e-6)), look)
    assert len(by_events.blocks) == taken
