"""Read a run file; say exactly what is wrong with one that can't be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from torchgauge.record import jsonlines
from torchgauge.record.ab import (
    AB_SCHEMA,
    AbEnd,
    AbFailure,
    AbHeader,
    AbRun,
    AbSkip,
    Comparison,
    CountLine,
    PairLine,
)
from torchgauge.record.jsonlines import RecordError
from torchgauge.record.schema import CEILING, SCHEMA, End, Failure, Header, Measurement, Run, Skip


class _Named(msgspec.Struct):
    """Enough of a first line to know the run by."""

    id: str


_named = msgspec.json.Decoder(_Named)
_first = msgspec.json.Decoder(Header)
_decoder = msgspec.json.Decoder(Header | Measurement | Failure | Skip | End)
_ab_first = msgspec.json.Decoder(AbHeader)
_ab_decoder = msgspec.json.Decoder(PairLine | CountLine | AbFailure | AbSkip | Comparison | AbEnd)


def read(path: Path | str) -> Run:
    """Read one run file.

    A last line without its newline is what a killed run leaves: it is dropped, and `Run.warnings`
    says so.

    Raises:
        RecordError: the file is missing, empty, not a run file, of a newer schema, or damaged
            anywhere but in its last line.

    """
    path = Path(path)
    lines, warnings = jsonlines.split(path)
    header = jsonlines.first(path, lines[0], "run", SCHEMA, _first)
    measurements: list[Measurement] = []
    ceilings: list[Measurement] = []
    failures: list[Failure] = []
    skips: list[Skip] = []
    end: End | None = None
    before, resumed_at = end, 0
    for number, text in enumerate(lines[1:], start=2):
        line = jsonlines.decode(path, number, text, _decoder)
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


def run_id(path: Path) -> str | None:
    """Give the id that a run file's first line has, and read no further; None where there is none."""
    try:
        with path.open("rb") as file:
            return _named.decode(file.readline()).id
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_ab(path: Path | str) -> AbRun:
    """Read one A/B file.

    A last line without its newline is dropped, and `AbRun.warnings` says so.

    Raises:
        RecordError: the file is missing, empty, no A/B file, of a newer schema, or damaged anywhere but in
            its last line.

    """
    path = Path(path)
    lines, warnings = jsonlines.split(path)
    run = AbRun(path, jsonlines.first(path, lines[0], "ab", AB_SCHEMA, _ab_first), warnings=warnings)
    end: AbEnd | None = None
    for number, text in enumerate(lines[1:], start=2):
        line = jsonlines.decode(path, number, text, _ab_decoder)
        match line:
            case PairLine():
                run.pairs.append(line)
            case CountLine():
                run.counts.append(line)
            case AbFailure():
                run.failures.append(line)
            case AbSkip():
                run.skips.append(line)
            case Comparison():
                run.comparisons.append(line)
            case AbEnd():
                end = line
    return replace(run, end=end)
