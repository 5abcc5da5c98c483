"""A process that clears up when this one is gone, whichever way it went: `kill -9` lets it do nothing itself.

It holds the reading end of a pipe whose writing end no other process has, so that the end of the file says
that this process is done, or dead. Until then it is told, one line of JSON each: `{"folder": PATH}`,
`{"group": PID, "started": TICKS}`, `{"forget": PID}`. This file is both ends of the pipe. It is run as
`python -I -S janitor.py`, which starts at once, and so imports the standard library alone.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

_PATIENCE = 10.0
"""Seconds for killed processes to go and for a folder to be removed: nothing waits for them for ever."""


_PROC = Path("/proc")


class Duties:
    """What is to be gone in the end: folders, and the process groups that were not forgotten."""

    def __init__(self) -> None:
        self._folders: list[str] = []
        self._groups: dict[int, int | None] = {}

    def take(self, message: Mapping[str, Any]) -> None:
        """Note a message; the module says which there are."""
        if "folder" in message:
            self._folders.append(message["folder"])
        if "group" in message:
            self._groups[message["group"]] = message["started"]
        if "forget" in message:
            self._groups.pop(message["forget"], None)

    def do(self, patience: float = _PATIENCE) -> None:
        """Kill the groups, then remove the folders, in which nobody writes any more."""
        end = time.monotonic() + patience
        killed = [
            group for group, since in self._groups.items() if _same(group, since) and _signalled(group, 9)
        ]
        while any(_lives(group) for group in killed) and time.monotonic() < end:
            time.sleep(0.01)
        while not all(_removed(folder) for folder in self._folders) and time.monotonic() < end:
            time.sleep(0.05)


_janitors: list[tuple[int, Duties]] = []
"""Those at work: the writing end of the pipe, and what was written. The latest is the last."""


@contextmanager
def folder() -> Iterator[Path]:
    """Make a temporary folder that is gone afterwards, with all groups that are watched and not forgotten.

    Raises:
        OSError: it can't be made, or the janitor can't be started.

    """
    # told before the folder is made, so that there is no moment at which it would be left behind
    path = Path(tempfile.gettempdir()).resolve() / f"torchgauge-{secrets.token_hex(6)}"
    reading, writing = os.pipe()
    try:
        janitor = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # a Ctrl-C is not meant for it
        )
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    post = (writing, Duties())
    _janitors.append(post)
    try:
        _tell(post, {"folder": str(path)})
        path.mkdir(mode=0o700)
        yield path
    finally:
        if post in _janitors:  # else this is a fork, and the folder is its parent's
            _janitors.remove(post)
            os.close(writing)
            _wait(janitor, post[1])


def watch(group: int) -> None:
    """Have a process group killed when this process is gone; without a `folder` nothing is watched.

    Args:
        group: the process id of its leader, which was started with `start_new_session=True` and has not
            been waited for.

    """
    if group <= 1:
        raise ValueError(f"{group} is no process group of one's own")
    if _janitors:
        # read here, where the process is a child of ours, so that its number can't be another's yet
        _tell(_janitors[-1], {"group": group, "started": _begun(group)})


def forget(group: int) -> None:
    """Watch a group no more: its leader was waited for, so that its number may soon be another's.

    What the leader started is still in the group, if it lives: kill the group first.
    """
    for post in _janitors:
        _tell(post, {"forget": group})


def run(
    command: Sequence[str | Path], cwd: Path, variables: Mapping[str, str], timeout: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, and keep what it prints; it is killed with all it started if we go first.

    Raises:
        OSError: it can't be started.
        subprocess.TimeoutExpired: it took more than `timeout` seconds.

    """
    with _started(command, cwd, variables) as child:
        out, error = child.communicate(timeout=timeout)
    return subprocess.CompletedProcess(command, child.returncode, out, error)


