from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from compared import COMPARISONS
from torchgauge.analysis.gate.acceptance import Accepted, accept, read_accepted
from torchgauge.errors import TorchgaugeError
from torchgauge.record.ab import Comparison, Verdict

TODAY = date(2026, 11, 25)
SLOWER = [
    Comparison(case="a/one[cpu,n=1]", metric="time", verdict=Verdict.REGRESSED, ratio=1.05),
    Comparison(case="a/two[cpu,n=1]", metric="time", verdict=Verdict.REGRESSED, ratio=1.30),
]


def entry(case: str, **fields) -> Accepted:
    return Accepted(**({"case": case, "reason": "worth it", "expires": TODAY} | fields))


def reasons(accepted: list[Accepted]) -> list[str | None]:
    return [one.accepted for one in accept(SLOWER, accepted, TODAY)[0]]


def test_what_is_accepted_is_marked_with_its_reason_and_day_and_nothing_else_is():
    assert reasons([entry("a/one[cpu,n=1]")]) == ["worth it (until 2026-11-25)", None]


def test_a_star_stands_for_anything_and_a_bracket_for_itself():
    assert None not in reasons([entry("a/*[cpu,n=1]")])
    assert reasons([entry("a/on[abcde]*")]) == [None, None]


def test_an_acceptance_ends_with_its_day_and_that_is_said():
    found, notes = accept(SLOWER, [entry("a/one[cpu,n=1]", expires=date(2026, 11, 24))], TODAY)
    assert found == SLOWER
    assert notes == ["accepted regression of a/one[cpu,n=1] expired on 2026-11-24: worth it"]


def test_an_acceptance_ends_at_its_ratio():
    assert reasons([entry("a/*", most=1.1)]) == ["worth it (until 2026-11-25)", None]


def test_a_regression_from_nothing_is_within_no_ratio():
    copies = [Comparison(case="a/one", metric="copies", verdict=Verdict.REGRESSED, notes=["0 → 3"])]
    (kept,), _ = accept(copies, [entry("*", most=1.05)], TODAY)
    assert kept.accepted is None
    (kept,), _ = accept(copies, [entry("*")], TODAY)
    assert kept.accepted is not None


def test_an_entry_without_a_case_is_told():
    _, notes = accept(SLOWER, [entry("b/*")], TODAY)
    assert notes == ["accepted regression of b/*: there is no such case; remove the entry"]


def test_only_a_regression_can_be_accepted():
    found, _ = accept(COMPARISONS, [entry("*")], TODAY)
    assert {one.verdict for one in found if one.accepted == "worth it (until 2026-11-25)"} == {
        Verdict.REGRESSED
    }


def test_a_file_is_read(tmp_path: Path):
    path = tmp_path / "accepted.toml"
    path.write_text('[[accept]]\ncase = "a"\nreason = "b"\nexpires = 2027-01-31\nmost = 1.1\n')
    assert read_accepted(path) == [Accepted(case="a", reason="b", expires=date(2027, 1, 31), most=1.1)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accept = 3", r"Expected `array`, got `int` - at `\$\.accept`"),
        ("[[accept]]\ncase = 'a'\nreason = 'b'", "missing required field `expires`"),
        ("[[accept]]\ncase = 'a'\nreason = 'b'\nexpires = 2027-01-31\nmots = 2", "unknown field `mots`"),
        ("[[accept]]\ncase = 'a'\nreason = ' '\nexpires = 2027-01-31", "a: say the reason"),
        ("[[accept]]\ncase = 'a'\nreason = 'b'\nexpires = 2027-01-31\nmost = 0.9", "a ratio above 1"),
        ("[[accept", "accepted.toml: "),
        ("", "missing required field `accept`"),
    ],
)
def test_a_file_that_says_nothing_clear_is_refused_in_one_line(tmp_path: Path, text: str, said: str):
    path = tmp_path / "accepted.toml"
    path.write_text(text)
    with pytest.raises(TorchgaugeError, match=said) as refused:
        read_accepted(path)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(TorchgaugeError, match="can't be read: No such file"):
        read_accepted(tmp_path / "none.toml")
