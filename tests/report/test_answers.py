"""Each answer from runs whose truth is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec

import synthetic
from torchgauge.analysis.frame import summaries
from torchgauge.record import CEILING, Run
from torchgauge.report.answers import Answer, answers
from torchgauge.report.points import benchmarks
from torchgauge.report.tables import timed


def asked(*runs: Run) -> dict[str, Answer]:
    frame = summaries(runs)
    parts = benchmarks(timed(frame[frame["metric"] != "first_call"]))
    names = dict(zip((run.id for run in runs), "ABC", strict=False))
    return {answer.question: answer for answer in answers(runs, parts, names)}


def run(cases: Sequence[tuple], devices=("cpu",), **more) -> Run:
    return synthetic.run(devices, cases=cases, failures=[], skips=[], rounds=3, **more)


def rows(answer: Answer) -> dict[tuple[str, ...], tuple[str, ...]]:
    return {
        names: tuple("" if cell is None else cell.value for cell in cells)
        for names, cells in answer.table.rows
    }


def test_the_fastest_place_is_named_only_where_a_difference_is_shown() -> None:
    case = synthetic.case
    found = asked(
        run(
            [
                (case("matmul", "square", dtype="float32", n=1024), 1e-3, {}),
                (case("matmul", "square", dtype="float64", n=1024), 2e-3, {}),
                (case("matmul", "square", dtype="float32", n=32), 9e-6, {}),  # not the largest size
                (case("matmul", "vector", dtype="float32"), 2e-6, {}),
                (case("matmul", "vector", dtype="float64"), 2.01e-6, {}),
                (case("creation", "alone", dtype="float32"), 2e-6, {}),
            ]
        )
    )["Which device and dtype is fastest?"]
    assert found.sentences == (
        "Of 2 hot paths measured in several places, the fastest is cpu float32 in 1; "
        "in 1 the two fastest are not told apart.",
    )
    told = rows(found)
    assert told["matmul/square", "n 1,024"][1:] == ("cpu float32", "cpu float64", "1.99 ×")
    assert told["matmul/vector", ""][3] == "~"


def test_a_conversion_to_what_is_there_already_wins_nothing() -> None:
    cases = [
        (synthetic.case("conversion", "to", dtype="float32", to="float32", n=64), 2e-7, {"bytes": 0.0}),
        (synthetic.case("conversion", "to", dtype="float64", to="float32", n=64), 3e-6, {"bytes": 768.0}),
    ]
    assert "Which device and dtype is fastest?" not in asked(run(cases))


def grid(n: int, cpu: float, cuda: float):
    case = synthetic.case
    return [
        (case("matmul", "square", "cpu", n=n), cpu, {}),
        (case("matmul", "square", "cuda:0", n=n), cuda, {}),
    ]


def test_the_gpu_wins_from_the_size_on_at_which_all_larger_ones_are_faster() -> None:
    cases = [*grid(32, 2e-6, 6e-6), *grid(128, 1e-5, 7e-6), *grid(512, 6e-4, 2e-5)]
    found = asked(run(cases, ("cpu", "cuda:0")))["Where does the GPU start to win?"]
    ((names, (size, ratio)),) = found.table.rows
    assert (names, size.value) == (("matmul/square", "cuda:0", "float32"), "n 128")
    assert ratio.value.startswith("1.4")
    assert "the accelerator beats the CPU in 1." in found.sentences[0]


def test_a_gpu_that_wins_only_in_between_has_not_won() -> None:
    cases = [*grid(32, 2e-6, 6e-6), *grid(128, 1e-4, 7e-6), *grid(512, 2e-5, 2e-4)]
    found = asked(run(cases, ("cpu", "cuda:0")))["Where does the GPU start to win?"]
    assert found.table.rows[0][1][0].value == "never"
    assert "in 1 at no size that was measured" in found.sentences[0]


def test_a_gpu_is_as_slow_as_its_host_hands_the_work_over() -> None:
    # synthetic submissions take 4 µs: the device's 1 µs wins nothing against the CPU's 2 µs
    cases = [*grid(32, 2e-6, 1e-6), *grid(64, 2e-6, 1e-6)]
    found = asked(run(cases, ("cpu", "cuda:0")))["Where does the GPU start to win?"]
    assert found.table.rows[0][1][0].value == "never"


def test_in_place_pays_where_it_is_shown_to_be_faster() -> None:
    case = synthetic.case
    cases = []
    for n, functional, in_place in ((1024, 2e-6, 2e-6), (2**20, 3e-4, 2e-4), (2**24, 4e-3, 5e-3)):
        cases.append((case("inplace", "add", form="functional", n=n), functional, {}))
        cases.append((case("inplace", "add", form="in-place", n=n), in_place, {}))
    found = asked(run(cases))["Where does in-place pay?"]
    assert found.sentences == (
        "Of 3 operations in place is faster in 1 (1.5 ×), slower in 1; in 1 no difference is shown.",
    )
    assert [names[1] for names, _ in found.table.rows] == [
        f"cpu float32, n {n:,}" for n in (1024, 2**20, 2**24)
    ]


def test_the_fastest_form_of_each_optimizer_is_counted() -> None:
    seconds = {"for-loop": 9e-5, "foreach": 6e-5, "fused": 3e-5}
    cases = [
        (synthetic.case("optimizers", "step", optimizer=name, form=form, tensors="MLP"), seconds[form], {})
        for name, forms in (("SGD", seconds), ("Adamax", ("for-loop", "foreach")), ("Rprop", ("for-loop",)))
        for form in forms
    ]
    found = asked(run(cases))["Which form of an optimizer is fastest?"]
    assert found.sentences == ("Of 2 steps the fastest form is foreach in 1, fused in 1.",)
    assert rows(found)["SGD", "cpu float32, tensors MLP"][1:] == ("fused", "1.98 ×", "2.98 ×")


def test_copies_are_held_against_the_fastest_that_crossed_the_link() -> None:
    size = 2**22
    cases = [
        (
            synthetic.case("transfer", "to_device", "cuda:0", memory=memory, size=size),
            took,
            {"bytes": float(size)},
        )
        for memory, took in (("pageable", 4e-4), ("pinned", 1e-4))
    ]
    cases.append((synthetic.case("transfer", "within", "cuda:0", size=size), 1e-6, {"bytes": 2.0 * size}))
    link = [
        (
            synthetic.case(CEILING, "to_device", "cuda:0", None, size=size, memory="pinned"),
            8e-5,
            {"bytes": float(size)},
        )
    ]
    ceilings = [
        msgspec.structs.replace(line, instrument=CEILING)
        for line in run(link, ("cpu", "cuda:0")).measurements
        if line.metric == "device_time"
    ]
    made = dataclasses.replace(run(cases, ("cpu", "cuda:0")), ceilings=ceilings)
    found = asked(made)["How near do copies come to the link's ceiling?"]
    told = rows(found)
    assert list(told) == [
        ("to_device", f"cuda:0 float32, memory {memory}, size 4,194,304") for memory in ("pinned", "pageable")
    ]
    assert [cells[2] for cells in told.values()] == ["78%", "20%"]


def test_cases_near_a_ceiling_are_work_and_those_far_from_it_the_cost_of_calls() -> None:
    cases = [
        (synthetic.case("matmul", "square", n=1024), 2 * 1024**3 / 8e10, {"flop": 2.0 * 1024**3}),
        (synthetic.case("matmul", "square", n=4), 2e-6, {"flop": 128.0}),
    ]
    found = asked(run(cases, with_ceilings=True))["What is work, and what is overhead?"]
    assert "Of 2 cases whose work is stated 1 reach half" in found.sentences[0]
    assert "1 stay under 5% of it" in found.sentences[0]
    assert rows(found)["matmul", "cpu"][0] == "2"


def test_the_largest_part_of_the_training_step_is_named() -> None:
    seconds = {"forward": 2e-5, "loss": 5e-6, "backward": 4e-5, "optimizer_step": 3e-5, "training_step": 1e-4}
    cases = [
        (synthetic.case("sine_mlp", name, batch=32, mode="eager"), took, {}) for name, took in seconds.items()
    ]
    found = asked(run(cases))["What takes the time of a training step?"]
    assert found.sentences[0].startswith("The largest part is backward. Each part")
    assert found.table.rows[0][1][4].value == "41%"


def test_runs_side_by_side_are_places_of_their_own() -> None:
    cases = [(synthetic.case("matmul", "square", n=64), 1e-4, {})]
    found = asked(run(cases), run(cases, run_id="5eed0002", speed=2.0))["Which device and dtype is fastest?"]
    assert rows(found)["matmul/square", "n 64"][1:3] == ("B cpu float32", "A cpu float32")


def test_a_question_without_data_is_not_asked() -> None:
    assert asked(run([])) == {}


def test_every_answer_takes_the_submission_where_it_is_longer() -> None:
    # synthetic submissions take 4 µs, longer than any of the device's own times here
    case = synthetic.case
    forms = [
        (case("optimizers", "step", "cuda:0", optimizer="SGD", form=form, tensors="MLP"), took, {})
        for form, took in (("for-loop", 3e-6), ("fused", 1e-6))
    ]
    pair = [
        (case("inplace", "add", "cuda:0", form=form, n=8), took, {})
        for form, took in (("functional", 2e-6), ("in-place", 1e-6))
    ]
    found = asked(run([*grid(32, 2e-6, 1e-6), *forms, *pair], ("cpu", "cuda:0")))
    fastest = found["Which device and dtype is fastest?"]
    assert rows(fastest)["matmul/square", "n 32"][1:3] == ("cpu float32", "cuda:0 float32")
    assert "no difference is shown" in found["Where does in-place pay?"].sentences[0]
    optimizer = found["Which form of an optimizer is fastest?"]
    assert "the two fastest are not told apart" in optimizer.sentences[0]
    for answer in (fastest, optimizer, found["Where does in-place pay?"]):
        assert "that of the submission where it is longer" in answer.sentences[-1]