def run_together(
    commands: Sequence[tuple[Sequence[str | Path], Path, Mapping[str, str]]],
    look: Callable[[int], None] = lambda _: None,
) -> list[subprocess.CompletedProcess[bytes]]:
    """Run commands at the same time, each with its working directory and its environment, as `run` does.

    Args:
        commands: of each its words, its working directory and its environment.
        look: called every second with the place of each command that still runs; what it raises ends all.

    Raises:
        OSError: one can't be started.

    """
    # only here: the janitor itself has no use for it
    from concurrent.futures import ThreadPoolExecutor, wait

    with ExitStack() as stack:
        # the pool comes first, so that it is left last: its threads end once the processes are gone
        pool = stack.enter_context(ThreadPoolExecutor(len(commands)))
        children = [stack.enter_context(_started(*command)) for command in commands]
        going = [pool.submit(child.communicate) for child in children]
        while wait(going, timeout=1).not_done:
            for place, one in enumerate(going):
                if not one.done():
                    look(place)
        said = [one.result() for one in going]
    return [
        subprocess.CompletedProcess(child.args, child.returncode, *both)
        for child, both in zip(children, said, strict=True)
    ]


@contextmanager
def _started(
    command: Sequence[str | Path], cwd: Path, variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command that is killed with all it started if this is left early."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        try:
            watch(child.pid)
            yield child
        except BaseException:
            _signalled(child.pid, signal.SIGKILL)
            raise
        finally:
            forget(child.pid)


def _tell(post: tuple[int, Duties], message: Mapping[str, Any]) -> None:
    pipe, duties = post
    duties.take(message)
    with suppress(BrokenPipeError):  # somebody killed the janitor: what it was for is done at the end
        os.write(pipe, json.dumps(message).encode() + b"\n")


def _wait(janitor: subprocess.Popen[bytes], duties: Duties) -> None:
    """Let the janitor finish; what it can't do, since it was killed, is done here."""
    try:
        code = janitor.wait(2 * _PATIENCE)
    except subprocess.TimeoutExpired:  # it was stopped
        janitor.kill()
        code = janitor.wait()
    if code:
        duties.do()


def _let_go() -> None:
    """Close what a fork inherits: it would keep the janitor waiting."""
    for pipe, _ in _janitors:
        os.close(pipe)
    _janitors.clear()


os.register_at_fork(after_in_child=_let_go)


def _stat(process: int) -> list[bytes]:
    """Read what proc(5) says of a process, from its state on; nothing where it is gone or /proc is not."""
    try:
        # the second field is the name, in brackets, and may hold both brackets and blanks
        return (_PROC / str(process) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def _begun(process: int) -> int | None:
    """Give when a process was started, in clock ticks since the machine was; None where nobody says."""
    fields = _stat(process)
    return int(fields[19]) if fields else None


def _same(group: int, since: int | None) -> bool:
    """Tell whether a group is the one that was watched.

    A number is given to no new process while a group has it: where the leader is gone and the group is
    not, the group is still the same.
    """
    now = _begun(group)
    return since is None or now is None or now == since


def _lives(group: int) -> bool:
    """Tell whether the leader of a group still runs. One that nobody waited for does not."""
    if fields := _stat(group):
        return fields[0] not in (b"Z", b"X")
    return not (_PROC / "self/stat").exists() and _signalled(group, 0)


def _signalled(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS permits no signal to a zombie
        return False
    return True


def _removed(folder: str) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):  # what was run in it may have made folders that can't be written
        for path, names, _ in os.walk(folder):
            for name in names:
                inner = Path(path, name)
                if not inner.is_symlink():
                    with suppress(OSError):
                        inner.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)
    return not os.path.lexists(folder)


def main() -> None:
    """Be the janitor: take messages to the end of the file, then do what they say."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # it goes last
        signal.signal(number, signal.SIG_IGN)
    duties = Duties()
    for line in sys.stdin.buffer:
        with suppress(ValueError):
            duties.take(json.loads(line))
    duties.do()


if __name__ == "__main__":
    main()
