"""Files are written whole or not at all, and only files are replaced."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from torchgauge.errors import TorchgaugeError
from torchgauge.files import check_writable, replace


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    for content in (b"one", b"two"):
        replace(target, content)
        assert target.read_bytes() == content
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_stays_one_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    replace(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    seen = []
    reader = threading.Thread(target=lambda: seen.append(pipe.read_bytes()))
    reader.start()
    replace(pipe, b"text")
    reader.join(10)
    assert seen == [b"text"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["", "missing/x", "x" * 300, "a\0b", "."])
def test_what_can_not_be_written_is_one_line_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(TorchgaugeError, match=r"can't be written: .*; choose another file with -o") as caught:
        replace(tmp_path / name, b"text")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_could_not_be_written_later_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for target in (tmp_path / "new.json", pipe, Path(os.devnull)):
        check_writable(target, "-o")
    for target in (tmp_path, tmp_path / "missing/new.json"):
        with pytest.raises(TorchgaugeError, match="can't be written"):
            check_writable(target, "-o")
