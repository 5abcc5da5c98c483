"""The run file: its schema, and how it is read and written.

This package is all that the measuring side and the reading side share. It imports neither torch
nor numpy nor pandas.
"""

from torchgauge.record.jsonlines import RecordError
from torchgauge.record.reader import read, read_ab, run_id
from torchgauge.record.schema import (
    CEILING,
    SCHEMA,
    Accelerator,
    Case,
    Config,
    End,
    Environment,
    Failure,
    Git,
    Header,
    Machine,
    Measurement,
    Part,
    Run,
    Skip,
    Summary,
    Torch,
    Work,
)
from torchgauge.record.writer import RunWriter, run_file_name

__all__ = [
    "CEILING",
    "SCHEMA",
    "Accelerator",
    "Case",
    "Config",
    "End",
    "Environment",
    "Failure",
    "Git",
    "Header",
    "Machine",
    "Measurement",
    "Part",
    "RecordError",
    "Run",
    "RunWriter",
    "Skip",
    "Summary",
    "Torch",
    "Work",
    "read",
    "read_ab",
    "run_file_name",
    "run_id",
]
