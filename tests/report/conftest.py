from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import synthetic
from synthetic import HOSTILE
from torchgauge.record import Failure, Run, Skip

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with a golden file; UPDATE_GOLDEN=1 writes the file anew."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text, "utf-8")
        assert text == path.read_text("utf-8"), f"{path.name} differs: look, then UPDATE_GOLDEN=1"

    return compare


@pytest.fixture(scope="session")
def small() -> list[Run]:
    """Two runs side by side: a CPU, and a CPU with a GPU that was interrupted."""

    def few(devices: tuple[str, ...]):
        return [e for e in synthetic.grid(devices) if e[0].group in ("creation", "matmul", "mine")]

    return [
        synthetic.run(cases=few(("cpu",)), with_ceilings=True),
        synthetic.run(
            ("cpu", "cuda:0"),
            cases=few(("cpu", "cuda:0")),
            run_id="5eed0002",
            host="gpu-box",
            rounds=2,
            processes=3,
            finished=False,
            with_ceilings=True,
        ),
    ]


@pytest.fixture(scope="session")
def hostile() -> Run:
    """A run all whose text means harm, in every place that a report shows."""
    cases = []
    for text in HOSTILE:
        at = synthetic.case("inplace", text, "cpu", "float32", form=text, n=1024)
        cases.append((at, 1e-5, {"warnings": [text], "bytes": 8192.0}))
        cases += [
            (synthetic.case(text, text, "cpu", text, **{text: text, "n": n}), 1e-5, {"warnings": [text]})
            for n in (1, 1000)
        ]
        cases += [
            (
                synthetic.case("optimizers", "step", text, None, optimizer=text, form=form, tensors=text),
                1e-5,
                {},
            )
            for form in (text, "fused")
        ]
    return synthetic.run(
        cases=cases,
        run_id=HOSTILE[0],
        host=HOSTILE[1] + HOSTILE[5],
        failures=[
            Failure(case=synthetic.case(text, text), stage=text, error=text, message=text) for text in HOSTILE
        ],
        skips=[Skip(case=synthetic.case("s", "s", n=i), reason=text) for i, text in enumerate(HOSTILE)],
        rounds=2,
    )
