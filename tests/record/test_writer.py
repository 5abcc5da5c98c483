from __future__ import annotations

import errno
import math
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import types
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchgauge.errors import TorchgaugeError
from torchgauge.record import (
    End,
    Failure,
    Header,
    Measurement,
    RecordError,
    RunWriter,
    Skip,
    Summary,
    Work,
    read,
    run_file_name,
)
from torchgauge.record.schema import MOST, Amount, Count, Number

# --- any line that the schema allows ---

SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=12),
    int: st.integers(-(2**53), 2**53),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Number: st.floats(-MOST, MOST),
    Amount: st.floats(0, MOST),
    Count: st.integers(0, 2**62),
    bool: st.booleans(),
    type(None): st.none(),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    if kind in SIMPLE:
        return SIMPLE[kind]
    if get_origin(kind) in (Union, types.UnionType):
        return st.one_of([values_of(part) for part in get_args(kind)])
    if get_origin(kind) is list:
        return st.lists(values_of(get_args(kind)[0]), max_size=4)
    if get_origin(kind) is dict:
        return st.dictionaries(*map(values_of, get_args(kind)), max_size=3)
    fields = {field.name: values_of(field.type) for field in msgspec.structs.fields(kind)}
    return st.fixed_dictionaries(fields).map(lambda chosen: kind(**chosen))


HEADERS = values_of(Header).map(lambda line: msgspec.structs.replace(line, schema=1))
LINES = st.one_of([values_of(kind) for kind in (Measurement, Failure, Skip, End)])


def write(path: Path, *lines: Any) -> None:
    writer = RunWriter(path)
    for line in lines:
        writer.append(line)
    writer.close()


@settings(max_examples=60, deadline=None)
@given(header=HEADERS, lines=st.lists(LINES, max_size=5))
def test_every_line_comes_back_as_it_was_written(header: Header, lines: list[Any]) -> None:
    header = msgspec.structs.replace(header, started="2026-03-01T12:00:00+00:00")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.jsonl")
        write(path, header, *lines)
        run = read(path)
    assert run.header == header
    assert run.measurements == [line for line in lines if isinstance(line, Measurement)]
    assert run.failures == [line for line in lines if isinstance(line, Failure)]
    assert run.skips == [line for line in lines if isinstance(line, Skip)]
    assert run.end == (lines[-1] if lines and isinstance(lines[-1], End) else None)
    assert run.warnings == []


def test_a_file_has_one_json_object_a_line_and_names_its_kind_first(
    tmp_path: Path, header: Header, measurement: Measurement, end: End
) -> None:
    path = tmp_path / "run.jsonl"
    write(path, header, measurement, end)
    lines = path.read_bytes().split(b"\n")
    assert [line[:13] for line in lines] == [b'{"kind":"run"', b'{"kind":"meas', b'{"kind":"end"', b""]


# --- kills ---


def test_a_line_cut_off_anywhere_costs_that_line_alone(
    tmp_path: Path, header: Header, measurement: Measurement, end: End
) -> None:
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    write(whole, header, measurement)
    kept = whole.stat().st_size
    write(whole, end)
    content = whole.read_bytes()
    for size in range(kept + 1, len(content)):
        cut.write_bytes(content[:size])
        run = read(cut)
        assert run.measurements == [measurement]
        assert run.end is None
        assert run.interrupted
        assert run.warnings == [
            f"{cut}: the last line was cut off (line 3, {size - kept} bytes) and is left out"
        ]

        write(cut, end)
        assert cut.read_bytes() == content


def test_a_cut_header_is_begun_again(tmp_path: Path, header: Header) -> None:
    path = tmp_path / "run.jsonl"
    for cut in (b"{", b'{"kind":"r', b'{"kind":"run","schema":1,"id"'):
        path.write_bytes(cut)
        writer = RunWriter(path)
        assert writer.is_new
        writer.append(header)
        writer.close()
        assert read(path).header == header


def test_a_cut_line_longer_than_one_reading_step_is_removed(
    tmp_path: Path, header: Header, measurement: Measurement
) -> None:
    path = tmp_path / "run.jsonl"
    write(path, header)
    kept = path.read_bytes()
    path.write_bytes(kept + b'{"kind":"measurement","samples":[' + b"1.0," * 100_000)
    write(path, measurement)
    assert read(path).measurements == [measurement]


