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
from torchgauge.record import read
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
"""Of each picture the element that it shows, of a page of the runs without a card, or of those with one."""


def main() -> int:
    """Write the pictures."""
    runs = [read(path) for path in sorted((ROOT / "results" / "reference").glob("*.jsonl"))]
    with tempfile.TemporaryDirectory() as folder, chromium.browser() as page:
        for card, pictures, tallest in ((False, CPU, 900), (True, CARD, 655)):
            path = Path(folder) / "page.html"
            path.write_text(
                html.render([run for run in runs if bool(run.header.environment.accelerators) == card])
            )
            page.open(path, width=900)
            for name, selector in pictures.items():
                target = ROOT / "docs" / "images" / f"gallery-{name}.png"
                page.picture(target, selector, margin=8, tallest=tallest)
                print(target.relative_to(ROOT), target.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
