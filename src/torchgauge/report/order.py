"""In which order things are shown: runs are measured shuffled, so the file's order says nothing."""

from __future__ import annotations

import re

from torchgauge.report.text import size_of

GROUPS = (
    "creation",
    "numpy_bridge",
    "indexing",
    "conversion",
    "operations",
    "matmul",
    "transfer",
    "inplace",
    "autograd",
    "modules",
    "losses",
    "optimizers",
    "sine_mlp",
    "reproducibility",
)
"""The chapters of the reference catalogue; groups of others follow in the order of their names."""

DTYPES = (
    "float64",
    "float32",
    "tf32",
    "float16",
    "bfloat16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
)

NAMES = (
    "forward",
    "loss",
    "backward",
    "zero_grad",
    "optimizer_step",
    "training_step",
    "epoch",
    "evaluation",
    "training",
)
"""Benchmarks whose order is that of the work; others follow in the order of their names."""

FORMS = (
    "cpu",
    "functional",
    "in-place",
    "out",
    "for-loop",
    "foreach",
    "fused",
    "eager",
    "compile",
    "cuda-graph",
    "pageable",
    "pinned",
    "SGD",
    "momentum",
    "Nesterov",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adam",
    "Adamax",
    "AdamW",
)
"""Values of devices and parameters that people expect in this order: the plain way first."""

Key = tuple[int, float, str]


def key(dimension: str, value: object) -> Key:
    """Give the sort key of one value of a dimension: known order first, then size, then name."""
    if value in (None, ""):
        return (-1, 0.0, "")
    known = {"group": GROUPS, "name": NAMES, "dtype": DTYPES}.get(dimension, FORMS)
    if isinstance(value, str) and value in known:
        return (0, float(known.index(value)), "")
    if isinstance(value, bool):
        return (1, float(value), "")
    size = size_of(value)
    if size is not None:
        return (1, size, str(value))
    return (2, 0.0, re.sub(r"\d{1,15}", lambda found: found[0].zfill(15), str(value)))
