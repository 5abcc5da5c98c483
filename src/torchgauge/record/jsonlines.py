"""The lines of a file, decoded one by one; what is wrong with a file is told exactly."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from torchgauge.errors import TorchgaugeError, one_line

T = TypeVar("T")


class RecordError(TorchgaugeError):
    """A run file that can't be read; names the file, the line and the field.

    The message is one line of printable text, whatever the file or its name holds.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class _Probe(msgspec.Struct):
    """Enough of a first line to tell a newer schema from a damaged file."""

    kind: str | None = None
    schema: int | None = None


class Began(Protocol):
    """What all first lines have."""

    @property
    def schema(self) -> int:
        """The schema that the file was written with."""

    @property
    def started(self) -> str:
        """When it was begun, ISO 8601 in UTC."""


F = TypeVar("F", bound=Began)

_LONGEST = 200
_OTHER = {
    "run": "an A/B file, which holds a Comparison and no Run; see it with: torchgauge show FILE",
    "ab": "a run file, and no A/B file",
}
_probe = msgspec.json.Decoder(_Probe)


def split(path: Path) -> tuple[list[bytes], list[str]]:
    """Give the lines of a file, and what its reader must know: a last line that was cut off is left out.

    Raises:
        RecordError: the file is missing, can't be read, is empty, or has no whole line.

    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise RecordError(f"{path}: is no regular file; copy the run into one")
        content = path.read_bytes()
    except FileNotFoundError:
        raise RecordError(f"{path}: no such run file; see what there is with: ls {path.parent}") from None
    except IsADirectoryError:
        raise RecordError(f"{path}: is a folder; name a run file in it (*.jsonl)") from None
    except OSError as error:
        raise RecordError(f"{path}: can't be read: {error.strerror}") from None
    if not content:
        raise RecordError(f"{path}: is empty; the run was stopped before it began")
    lines = content.split(b"\n")
    rest = lines.pop()
    if not rest:
        return lines, []
    if not lines:
        raise RecordError(f"{path}: not a run file, or cut off in its first line")
    return lines, [
        f"{path}: the last line was cut off (line {len(lines) + 1}, {len(rest)} bytes) and is left out"
    ]


def first(path: Path, text: bytes, kind: str, newest: int, decoder: msgspec.json.Decoder[F]) -> F:
    """Decode the first line.

    Args:
        path: the file.
        text: its first line.
        kind: what that has to be, such as "run".
        newest: the last schema that is known.
        decoder: of such lines.

    Raises:
        RecordError: it is another kind of file, of a newer schema, or damaged.

    """
    if not text.lstrip().startswith(b"{"):
        raise RecordError(f"{path}, line 1: not a run file (no JSON object); torchgauge reads *.jsonl")
    probe = decode(path, 1, text, _probe)
    if probe.kind != kind or probe.schema is None or probe.schema < 1:
        if {probe.kind, kind} == {"run", "ab"}:
            raise RecordError(f"{path}, line 1: {_OTHER[kind]}")
        raise RecordError(f"{path}, line 1: not a run file (its first line is no '{kind}' with a schema)")
    if probe.schema > newest:
        raise RecordError(
            f"{path}: has schema {probe.schema}; this torchgauge reads up to {newest}: upgrade torchgauge"
        )
    line = decode(path, 1, text, decoder)
    try:
        began = datetime.fromisoformat(line.started)
        aware = began.tzinfo is not None and began.astimezone(UTC) is not None
    except (ValueError, OverflowError):
        aware = False
    if not aware:
        said = line.started[:_LONGEST]
        raise RecordError(f"{path}, line 1, field started: {said!r} is no time of day in ISO 8601 with UTC")
    return line


def decode(path: Path, number: int, text: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a line; `number` counts from 1.

    Raises:
        RecordError: it is damaged; names the file, the line and the field.

    """
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if isinstance(error, UnicodeDecodeError) or "UTF-8" in str(error):  # msgspec says it in several ways
            raise RecordError(f"{path}, line {number}: is no UTF-8") from None
        cause, _, place = str(error).rpartition(" - at ")
        if not cause:
            cause, place = place, ""
        found = re.search(r"\$\.?([^`]*)", place)
        where = f", field {found[1]}" if found and found[1] else ""
        raise RecordError(f"{path}, line {number}{where}: {cause[:_LONGEST]}") from None
