"""The wall time of a run that was stopped and taken up again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from torchgauge.record import End, Header, Measurement, RunWriter, read
from torchgauge.record.ending import seconds_before

START = "2026-03-01T10:00:00+00:00"


def at(line: Measurement, time: str | None) -> Measurement:
    return msgspec.structs.replace(line, conditions={} if time is None else {"at": time})


def spent(folder: Path, header: Header, *lines: Measurement | End) -> float:
    path = folder / "run.jsonl"
    writer = RunWriter(path)
    for line in (msgspec.structs.replace(header, started=START), *lines):
        writer.append(line)
    writer.close()
    return seconds_before(read(path))


@pytest.fixture
def ended(end: End) -> End:
    return msgspec.structs.replace(end, wall_seconds=7.5, interrupted=True)


def test_an_end_line_says_it(tmp_path, header, measurement, ended) -> None:
    assert spent(tmp_path, header, at(measurement, "2026-03-01T10:09:00+00:00"), ended) == 7.5


def test_a_killed_run_took_until_its_last_measurement(tmp_path, header, measurement) -> None:
    times = ("2026-03-01T10:00:05+00:00", "2026-03-01T12:00:09+02:00", None, "yesterday")
    assert spent(tmp_path, header, *(at(measurement, time) for time in times)) == 9.0


def test_the_night_between_two_parts_is_not_counted(tmp_path, header, measurement, ended) -> None:
    first = at(measurement, "2026-03-01T10:00:05+00:00")
    later = [at(measurement, f"2026-03-02T10:00:0{second}+00:00") for second in (1, 4)]
    assert spent(tmp_path, header, first, ended, *later) == 7.5 + 3.0


def test_a_run_without_measurements_took_nothing(tmp_path, header) -> None:
    assert spent(tmp_path, header) == 0.0
