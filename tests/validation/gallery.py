"""The pictures of docs/gallery.md, anew, from the runs of results/reference.

    python tests/validation/gallery.py

Needs chromium.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import chromium
from torchgauge.record import Run, read
from torchgauge.report import html

ROOT = Path(__file__).resolve().parents[2]
CPU = {
    "answers": "#answers",
    "roofline": "#roofline figure",
    "matmul-square": "article:has(svg[aria-label*='matmul/square'])",
    "in-place": "figure:has(svg[aria-label^='In place against functional'])",
    "optimizers": "figure:has(svg[aria-label^='Optimizers'])",
    "training-step": "figure:has(svg[aria-label^='Parts of the training step'])",
    "dtypes": "#dtypes",
}
CARD = {
    "crossover": "#crossover",
    "other-times": "article:has([aria-label^='matmul/square, other times'])",
}
"""Of each picture the element that it shows, of a page of the runs without a card, or of the one below."""
WITH_CARD = "20261126T160610Z_vm_49fd5d43.jsonl"
"""One is enough: what the gallery shows of a card has a line, or a table, a card."""


def _runs() -> tuple[list[Run], list[Run]]:
    """Read the runs of the two pages."""
    folder = ROOT / "results" / "reference"
    every = [read(path) for path in sorted(folder.glob("*.jsonl"))]
    return [run for run in every if not run.header.environment.accelerators], [read(folder / WITH_CARD)]


def main() -> int:
    """Write the pictures."""
    without, card = _runs()
    with tempfile.TemporaryDirectory() as folder, chromium.browser() as page:
        for runs, pictures, tallest in ((without, CPU, 900), (card, CARD, 655)):
            path = Path(folder) / "page.html"
            path.write_text(html.render(runs))
            page.open(path, width=900)
            for name, selector in pictures.items():
                target = ROOT / "docs" / "images" / f"gallery-{name}.png"
                page.picture(target, selector, margin=8, tallest=tallest)
                print(target.relative_to(ROOT), target.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
