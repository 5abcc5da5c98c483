"""Runs in the formats of other tools: CSV, Parquet, and pytest-benchmark's JSON.

- **csv**: the summaries, UTF-8, one row a case and metric; `params` is a JSON object, `warnings` are
  joined by "; ". A text that a spreadsheet would take for a formula gets a leading apostrophe.
- **parquet**: the samples, one row a block, each with all columns of its summary; the columns of the
  summary begin with `summary_` where both have the name. One file holds everything, and
  `drop_duplicates` on the case and metric gives the summaries back. The file's metadata has the run's
  header (key `torchgauge`, JSON).
- **pytest-benchmark**: see `torchgauge.analysis.pytest_benchmark`.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec
import pandas as pd

from torchgauge.analysis.frame import samples, summaries
from torchgauge.analysis.pytest_benchmark import pytest_benchmark
from torchgauge.errors import TorchgaugeError
from torchgauge.files import replace
from torchgauge.record import Run

SCHEMA = 1
LONGEST_CELL = 32_767
"""Characters of a cell that a spreadsheet keeps."""
KEY = ["run", "case", "instrument", "metric", "method", "unit"]
"""What a row of samples and a row of summaries share."""


def export(run: Run, format: str, out: Path | str) -> None:
    """Write a run in another tool's format; a file that is there is replaced, whole or not at all.

    Args:
        run: the run, as `record.read` gives it.
        format: "csv", "parquet" or "pytest-benchmark".
        out: the file to write.

    Raises:
        TorchgaugeError: the format is unknown, or the file can't be written.

    """
    if format not in FORMATS:
        raise TorchgaugeError(f"unknown format {format!r}; choose from {', '.join(FORMATS)}")
    replace(Path(out), FORMATS[format](run))


def partition(run: Run) -> Path:
    """Give a run's place in a folder of many, as Hive names partitions: `machine_key=…/month=2026-11/ID`.

    Key and id are the run file's own words: of the key letters and digits are taken, and an id of anything
    else goes by its digest. Two files of one run have one place. The month is in UTC.
    """
    own = run.id if re.fullmatch(r"[A-Za-z0-9]{1,32}", run.id) else sha256(run.id.encode()).hexdigest()[:32]
    key = re.sub(r"[^A-Za-z0-9]", "", run.header.environment.machine_key)[:32] or "unknown"
    month = datetime.fromisoformat(run.header.started).astimezone(UTC).strftime("%Y-%m")
    return Path(f"machine_key={key}") / f"month={month}" / f"{own}.parquet"


def csv(*runs: Run) -> bytes:
    """Write the summaries as CSV; see the module's docstring."""
    frame = _flat(summaries(runs))
    for name in frame.columns:
        if frame[name].dtype == "str":
            frame[name] = frame[name].map(harmless, na_action="ignore")
    return frame.to_csv(index=False, lineterminator="\r\n").encode()


def json_of(*runs: Run) -> bytes:
    """Write the summaries as JSON: `schema` and `summaries`, with null for what is not known."""
    rows = [
        {str(name): None if value != value else value for name, value in row.items()}
        for row in summaries(runs).to_dict("records")
    ]
    return msgspec.json.format(msgspec.json.encode({"schema": SCHEMA, "summaries": rows}), indent=1) + b"\n"


def parquet(run: Run) -> bytes:
    """Write samples with their summaries as Parquet; see the module's docstring."""
    import pyarrow
    from pyarrow import parquet as pq

    summary = _flat(summaries([run]))
    summary = summary.rename(columns={"value": "summary_value", "samples": "sample_count"})
    # a case that failed has a summary without samples: kept, its sample missing
    whole = summary.merge(samples([run]), on=KEY, how="left")
    whole = whole.astype(dict.fromkeys(("round", "process", "block", "loops"), "Int64"))
    table = pyarrow.Table.from_pandas(whole, preserve_index=False)
    header = {b"torchgauge": msgspec.json.encode(run.header)}
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **header}), sink)
    return sink.getvalue()


FORMATS: dict[str, Callable[[Run], bytes]] = {
    "csv": csv,
    "parquet": parquet,
    "pytest-benchmark": pytest_benchmark,
}


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn the columns that hold dicts and lists into text."""
    return frame.assign(
        params=pd.Series([json.dumps(p, ensure_ascii=False) for p in frame["params"]], dtype="str"),
        warnings=pd.Series(["; ".join(w) for w in frame["warnings"]], dtype="str"),
    )


def harmless(text: str) -> str:
    """Keep a spreadsheet from running a text (CWE-1236): an apostrophe before = + - @, tab, return.

    What is longer than a spreadsheet's cell can hold ends in "…".
    """
    text = f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else text
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
