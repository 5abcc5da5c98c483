"""A comparison as JSON. Its JSON Schema is printed by `python -m torchgauge.report.gate.document`."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import msgspec
from msgspec import Struct

from torchgauge.record.ab import AbConfig, AbRun, Comparison, SideOf, Verdict
from torchgauge.report.gate import words

SCHEMA = 1


class Sides(Struct, frozen=True, kw_only=True):
    """What was compared, and where."""

    base: SideOf
    head: SideOf


class Document(Struct, frozen=True, kw_only=True):
    """The contract's JSON: ratio = head / base, null where nothing is known; times in seconds."""

    schema: int
    verdict: Verdict
    headline: str
    disturbed: str | None
    comparisons: list[Comparison]
    environment: Sides
    config: AbConfig
    pairs: int
    wall_seconds: float | None
    timed_seconds: float | None
    lanes: int
    notes: list[str]
    reproduce: str
    file: str


def render(run: AbRun) -> str:
    """Write the document."""
    document = Document(
        schema=SCHEMA,
        verdict=words.verdict(run),
        headline=words.headline(run),
        disturbed=run.end.disturbed if run.end else None,
        comparisons=run.comparisons,
        environment=Sides(base=run.header.base, head=run.header.head),
        config=run.header.config,
        pairs=run.end.pairs if run.end else len({line.pair for line in run.pairs}),
        wall_seconds=run.end.wall_seconds if run.end else None,
        timed_seconds=run.end.timed_seconds if run.end else None,
        lanes=run.end.lanes if run.end else 1,
        notes=words.notes(run),
        reproduce=words.reproduce(run),
        file=str(run.path),
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def schema() -> str:
    """Write the JSON Schema of the document."""
    described = _cleaned(msgspec.json.schema(Document))
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def _cleaned(part: Any) -> Any:
    """Take the indentation out of descriptions, which are docstrings; newer msgspec does so itself."""
    if isinstance(part, list):
        return [_cleaned(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else _cleaned(value)
        for key, value in part.items()
    }


if __name__ == "__main__":
    sys.stdout.write(schema())
