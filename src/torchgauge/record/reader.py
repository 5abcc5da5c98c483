"""Read a run file; say exactly what is wrong with one that can't be read."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from torchgauge.errors import TorchgaugeError
from torchgauge.record.schema import CEILING, SCHEMA, End, Failure, Header, Measurement, Run, Skip

Line = Header | Measurement | Failure | Skip | End
T = TypeVar("T")


class RecordError(TorchgaugeError):
    """A run file that can't be read; names the file, the line and the field.

    The message is one line of printable text, whatever the file or its name holds.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in message))


class _Probe(msgspec.Struct):
    """Enough of a first line to tell a newer schema from a damaged file."""

    kind: str | None = None
    schema: int | None = None


_LONGEST = 200
_probe = msgspec.json.Decoder(_Probe)
_decoder = msgspec.json.Decoder(Line)


def read(path: Path | str) -> Run:
    """Read one run file.

    A last line without its newline is what a killed run leaves: it is dropped, and `Run.warnings`
    says so.

    Raises:
        RecordError: the file is missing, empty, not a run file, of a newer schema, or damaged
            anywhere but in its last line.

    """
    path = Path(path)
    lines, warnings = _lines(path)
    header = _header(path, lines[0])
    measurements: list[Measurement] = []
    ceilings: list[Measurement] = []
    failures: list[Failure] = []
    skips: list[Skip] = []
    end: End | None = None
    before, resumed_at = end, 0
    for number, text in enumerate(lines[1:], start=2):
        line = _decode(path, number, text, _decoder)
        if end is not None:  # a resumed run goes on after an 'end' line: only the last line closes it
            before, resumed_at, end = end, len(measurements), None
        match line:
            case Measurement():
                (ceilings if line.instrument == CEILING else measurements).append(line)
            case Failure():
                failures.append(line)
            case Skip():
                skips.append(line)
            case End():
                end = line
            case Header():
                raise RecordError(
                    f"{path}, line {number}: a second 'run' line; two runs were joined in one file"
                )
    return Run(path, header, measurements, failures, skips, end, warnings, before, resumed_at, ceilings)


def _lines(path: Path) -> tuple[list[bytes], list[str]]:
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


def _header(path: Path, text: bytes) -> Header:
    if not text.lstrip().startswith(b"{"):
        raise RecordError(f"{path}, line 1: not a run file (no JSON object); torchgauge reads *.jsonl")
    probe = _decode(path, 1, text, _probe)
    if probe.kind != "run" or probe.schema is None or probe.schema < 1:
        raise RecordError(f"{path}, line 1: not a run file (its first line is no 'run' with a schema)")
    if probe.schema > SCHEMA:
        raise RecordError(
            f"{path}: has schema {probe.schema}; this torchgauge reads up to {SCHEMA}: upgrade torchgauge"
        )
    line = _decode(path, 1, text, _decoder)
    if not isinstance(line, Header):
        raise RecordError(f"{path}, line 1: not a run file (its first line is no 'run')")
    try:
        aware = datetime.fromisoformat(line.started).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise RecordError(
            f"{path}, line 1, field started: {line.started!r} is no time of day in ISO 8601 with UTC"
        )
    return line


def _decode(path: Path, number: int, text: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        cause, _, place = str(error).rpartition(" - at ")
        if not cause:
            cause, place = place, ""
        found = re.search(r"\$\.?([^`]*)", place)
        where = f", field {found[1]}" if found and found[1] else ""
        raise RecordError(f"{path}, line {number}{where}: {cause[:_LONGEST]}") from None
