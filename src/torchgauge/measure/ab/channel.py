"""What a conductor and a side say to each other: JSON lines over a socket, each a message of its own type.

A conversation: the side says Hello. The conductor asks for a Visit; the side answers Ready once the call
is warm, and again after ByHost, gives Blocks for each Take, and after Finish says Finished. Instead of any
answer it may say Failed or Skipped, which end the visit.
"""

from __future__ import annotations

import selectors
import socket
import time
from typing import TypeVar, Union

import msgspec
from msgspec import Struct

from torchgauge.record.schema import Case, Environment


class Hello(Struct, frozen=True, tag=True):
    """The side has collected its benchmarks. `broken` are files that could not be imported, and why."""

    cases: list[Case]
    broken: list[tuple[str, str]]
    environment: Environment | None = None
    places: dict[str, tuple[str, int]] = {}
    """Of a case's id: its file, relative to the side's root, and the line of its function, from 1."""


class Visit(Struct, frozen=True, tag=True):
    """Set the case up and warm it. `following` is the case after it, so that shared fixtures stay."""

    case: str
    following: str | None = None


class Ready(Struct, frozen=True, tag=True):
    """The call is warm. A block of `loops` calls took `seconds`."""

    loops: int
    seconds: float
    method: str


class ByHost(Struct, frozen=True, tag=True):
    """The other side is timed by the host's clock, so this one is to be as well: warm the call by it."""


class Take(Struct, frozen=True, tag=True):
    """Time `count` blocks of `loops` calls each, now."""

    loops: int
    count: int


class Blocks(Struct, frozen=True, tag=True):
    """What the blocks took, in seconds a call."""

    seconds: list[float]


class Finish(Struct, frozen=True, tag=True):
    """Nothing more is to be timed: let the benchmark come to its end."""


class Finished(Struct, frozen=True, tag=True):
    """The benchmark came to its end, and its own checks passed.

    `poor` says why the conditions were too poor meanwhile (`torchgauge.measure.conditions`), if they were.
    `late` are modules of `LATE` that the process has imported by now.
    """

    poor: str | None = None
    late: list[str] = []


class Failed(Struct, frozen=True, tag=True):
    """The benchmark raised; see `torchgauge.record.Failure`."""

    stage: str
    error: str
    message: str


class Skipped(Struct, frozen=True, tag=True):
    """The benchmark is not for this machine."""

    reason: str


class Leave(Struct, frozen=True, tag=True):
    """End the process."""


LATE = ("torch._dynamo",)
"""What torch imports at the first use of something (an optimizer's step), and takes a second for."""

CANARY = Case(id="torchgauge/canary", group="torchgauge", name="canary", device="cpu", dtype=None)
"""A fixed piece of work that both sides have: a difference found in it is one of the machine's."""

Message = TypeVar("Message")


class GoneError(Exception):
    """The other end is closed: its process has ended."""


class LateError(Exception):
    """The other end said nothing for too long."""


class Channel:
    """One end of the conversation."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._rest = b""
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(end, selectors.EVENT_READ)

    def send(self, message: Struct) -> None:
        """Say something.

        Raises:
            GoneError: nobody listens any more.

        """
        try:
            self._end.sendall(msgspec.json.encode(message) + b"\n")
        except OSError:
            raise GoneError from None

    def receive(self, *kinds: type[Message], seconds: float | None = None) -> Message:
        """Wait for the next message.

        Args:
            kinds: the types that may come.
            seconds: how long to wait; None for ever.

        Raises:
            GoneError: the other end is closed.
            LateError: nothing came in time.
            msgspec.DecodeError, UnicodeDecodeError: something else came.

        """
        until = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = None if until is None else until - time.monotonic()
            if (left is not None and left <= 0) or not self._waiting.select(left):
                raise LateError
            try:
                part = self._end.recv(1 << 16)
            except OSError:
                part = b""
            if not part:
                raise GoneError
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        decoded: Message = msgspec.json.decode(line, type=Union[kinds])  # noqa: UP007 - they are a tuple
        return decoded

    def close(self) -> None:
        """Hang up."""
        self._waiting.close()
        self._end.close()
