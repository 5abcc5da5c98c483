from __future__ import annotations

import os

import pytest

from torchgauge.measure.reasons import Reasons, Unknown, printable, reason


def test_a_fact_that_is_found_leaves_no_reason() -> None:
    unknown: dict[str, str] = {}
    assert Reasons("machine", unknown).find("cpu", lambda: "EPYC") == "EPYC"
    assert unknown == {}


@pytest.mark.parametrize("value", [0, False, "", 0.0])
def test_nothing_but_none_is_taken_for_unknown(value: object) -> None:
    unknown: dict[str, str] = {}
    assert Reasons("machine", unknown).find("cpu", lambda: value) is value
    assert unknown == {}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Unknown("the kernel does not tell"), "the kernel does not tell"),
        (FileNotFoundError(2, "No such file or directory", "/proc/x"), "/proc/x is not there"),
        (PermissionError(13, "Permission denied", "/sys/y"), "PermissionError: Permission denied"),
        (ValueError("\n first line \nsecond line"), "ValueError: first line"),
        (RuntimeError(), "RuntimeError"),
        (KeyError("flags"), "KeyError: 'flags'"),
        (OSError("bare"), "OSError"),
        (ValueError("x" * 1000), "ValueError: " + "x" * 200),
    ],
)
def test_whatever_goes_wrong_becomes_one_line(error: Exception, text: str) -> None:
    def fail() -> str:
        raise error

    unknown: dict[str, str] = {}
    assert Reasons("machine", unknown).find("governor", fail) is None
    assert unknown == {"machine.governor": text}
    assert reason(error) == text


def test_one_reason_serves_several_fields() -> None:
    unknown: dict[str, str] = {}
    assert Reasons("git", unknown).miss(["commit", "branch"], "no git") == {"commit": None, "branch": None}
    assert unknown == {"git.commit": "no git", "git.branch": "no git"}


def test_a_ctrl_c_is_no_reason() -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Reasons("machine", {}).find("cpu", stopped)


def test_undecodable_bytes_are_escaped() -> None:
    assert printable(os.fsdecode(b"caf\xe9 \xc2\xb5s")) == r"caf\udce9 µs"
