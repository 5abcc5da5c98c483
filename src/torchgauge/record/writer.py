"""Write a run file: a line at a time, so that a killed run keeps all that it had finished."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from torchgauge.errors import TorchgaugeError
from torchgauge.record.ab import AbEnd, AbFailure, AbHeader, AbSkip, Comparison, CountLine, PairLine
from torchgauge.record.schema import MOST, End, Failure, Header, Measurement, Skip

try:
    import fcntl
except ImportError:  # not POSIX: no lock, all else is the same
    fcntl = None  # type: ignore[assignment]

Line = (
    Header
    | Measurement
    | Failure
    | Skip
    | End
    | AbHeader
    | PairLine
    | CountLine
    | AbFailure
    | AbSkip
    | Comparison
    | AbEnd
)


def run_file_name(started: datetime, host: str) -> tuple[str, str]:
    """Give a new run's id and the name of its file: `<UTC start>_<host slug>_<id>.jsonl`."""
    run_id = secrets.token_hex(4)
    slug = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")[:40] or "host"
    return run_id, f"{started:%Y%m%dT%H%M%SZ}_{slug}_{run_id}.jsonl"


class RunWriter:
    """A run file open for appending. One process writes a file at a time.

    Every line is one `write`, so what another process reads, and what is left after a kill, ends at
    most in one cut-off line; opening such a file again removes that line.
    """

    def __init__(self, path: Path, kind: Literal["run", "ab"] = "run") -> None:
        self.path = path
        self._begin = f'{{"kind":"{kind}"'.encode()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        try:
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            raise TorchgaugeError(
                f"{path}: can't be written: {error.strerror}; choose a folder with --results"
            ) from None
        os.register_at_fork(after_in_child=self.close)  # a child's copy would keep the lock
        try:
            self._lock()
            self._size = self._drop_cut_line()
        except BaseException:
            os.close(self._file)
            raise

    @property
    def is_new(self) -> bool:
        """Whether nothing has been written yet."""
        return self._size == 0

    def append(self, line: Line) -> None:
        """Write one line.

        Raises:
            TorchgaugeError: the disk is full, the file can't be written, or the line holds a number that
                is infinite or none (JSON has no such numbers); all earlier lines stay.

        """
        text = self._encode(line)
        try:
            written = 0
            while written < len(text):
                written += os.write(self._file, text[written:])
            self._size += len(text)
        except BaseException as error:  # a Ctrl-C between two writes must leave no half line either
            self._take_back()
            if not isinstance(error, OSError):
                raise
            raise TorchgaugeError(
                f"{self.path}: can't be written: {error.strerror}; what was measured is kept: "
                f"mend it, then go on with: torchgauge run --resume {self.path}"
            ) from None

    def close(self) -> None:
        """Close the file and release it to other processes."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _encode(self, line: Line) -> bytes:
        plain = msgspec.to_builtins(line)
        for name, value in _numbers(plain):
            bounded = name.startswith(("samples", "work.", "parts", "paces"))
            if not abs(value) <= (MOST if bounded else sys.float_info.max):
                case = f" of {line.case.id}" if isinstance(line, (Measurement, Failure, Skip)) else ""
                raise TorchgaugeError(
                    f"{self.path}: the {plain['kind']} line{case} can't be written: {name} is {value}; "
                    "what has no finite value, or none below 1e30, is left out and a warning says why"
                )
        try:
            return msgspec.json.encode(line) + b"\n"
        except UnicodeEncodeError:  # the undecodable bytes of a file's name, say, in an error's message
            return msgspec.json.encode(_escaped(plain)) + b"\n"

    def _take_back(self) -> None:
        """Remove the part of a line; where even that fails nothing may be written behind it."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self.close()

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TorchgaugeError(
                f"{self.path}: another process is writing this run; wait for it to end, then resume"
            ) from None
        except OSError:
            return  # some network file systems have no locks

    def _drop_cut_line(self) -> int:
        size = os.fstat(self._file).st_size
        begin = re.sub(rb"\s", b"", os.pread(self._file, 64, 0))[: len(self._begin)]
        if begin != self._begin[: len(begin)]:
            raise TorchgaugeError(
                f"{self.path}: is no run file, so nothing was written to it; choose another one"
            )
        tail = b""
        start = size
        while start > 0 and b"\n" not in tail:
            start = max(0, start - 65536)
            tail = os.pread(self._file, size - start, start)
        keep = start + tail.rfind(b"\n") + 1
        if keep < size:
            os.ftruncate(self._file, keep)
        return keep


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield the floats in a line and where they are: samples[3], summary.mean."""
    if isinstance(value, float):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _numbers(inner, f"{name}[{place}]")


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(inner) for key, inner in value.items()}
    return [_escaped(inner) for inner in value] if isinstance(value, list) else value
