from __future__ import annotations

import dataclasses

from compared import unchanged
from torchgauge.analysis.gate import Design
from torchgauge.analysis.gate.noise import machine_noise
from torchgauge.record.ab import Verdict
from torchgauge.report.gate import noise as words
from torchgauge.report.gate import noise_page


def test_the_terminals_table_looks_as_agreed(golden) -> None:
    golden("noise.txt", words.text(machine_noise([unchanged(seed) for seed in range(5)], Design())))


def test_the_page_draws_each_pair_of_each_case() -> None:
    found = machine_noise([unchanged(seed) for seed in range(3)], Design())
    shown = noise_page.render(found)
    assert "default-src 'none'" in shown
    assert shown.count("<use") >= sum(one.pairs for one in found.cases)
    assert "p-values of unchanged code" in shown


def test_runs_in_which_no_case_was_measured_have_a_page_and_name_what_failed() -> None:
    run = unchanged(1, verdict=Verdict.ERROR)
    found = machine_noise([dataclasses.replace(run, pairs=[])], Design())
    assert "ERROR: a, b: not measured" in words.text(found)
    assert "ERROR: a, b: not measured" in noise_page.render(found)
