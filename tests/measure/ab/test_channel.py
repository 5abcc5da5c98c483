from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec
import pytest

from torchgauge.measure.ab.channel import (
    Blocks,
    Channel,
    Failed,
    Finish,
    GoneError,
    LateError,
    Ready,
    Take,
    Visit,
)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel, and the bare socket at its other end."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    yield channel, theirs
    channel.close()
    theirs.close()


def test_what_is_said_arrives_in_order_each_as_its_own_type() -> None:
    one, other = map(Channel, socket.socketpair())
    said = [Visit("a", None), Take(3, 2), Ready(1, 1e-3, "host-clock"), Blocks([1e-6, 2e-6]), Finish()]
    for message in said:
        one.send(message)
    heard = [other.receive(Visit, Take, Ready, Blocks, Finish, seconds=1) for _ in said]
    assert heard == said
    one.close()
    other.close()


def test_a_message_that_comes_in_parts_is_whole(ends) -> None:
    channel, theirs = ends
    line = msgspec.json.encode(Take(3, 2)) + b"\n"
    theirs.sendall(line + line[:5])
    assert channel.receive(Take, seconds=1) == Take(3, 2)
    with pytest.raises(LateError):
        channel.receive(Take, seconds=0.05)
    theirs.sendall(line[5:])
    assert channel.receive(Take, seconds=1) == Take(3, 2)


def test_silence_is_told_from_an_end(ends) -> None:
    channel, theirs = ends
    with pytest.raises(LateError):
        channel.receive(Take, seconds=0.01)
    theirs.close()
    with pytest.raises(GoneError):
        channel.receive(Take, seconds=1)
    with pytest.raises(GoneError):
        channel.send(Finish())


@pytest.mark.parametrize(
    "line", [b'{"type":"Blocks","seconds":[1]}', b"nonsense", b'{"type":"Take"}', b"\xff"]
)
def test_what_was_not_asked_for_is_refused(ends, line: bytes) -> None:
    channel, theirs = ends
    theirs.sendall(line + b"\n")
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        channel.receive(Take, Failed, seconds=1)
