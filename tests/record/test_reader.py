from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compared
from torchgauge.errors import TorchgaugeError
from torchgauge.record import SCHEMA, End, Header, Measurement, RecordError, RunWriter, Skip, read, read_ab
from torchgauge.record.ab import AbSkip, CountLine

GOLDEN = Path(__file__).parents[1] / "golden"
Refusal = Callable[..., str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


@pytest.fixture
def lines(header: Header, measurement: Measurement, skip: Skip, end: End) -> list[bytes]:
    return [msgspec.json.encode(line) for line in (header, measurement, skip, end)]


@pytest.fixture
def refusal(file: Path) -> Refusal:
    """Write lines (or bytes as they are) and give the reader's one line about them, less the file's name."""

    def say(content: list[bytes] | bytes) -> str:
        file.write_bytes(
            content if isinstance(content, bytes) else b"".join(line + b"\n" for line in content)
        )
        with pytest.raises(RecordError) as refused:
            read(file)
        message = str(refused.value)
        assert message.startswith(str(file))
        assert message.isprintable()
        assert len(message) < 500
        return message.removeprefix(str(file))

    return say


def changed(line: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(line) | fields).encode()


def test_a_run_is_read_whole(file: Path, lines: list[bytes], header: Header, end: End) -> None:
    file.write_bytes(b"\n".join([*lines, b""]))
    run = read(str(file))
    assert (run.path, run.id, run.header, run.end) == (file, header.id, header, end)
    assert (len(run.measurements), len(run.failures), len(run.skips)) == (1, 0, 1)
    assert run.warnings == []
    assert not run.interrupted


def test_a_run_file_of_schema_1_is_read_for_ever() -> None:
    run = read(GOLDEN / "schema-1.jsonl")
    assert run.id == "1a2b3c4d"
    assert run.header.environment.accelerators[0].name == "NVIDIA H200"
    assert run.measurements[0].samples == [1.25e-5, 1.5e-5, 1.75e-5]
    assert run.measurements[0].warnings == ["a warning – with signs µ"]
    assert (run.failures[0].stage, run.skips[0].reason) == ("measure", "no such dtype")
    assert run.end is not None
    assert run.end.timed_seconds == 40.0


def test_fields_of_a_later_minor_version_are_passed_over(
    file: Path, lines: list[bytes], measurement: Measurement
) -> None:
    file.write_bytes(lines[0] + b"\n" + changed(lines[1], colour="blue") + b"\n")
    assert read(file).measurements == [measurement]


def test_a_run_that_went_on_after_its_end_line_is_open_again(file: Path, lines: list[bytes]) -> None:
    file.write_bytes(b"\n".join([*lines, lines[1], b""]))
    run = read(file)
    assert run.end is None
    assert run.interrupted
    assert len(run.measurements) == 2


def test_a_run_that_the_user_stopped_is_interrupted_though_it_has_an_end(
    file: Path, lines: list[bytes]
) -> None:
    file.write_bytes(b"\n".join([lines[0], changed(lines[3], interrupted=True), b""]))
    assert read(file).interrupted


# --- no run file ---


def test_a_missing_file_is_named_with_the_command_that_lists_its_folder(file: Path) -> None:
    with pytest.raises(TorchgaugeError) as refused:
        read(file)
    assert str(refused.value) == f"{file}: no such run file; see what there is with: ls {file.parent}"


def test_a_folder_is_told_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="is a folder; name a run file in it"):
        read(tmp_path)


def test_a_file_below_a_file_can_not_be_read(file: Path) -> None:
    file.write_text("x")
    with pytest.raises(RecordError, match="can't be read: Not a directory"):
        read(file / "run.jsonl")


def test_an_empty_file_never_began(refusal: Refusal) -> None:
    assert refusal(b"") == ": is empty; the run was stopped before it began"


@pytest.mark.parametrize(
    "content",
    [b"\x7fELF\x02\x01\x01\0\0\n\xff\xfe", b"\n", b"\n\n", b"id,seconds\n1,2\n", b"[1]\n", b"\xff\xfe{\n"],
)
def test_a_file_of_another_kind_is_no_run_file(refusal: Refusal, content: bytes) -> None:
    assert refusal(content) == ", line 1: not a run file (no JSON object); torchgauge reads *.jsonl"


@pytest.mark.parametrize("content", [b"x", b"{", b"\0" * 1000, b'{"kind":"run","schema":1}'])
def test_one_line_without_an_end_is_no_run_file(refusal: Refusal, content: bytes) -> None:
    assert refusal(content) == ": not a run file, or cut off in its first line"


@pytest.mark.parametrize(
    "line", [b"{}", b'{"kind":"end"}', b'{"kind":"run"}', b'{"kind":"run","schema":0}', b'{"schema":1}']
)
def test_an_object_that_is_no_header_is_no_run_file(refusal: Refusal, line: bytes) -> None:
    assert refusal([line]) == ", line 1: not a run file (its first line is no 'run' with a schema)"


def test_a_newer_schema_is_refused_plainly_whatever_else_it_holds(refusal: Refusal) -> None:
    newer = b'{"kind":"run","schema":2,"environment":["all","is","different"]}'
    assert refusal([newer]) == (f": has schema 2; this torchgauge reads up to {SCHEMA}: upgrade torchgauge")


# --- damage ---


