"""One process of a side, as the conductor sees it: started, asked, waited for, and gone for certain."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

import msgspec
from msgspec import Struct

from torchgauge.measure import janitor
from torchgauge.measure.ab.channel import Channel, Failed, GoneError, LateError
from torchgauge.measure.sides import Side

Message = TypeVar("Message")

LEAVING = 5.0
"""Seconds that a process gets to end by itself."""


class SideError(Exception):
    """A side could not go on; the process is gone. `failure` says why."""

    def __init__(self, side: Side, failure: Failed) -> None:
        super().__init__(f"{side.where}: {failure.message}")
        self.side = side
        self.failure = failure


class SideProcess:
    """A fresh process that takes turns.

    Args:
        side: whose interpreter and sources it has.
        arguments: what follows `-m torchgauge.measure.ab.standby FD` (`torchgauge.measure.ab.standby`).
        variables: its environment, without PYTHONPATH.
        patience: seconds after which a process that says nothing is taken to hang.

    """

    def __init__(
        self, side: Side, arguments: Sequence[str], variables: Mapping[str, str], patience: float
    ) -> None:
        self.side = side
        self.patience = patience
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [side.python, "-P", "-m", "torchgauge.measure.ab.standby", str(theirs.fileno()), *arguments],
                cwd=side.root,
                env={**variables, "PYTHONPATH": side.pythonpath(variables.get("PYTHONPATH", ""))},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._said,  # never ours: results go there, and a benchmark may print
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        janitor.watch(self._process.pid)
        self._channel = Channel(ours)

    def keep_to(self, core: int) -> None:
        """Keep the process's main thread, and what it starts from now on, to one core."""
        with contextlib.suppress(OSError):  # the core was taken from us meanwhile
            os.sched_setaffinity(self._process.pid, {core})

    def send(self, message: Struct) -> None:
        """Say something.

        Raises:
            SideError: the process has ended.

        """
        try:
            self._channel.send(message)
        except GoneError:
            raise self._ended() from None

    def receive(self, *kinds: type[Message], more: float = 0.0) -> Message:
        """Wait for the next message.

        Args:
            kinds: what may come.
            more: seconds beyond its patience that the answer may take.

        Raises:
            SideError: it failed instead, or the process ended, or it hangs; then it is ended.

        """
        try:
            said = self._channel.receive(*kinds, Failed, seconds=self.patience + more)
        except GoneError:
            raise self._ended() from None
        except LateError:
            self.end(at_once=True)
            words = f"hangs: no answer for {self.patience + more:.0f} s"
            raise SideError(self.side, Failed("process", "Hang", words)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.end(at_once=True)
            raise SideError(
                self.side, Failed("process", "Protocol", f"said what it should not: {error}")
            ) from None
        if isinstance(said, Failed):
            raise SideError(self.side, said)
        return cast(Message, said)

    def kill(self) -> None:
        """Kill the process and all that it started; who waits for it finds it gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self, *, at_once: bool = False) -> None:
        """End the process and all that it started, and wait until they are gone.

        Without `at_once` it gets a moment to end by itself, now that nobody listens any more.
        """
        if self._said.closed:
            return
        self._channel.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            if not at_once:
                self._process.wait(LEAVING)
        self.kill()
        self._process.wait()
        janitor.forget(self._process.pid)
        self._said.close()

    def _ended(self) -> SideError:
        """Say how the process came to its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVING)
        code = self._process.poll()
        last = self._last_line()
        self.end(at_once=True)  # what it started may have outlived it
        if code is None:
            how = "hung up"
        elif code == -signal.SIGKILL:
            how = "was killed (SIGKILL): the machine may have run out of memory"
        elif code < 0:
            how = f"ended its process ({signal.Signals(-code).name})"
        else:
            how = f"ended its process (exit code {code})"
        return SideError(
            self.side, Failed("process", "Exit", f"{how}; it said last: {last}" if last else how)
        )

    def _last_line(self) -> str:
        """Give the last of what it printed, in printable signs."""
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, self._said.tell() - 4096))
        lines = [line.strip() for line in self._said.read().decode("utf-8", "replace").splitlines()]
        last = next((line for line in reversed(lines) if line), "")
        return "".join(sign if sign.isprintable() else "?" for sign in last)[:200]
