"""A run file from a stranger, all whose text means harm, through every command that reads run files."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import unicodedata
import zlib
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

import synthetic
from synthetic import HOSTILE

TEXTS = (
    *HOSTILE,
    "../../../../tmp/out",
    "/etc/passwd",
    "\u202egnp.exe",
    "@SUM(1)",
    "\r\nREGRESSED",
    "__proto__",
)
FIXED = frozenset({"kind", "started", "finished", "at"})
"""What no file can be read without, or what is a time of day."""
TOLD = frozenset({"instrument", "metric", "unit", "method", "device", "dtype", "group", "name", "type"})
"""What decides where a value is shown."""
LONG = 10_000_000
NUMBERS = {
    "zero": 0,
    "negative": -1,
    "huge": 1e308,
    "tiny": 1e-308,
    "of 64 bits": 2**62,
    "of 400 digits": 10**400,
}


def harmful(value: object, spared: frozenset[str], key: str = "") -> object:
    """Put harm before every text and key; the same one gets the same again."""
    if isinstance(value, dict):
        named = key in ("params", "conditions", "packages", "variables", "unknown", "left_out")
        return {
            (_worse(k) if named and k not in FIXED else k): harmful(v, spared, k) for k, v in value.items()
        }
    if isinstance(value, list):
        return [harmful(one, spared, key) for one in value]
    return _worse(value) if isinstance(value, str) and key not in spared else value


def _worse(text: str) -> str:
    return TEXTS[zlib.crc32(text.encode()) % len(TEXTS)] + text


def stranger(folder: Path, spared: frozenset[str], run_id: str = "5eed0001") -> Path:
    """Write the file."""
    few = [one for one in synthetic.grid(("cpu", "cuda:0")) if one[1] < 1e-4][::8]
    path = synthetic.write(
        synthetic.run(("cpu", "cuda:0"), cases=few, run_id=run_id, rounds=2, with_ceilings=True), folder
    )
    lines = [harmful(json.loads(line), spared) for line in path.read_text().splitlines()]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def long(folder: Path) -> Path:
    """Write a file some of whose texts have ten million characters each."""
    path = synthetic.write(synthetic.run(cases=list(synthetic.grid())[:3], rounds=2), folder)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["environment"]["machine"]["host"] = "=" * LONG
    name = "<b>" * (LONG // 3)
    for line in lines:
        case = line.get("case")
        if case and case["id"] == lines[1]["case"]["id"]:
            case["id"], case["name"], case["params"] = name, name, {name: name}
        if line["kind"] in ("failure", "skip"):
            line["message" if line["kind"] == "failure" else "reason"] = "\x1b[31m" * (LONG // 5)
    lines[1]["warnings"] = ["9" * LONG]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


class Page(HTMLParser):
    """What a page has that could run, load or lead elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("href", "src", "data", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def is_plain(text: str) -> bool:
    """Tell whether a terminal would show it and do nothing else."""
    return all(sign == "\n" or unicodedata.category(sign)[0] != "C" for sign in text)


@pytest.fixture(params=["every text", "all but what decides where it is shown", "long"])
def file(request: pytest.FixtureRequest, project: Path) -> Path:
    folder = project / "theirs"
    folder.mkdir()
    if request.param == "long":
        return long(folder)
    return stranger(folder, FIXED if request.param == "every text" else FIXED | TOLD)


SHOWING = [
    ["show"],
    ["compare"],
    ["compare", "--rows", "group", "--columns", "dtype"],
    ["report", "--format", "markdown"],
    ["history"],
]


@pytest.mark.parametrize("words", SHOWING, ids=" ".join)
def test_what_is_shown_obeys_nothing(command, file: Path, words: list[str]) -> None:
    done = command(*words, str(file.parent if words[0] == "history" else file))
    assert done.code == 0, done.error[-500:]
    assert is_plain(done.out)
    assert is_plain(done.error)
    assert len(done.out) < 200_000
    if "markdown" in words:
        assert not re.search(r"(?<!\\)<(script|img|b)\b", done.out)


def test_the_page_runs_and_loads_nothing_of_theirs(command, file: Path, project: Path) -> None:
    done = command("report", str(file), "-o", "page.html")
    assert done.code == 0, done.error[-500:]
    text = (project / "page.html").read_text()
    page = Page(text)
    assert page.handlers == []
    assert page.tags.count("script") == 1  # ours
    assert not {"img", "iframe", "object", "embed", "link", "base"} & set(page.tags)
    assert all(target.startswith("#") for target in page.targets)
    assert is_plain(text)
    assert len(text) < 3_000_000


@pytest.mark.parametrize(
    "words", [["report", "--format", "csv"], ["compare", "--format", "csv"]], ids=" ".join
)
def test_a_spreadsheet_runs_no_cell(command, file: Path, words: list[str]) -> None:
    done = command(*words, str(file))
    assert done.code == 0, done.error[-500:]
    rows = list(csv.reader(io.StringIO(done.out, newline="")))
    assert len({len(row) for row in rows}) == 1
    for cell in (cell for row in rows for cell in row):
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n") or is_number(cell)
        assert len(cell) <= 32_767  # what a cell of a spreadsheet holds


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("form", ["csv", "parquet", "pytest-benchmark"])
def test_an_export_lies_where_it_was_asked_for(command, file: Path, project: Path, form: str) -> None:
    before = set(project.rglob("*"))
    done = command("export", str(file), "--format", form, "-o", str(project / "out"))
    assert done.code == 0, done.error[-500:]
    assert set(project.rglob("*")) - before == {project / "out"}


def test_a_partitioned_export_stays_in_its_folder(command, file: Path, project: Path) -> None:
    before = set(project.rglob("*"))
    done = command("export", str(file.parent), "--format", "parquet", "-o", str(project / "out"))
    assert done.code == 0, done.error[-500:]
    (written,) = {path for path in set(project.rglob("*")) - before if path.is_file()}
    assert re.fullmatch(
        r"machine_key=\w+/month=\d{4}-\d\d/[\w.-]+\.parquet", str(written.relative_to(project / "out"))
    )


def numbered(value: object, number: float, key: str = "") -> object:
    """Put one number in the place of all."""
    if isinstance(value, dict):
        return {k: numbered(v, number, k) for k, v in value.items()}
    if isinstance(value, list):
        return [numbered(one, number, key) for one in value]
    spared = isinstance(value, bool) or key == "schema"
    return number if isinstance(value, int | float) and not spared else value


@pytest.mark.parametrize("where", ["everywhere", "samples", "params"])
@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_numbers_beyond_reason_are_shown_or_refused_in_one_line(
    command, project: Path, number: float, where: str
) -> None:
    few = list(synthetic.grid(("cpu", "cuda:0")))[::20]
    path = synthetic.write(synthetic.run(("cpu", "cuda:0"), cases=few, rounds=2, with_ceilings=True), project)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    if where == "everywhere":
        lines = [numbered(line, number) for line in lines]
    elif where == "samples":
        lines = [
            line | {"samples": numbered(line["samples"], number)} if "samples" in line else line
            for line in lines
        ]
    else:
        for line in lines:
            if "case" in line:
                line["case"]["params"] = numbered(line["case"]["params"], number)
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    every = [
        *SHOWING,
        ["report", "-o", "page.html"],
        ["report", "--format", "csv"],
        ["report", "--format", "json"],
    ]
    every += [["export", "--format", form, "-o", "out"] for form in ("csv", "parquet", "pytest-benchmark")]
    for words in every:
        done = command(*words, "." if words[0] == "history" else path.name)
        assert done.code in (0, 2), words
        assert "Traceback" not in done.error
        if done.code == 2:
            assert len(done.error.splitlines()) == 1


def test_two_files_of_a_stranger_side_by_side_do_no_harm(command, project: Path) -> None:
    folder = project / "theirs"
    folder.mkdir()
    both = [str(stranger(folder, FIXED | TOLD, run_id)) for run_id in ("5eed0001", "5eed0002")]
    done = command("report", *both, "-o", "page.html")
    assert done.code == 0, done.error[-500:]
    page = Page((project / "page.html").read_text())
    assert (page.handlers, page.tags.count("script")) == ([], 1)
    assert all(target.startswith("#") for target in page.targets)


def test_a_text_that_reads_as_a_verdict_does_not_look_like_one(command, project: Path) -> None:
    cases = [
        (synthetic.case("optimizers", "step", "cpu", "float32", form=form), seconds, {})
        for form, seconds in (("failed", 1e-5), ("fused", 2e-5))
    ]
    path = synthetic.write(synthetic.run(cases=cases, failures=[], skips=[]), project)
    assert command("report", str(path), "-o", "page.html").code == 0
    text = (project / "page.html").read_text()
    assert "<b>failed</b>" in text
    assert 'class="failed"' not in text


def spoil(path: Path, unit: str) -> None:
    """Write another unit into every line."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if "unit" in line:
            line["unit"] = unit
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")


@pytest.mark.parametrize("words", SHOWING, ids=" ".join)
def test_a_unit_alone_can_not_reach_the_terminal(command, project: Path, words: list[str]) -> None:
    folder = project / "theirs"
    folder.mkdir()
    for number in range(12):
        cases = [(synthetic.case("g", "steps", n=1), 1e-5 * (1 + number // 6), {})]
        run = synthetic.run(
            cases=cases, run_id=f"{number:08x}", rounds=3, seed=number, with_ceilings=True, skips=[]
        )
        started = f"2026-03-{number + 1:02d}T10:00:00.000+00:00"
        run = dataclasses.replace(run, header=msgspec.structs.replace(run.header, started=started))
        file = synthetic.write(run, folder)
        spoil(file, "s\x1b]0;owned\x1b\\\n")
    done = command(*words, str(folder if words[0] == "history" else file))
    assert done.code == 0, done.error[-500:]
    assert is_plain(done.out)
    assert is_plain(done.error)
    assert words[0] != "history" or "1 step" in done.out


@pytest.mark.parametrize("words", [["--rows", "typo"], ["--baseline", "typo"]], ids=" ".join)
def test_what_an_error_quotes_obeys_nothing(command, project: Path, words: list[str]) -> None:
    folder = project / "theirs"
    folder.mkdir()
    done = command("compare", str(stranger(folder, FIXED | TOLD)), "--columns", "dtype", *words)
    assert done.code == 2
    assert is_plain(done.error)
    assert done.error.count("\n") == 1
    assert len(done.error) < 2_100


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("environment", "machine", "memory_bytes"), 10**400),
        (("started",), "0001-01-01T00:00:00+14:00"),
        (("loops",), 2**70),
        (("work", "flop"), -1.0),
    ],
    ids=lambda part: ".".join(part) if isinstance(part, tuple) else "",
)
def test_one_impossible_number_is_told_in_one_line(
    command, project: Path, path: tuple[str, ...], value: object
) -> None:
    folder = project / "theirs"
    folder.mkdir()
    file = synthetic.write(synthetic.run(cases=list(synthetic.grid())[:3], rounds=2), folder)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    at = lines[0 if path[0] in ("environment", "started") else 1]
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    file.write_text("\n".join(map(json.dumps, lines)) + "\n")
    for words in (["show"], ["compare"], ["report", "--format", "markdown"]):
        done = command(*words, str(file))
        assert done.code == 2
        assert done.error.count("\n") == 1
        assert path[-1] in done.error