@pytest.mark.parametrize(
    ("place", "fields", "where", "cause"),
    [
        (0, {"schema": "one"}, "line 1, field schema", "Expected `int | null`, got `str`"),
        (0, {"started": 5}, "line 1, field started", "Expected `str`, got `int`"),
        (0, {"config": None}, "line 1, field config", "Expected `object`, got `null`"),
        (1, {"samples": [1.0, None]}, "line 2, field samples[1]", "Expected `float`, got `null`"),
        (1, {"samples": "none"}, "line 2, field samples", "Expected `array`, got `str`"),
        (1, {"round": 1.5}, "line 2, field round", "Expected `int`, got `float`"),
        (1, {"loops": True}, "line 2, field loops", "Expected `int`, got `bool`"),
        (1, {"case": {}}, "line 2, field case", "Object missing required field `id`"),
        (1, {"kind": "song"}, "line 2, field kind", "Invalid value 'song'"),
        (2, {"reason": ["a"]}, "line 3, field reason", "Expected `str`, got `array`"),
        (3, {"measured": None}, "line 4, field measured", "Expected `int`, got `null`"),
    ],
)
def test_a_wrong_type_is_named_by_file_line_and_field(
    refusal: Refusal, lines: list[bytes], place: int, fields: dict[str, Any], where: str, cause: str
) -> None:
    lines[place] = changed(lines[place], **fields)
    assert refusal(lines) == f", {where}: {cause}"


def test_a_wrong_type_deep_inside_is_named_by_its_whole_path(refusal: Refusal, lines: list[bytes]) -> None:
    lines[0] = lines[0].replace(b'"cores_logical":8', b'"cores_logical":"8"')
    assert refusal(lines) == (
        ", line 1, field environment.machine.cores_logical: Expected `int | null`, got `str`"
    )


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"nan"])
def test_numbers_that_json_does_not_have_are_damage(
    refusal: Refusal, lines: list[bytes], number: bytes
) -> None:
    lines[1] = lines[1].replace(b"0.000015", number, 1)
    assert refusal(lines).startswith(", line 2: JSON is malformed: invalid")


def test_a_number_too_large_for_a_float_is_damage(refusal: Refusal, lines: list[bytes]) -> None:
    lines[1] = lines[1].replace(b"0.000015", b"1e999", 1)
    assert refusal(lines) == ", line 2, field samples[1]: Number out of range"


def test_a_line_cut_off_in_the_middle_of_the_file_is_damage(refusal: Refusal, lines: list[bytes]) -> None:
    lines[1] = lines[1][:100]
    assert refusal(lines) == ", line 2: Input data was truncated"


def test_an_empty_line_in_the_middle_is_damage(refusal: Refusal, lines: list[bytes]) -> None:
    assert refusal([lines[0], b"", lines[1]]) == ", line 2: Input data was truncated"


def test_zeros_that_a_crash_left_are_damage(refusal: Refusal, lines: list[bytes]) -> None:
    assert refusal([*lines[:2], b"\0" * 100, lines[3]]).startswith(", line 3: JSON is malformed")


def test_two_runs_joined_in_one_file_are_told(refusal: Refusal, lines: list[bytes]) -> None:
    assert refusal([*lines, *lines]) == (", line 5: a second 'run' line; two runs were joined in one file")


@pytest.mark.parametrize("place", [0, 1])
def test_brackets_nested_without_end_are_damage_and_no_crash(
    refusal: Refusal, lines: list[bytes], place: int
) -> None:
    for opening in (b"[", b'{"a":'):
        lines[place] = b'{"kind":"run","schema":1,"extra":' + opening * 100_000
        assert refusal(lines).startswith(f", line {place + 1}: maximum recursion depth exceeded")


def test_bytes_that_are_no_utf8_are_damage(refusal: Refusal, lines: list[bytes]) -> None:
    lines[2] = lines[2].replace(b"no such dtype", b"caf\xe9")
    assert refusal(lines).startswith(", line 3: is no UTF-8")


def test_what_a_file_holds_can_not_break_the_message_or_the_terminal(
    refusal: Refusal, lines: list[bytes]
) -> None:
    lines[1] = changed(lines[1], kind="x\n\x1b[31mred\u202e - at `$.y`")
    assert refusal(lines) == (r", line 2, field kind: Invalid value 'x\n\x1b[31mred\u202e - at `$.y`'")
    lines[1] = changed(lines[1], kind="long" * 100_000)
    assert refusal(lines).startswith(", line 2, field kind: Invalid value 'longlong")


def test_a_file_name_with_a_newline_gives_one_line_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as refused:
        read(tmp_path / "a\nb.jsonl")
    assert r"a\nb.jsonl: no such run file" in str(refused.value)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_read_or_refused_in_one_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray((GOLDEN / "schema-1.jsonl").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
    path = tmp_path_factory.getbasetemp() / f"damaged-{os.getpid()}.jsonl"
    path.write_bytes(content)
    message = str(path)
    try:
        read(path)
    except RecordError as error:
        message = str(error)
    assert message.startswith(str(path))
    assert message.isprintable()


def test_every_line_of_an_a_b_file_comes_back_and_a_cut_one_is_told(tmp_path: Path) -> None:
    one, path = compared.made(), tmp_path / "x.ab.jsonl"
    count = CountLine(
        side="head", process=1, case="a", metric="operators", values=[3.0], parts={"aten::mm": 1.0}
    )
    skip = AbSkip(case="b", side="both", reason="on cuda only")
    writer = RunWriter(path, "ab")
    for line in (one.header, *one.pairs, count, skip, *one.failures, *one.comparisons, one.end):
        writer.append(line)
    writer.close()
    assert read_ab(path) == dataclasses.replace(one, path=path, counts=[count], skips=[skip])
    with pytest.raises(RecordError, match="holds a Comparison and no Run"):
        read(path)
    path.write_bytes(path.read_bytes()[:-5])
    left = read_ab(path)
    assert left.end is None
    assert "cut off" in left.warnings[0]
    path.write_bytes(b'{"kind":"ab","schema":2}\n')
    with pytest.raises(RecordError, match="has schema 2"):
        read_ab(path)
