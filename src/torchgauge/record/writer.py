"""Write a run file: a line at a time, so that a killed run keeps all that it had finished."""

from __future__ import annotations

import os
import re
import secrets
from datetime import datetime
from pathlib import Path

import msgspec

from torchgauge.errors import TorchgaugeError
from torchgauge.record.schema import End, Failure, Header, Measurement, Skip

try:
    import fcntl
except ImportError:  # not POSIX: no lock, all else is the same
    fcntl = None  # type: ignore[assignment]


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

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        try:
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            raise TorchgaugeError(
                f"{path}: can't be written: {error.strerror}; choose a folder with --results"
            ) from None
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

    def append(self, line: Header | Measurement | Failure | Skip | End) -> None:
        """Write one line.

        Raises:
            TorchgaugeError: the disk is full or the file can't be written; all earlier lines stay.

        """
        text = msgspec.json.encode(line) + b"\n"
        try:
            written = 0
            while written < len(text):
                written += os.write(self._file, text[written:])
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise TorchgaugeError(
                f"{self.path}: can't be written: {error.strerror}; what was measured is kept: "
                f"mend it, then go on with: torchgauge run --resume {self.path}"
            ) from None
        self._size += len(text)

    def close(self) -> None:
        """Close the file and release it to other processes."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TorchgaugeError(
                f"{self.path}: another process is writing this run; wait for it to end, then resume"
            ) from None

    def _drop_cut_line(self) -> int:
        size = os.fstat(self._file).st_size
        tail = b""
        start = size
        while start > 0 and b"\n" not in tail:
            start = max(0, start - 65536)
            tail = os.pread(self._file, size - start, start)
        keep = start + tail.rfind(b"\n") + 1
        if keep < size:
            os.ftruncate(self._file, keep)
        return keep