def test_a_killed_writer_leaves_all_finished_lines(tmp_path: Path, header: Header, skip: Skip) -> None:
    path = tmp_path / "run.jsonl"
    write(path, header)
    child = start(
        """
        writer = RunWriter(path)
        print("ready", flush=True)
        while True:
            writer.append(line)
        """,
        path,
        skip,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    while path.stat().st_size < 100_000:
        pass
    child.kill()
    child.communicate()
    run = read(path)
    assert run.interrupted
    assert len(run.skips) > 100
    assert set(map(msgspec.json.encode, run.skips)) == {msgspec.json.encode(skip)}
    write(path, skip)
    assert read(path).warnings == []


# --- several processes ---


def start(code: str, path: Path, line: Any) -> subprocess.Popen[bytes]:
    """Run code in another process that has `path` and a `line` to write."""
    head = f"""
        import msgspec, os, sys
        from pathlib import Path
        from torchgauge.errors import TorchgaugeError
        from torchgauge.record import *
        path = Path({str(path)!r})
        line = msgspec.json.decode({msgspec.json.encode(line)!r}, type={type(line).__name__})
    """
    text = textwrap.dedent(head) + textwrap.dedent(code)
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)


def test_a_second_process_may_not_write_the_same_file(tmp_path: Path, header: Header) -> None:
    path = tmp_path / "run.jsonl"
    writer = RunWriter(path)
    writer.append(header)
    code = """
        try:
            RunWriter(path)
        except TorchgaugeError as error:
            print(error)
    """
    said, _ = start(code, path, header).communicate()
    assert said.decode() == f"{path}: another process is writing this run; wait for it to end, then resume\n"
    assert read(path).header == header
    writer.close()
    said, _ = start(code, path, header).communicate()
    assert said == b""


def test_two_processes_write_two_files_in_one_folder(tmp_path: Path, header: Header, skip: Skip) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path in paths:
        write(path, header)
    code = """
        writer = RunWriter(path)
        for _ in range(200):
            writer.append(line)
        writer.close()
    """
    children = [start(code, path, skip) for path in paths]
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0, 0]
    for path in paths:
        assert read(path).skips == [skip] * 200


