"""What a machine's A/A runs said of it, stored beside them.

The file is `aa_<machine key>.json`; of sides measured one after the other `aa_<machine key>_sequential.json`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from torchgauge.errors import TorchgaugeError

NOISE_SCHEMA = 1


class Noise(Struct, frozen=True, kw_only=True):
    """The A/A runs of one machine.

    `log_ratios` holds log(head / base) of each pair of processes, by case: all that floors need.
    """

    schema: int
    machine_key: str
    isolation: str = "paired"
    torchgauge: str
    finished: str
    runs: int
    alarms: int
    """Runs that named a case although nothing had changed."""
    case_seconds: float | None = None
    """What a case took in a pair, in the mean, without the start of the processes."""
    log_ratios: dict[str, list[float]]


def noise_path(results: Path, machine_key: str, isolation: str) -> Path:
    """Give the file in a folder of results. Each isolation has noise of its own."""
    kind = "" if isolation == "paired" else f"_{isolation}"
    return results / f"aa_{machine_key}{kind}.json"


def read_noise(path: Path) -> Noise:
    """Read such a file.

    Raises:
        TorchgaugeError: it can't be read, is damaged, or of a newer schema.

    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Noise)
    except OSError as error:
        raise TorchgaugeError(f"{path}: can't be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TorchgaugeError(f"{path}: no file of torchgauge aa: {error}; measure anew") from None
    if found.schema > NOISE_SCHEMA:
        raise TorchgaugeError(
            f"{path}: has schema {found.schema}; this torchgauge reads up to {NOISE_SCHEMA}: "
            "upgrade torchgauge"
        )
    return found
