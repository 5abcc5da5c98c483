"""What a machine's A/A runs said of it, stored beside them: `aa_<machine key>.json`."""

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
    torchgauge: str
    finished: str
    runs: int
    alarms: int
    """Runs that named a case although nothing had changed."""
    log_ratios: dict[str, list[float]]


def noise_path(results: Path, machine_key: str) -> Path:
    """Give the file in a folder of results."""
    return results / f"aa_{machine_key}.json"


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