def test_a_file_system_without_locks_is_written_all_the_same(
    tmp_path: Path, header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    write(tmp_path / "run.jsonl", header)
    assert read(tmp_path / "run.jsonl").header == header


# --- full disks and other refusals ---


def test_a_full_disk_loses_nothing_that_was_written(
    tmp_path: Path, header: Header, measurement: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.jsonl"
    writer = RunWriter(path)
    writer.append(header)
    before = path.read_bytes()
    real, tries = os.write, []

    def partly(file: int, text: bytes) -> int:
        tries.append(text)
        if len(tries) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, text[:50])

    with monkeypatch.context() as patch:
        patch.setattr("os.write", partly)
        with pytest.raises(TorchgaugeError) as refused:
            writer.append(measurement)
    assert len(tries) == 2
    assert str(refused.value) == (
        f"{path}: can't be written: No space left on device; what was measured is kept: "
        f"mend it, then go on with: torchgauge run --resume {path}"
    )
    assert path.read_bytes() == before

    writer.append(measurement)  # space was made
    writer.close()
    assert read(path).measurements == [measurement]


def test_a_file_that_reaches_its_size_limit_stays_whole(tmp_path: Path, header: Header, skip: Skip) -> None:
    path = tmp_path / "run.jsonl"
    write(path, header)
    code = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        writer = RunWriter(path)
        count = 0
        try:
            while True:
                writer.append(line)
                count += 1
        except TorchgaugeError as error:
            print(count, error)
    """
    said, _ = start(code, path, skip).communicate()
    count, _, message = said.decode().partition(" ")
    assert "File too large; what was measured is kept" in message
    run = read(path)
    assert run.warnings == []
    assert len(run.skips) == int(count) > 50


def test_a_ctrl_c_in_the_middle_of_a_write_leaves_no_half_line(
    tmp_path: Path, header: Header, measurement: Measurement, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.jsonl"
    writer = RunWriter(path)
    writer.append(header)
    real = os.write

    def interrupted(file: int, text: bytes) -> int:
        real(file, text[:50])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.append(measurement)
    writer.append(end)
    writer.close()
    run = read(path)
    assert run.measurements == []
    assert run.end == end


def test_nothing_is_written_behind_half_a_line_that_could_not_be_removed(
    tmp_path: Path, header: Header, measurement: Measurement, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.jsonl"
    writer = RunWriter(path)
    writer.append(header)
    real = os.write

    def partly(file: int, text: bytes) -> int:
        real(file, text[:50])
        raise OSError(errno.EIO, "Input/output error")

    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", partly)
        patch.setattr("os.ftruncate", broken)
        with pytest.raises(TorchgaugeError, match="Input/output error"):
            writer.append(measurement)
    with pytest.raises(TorchgaugeError, match="can't be written"):
        writer.append(end)
    assert read(path).header == header
    write(path, end)
    assert read(path).end == end


@pytest.mark.parametrize(
    "content", [b"my notes, no newline", b"a\nb", b'{"kind":"measurement"', b"\x7fELF\x02"]
)
def test_a_file_that_is_no_run_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(TorchgaugeError) as refused:
        RunWriter(path)
    assert str(refused.value) == f"{path}: is no run file, so nothing was written to it; choose another one"
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "run.jsonl"
    with pytest.raises(TorchgaugeError) as refused:
        RunWriter(path)
    assert str(refused.value) == (
        f"{path}: can't be written: No such file or directory; choose a folder with --results"
    )


def test_closing_twice_does_no_harm(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run.jsonl")
    writer.close()
    writer.close()


# --- what a line may not hold ---


def summary_with(mean: float) -> Summary:
    return Summary(count=1, min=1.0, p05=1.0, median=1.0, mean=mean, max=1.0)


SAMPLES = ("samples[1]", lambda bad: {"samples": [1.0, bad]})
WORK = ("work.flop", lambda bad: {"work": Work(flop=bad)})


@pytest.mark.parametrize(
    ("place", "change", "bad"),
    [
        *(
            (*place, bad)
            for place in (
                SAMPLES,
                WORK,
                ("summary.mean", lambda bad: {"summary": summary_with(bad)}),
                ("conditions.clock", lambda bad: {"conditions": {"clock": bad}}),
            )
            for bad in (math.nan, math.inf, -math.inf)
        ),
        (*SAMPLES, 1e31),
        (*WORK, 1.1e30),
    ],
)
def test_a_number_that_no_reader_takes_is_refused_and_named(
    tmp_path: Path, header: Header, measurement: Measurement, bad: float, place: str, change: Any
) -> None:
    path = tmp_path / "run.jsonl"
    writer = RunWriter(path)
    writer.append(header)
    before = path.read_bytes()
    with pytest.raises(TorchgaugeError) as refused:
        writer.append(msgspec.structs.replace(measurement, **change(bad)))
    assert str(refused.value) == (
        f"{path}: the measurement line of {measurement.case.id} can't be written: {place} is {bad}; "
        "what has no finite value, or none below 1e30, is left out and a warning says why"
    )
    assert path.read_bytes() == before
    writer.close()


def test_undecodable_text_is_written_escaped(tmp_path: Path, header: Header, failure: Failure) -> None:
    path = tmp_path / "run.jsonl"
    odd = os.fsdecode(b"no file caf\xe9.pt")
    write(path, header, msgspec.structs.replace(failure, message=odd))
    assert read(path).failures[0].message == r"no file caf\udce9.pt"


# --- names ---


def test_a_file_is_named_by_its_start_its_host_and_its_id() -> None:
    run_id, name = run_file_name(datetime(2026, 3, 1, 9, 5, 7, tzinfo=UTC), "GPU-Box 7.Example")
    assert re.fullmatch(r"[0-9a-f]{8}", run_id)
    assert name == f"20260301T090507Z_gpu-box-7-example_{run_id}.jsonl"


@given(host=st.text(max_size=80))
def test_no_host_name_can_lead_out_of_the_folder(host: str) -> None:
    _, name = run_file_name(datetime(2026, 3, 1, tzinfo=UTC), host)
    assert re.fullmatch(r"20260301T000000Z_[a-z0-9-]{1,40}_[0-9a-f]{8}\.jsonl", name)


def test_two_runs_begun_at_once_have_two_names() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert run_file_name(now, "a") != run_file_name(now, "a")


def test_an_empty_new_file_reads_as_a_run_that_never_began(tmp_path: Path) -> None:
    RunWriter(tmp_path / "run.jsonl").close()
    with pytest.raises(RecordError, match="is empty; the run was stopped before it began"):
        read(tmp_path / "run.jsonl")
