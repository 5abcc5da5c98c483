"""What A/A runs said of this machine, kept for later comparisons."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from torchgauge import __version__
from torchgauge.analysis.gate import Wanted
from torchgauge.analysis.gate.noise import MachineNoise
from torchgauge.errors import TorchgaugeError
from torchgauge.files import replace
from torchgauge.record.noise import NOISE_SCHEMA, Noise, noise_path, read_noise
from torchgauge.record.schema import Environment


def keep_noise(noise: MachineNoise, results: Path) -> Path:
    """Store it in the folder of results; of cases that were not measured now, what was there stays.

    Raises:
        TorchgaugeError: it can't be written.

    """
    path = noise_path(results, noise.machine_key, noise.isolation)
    before: Mapping[str, list[float]] = {}
    case_seconds = noise.case_seconds
    with contextlib.suppress(TorchgaugeError):  # what can't be read is replaced
        stored = read_noise(path) if path.exists() else None
        before = stored.log_ratios if stored else {}
        if stored and 2 * len(noise.log_ratios) < len(before):  # what a few cases take is not what all do
            case_seconds = stored.case_seconds or case_seconds
    kept = Noise(
        schema=NOISE_SCHEMA,
        machine_key=noise.machine_key,
        isolation=noise.isolation,
        torchgauge=__version__,
        finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
        runs=noise.runs - noise.invalid,
        alarms=noise.alarms,
        case_seconds=case_seconds,
        log_ratios={**before, **{case: list(some) for case, some in noise.log_ratios.items()}},
    )
    replace(path, msgspec.json.encode(kept) + b"\n", "--results")
    return path


def known_floors(
    results: Path, environment: Environment | None, isolation: str, wanted: Wanted
) -> Mapping[str, float]:
    """Find the floors of this machine's cases, as shares; none where there were no such A/A runs of it.

    Raises:
        TorchgaugeError: the file that is there can't be read.

    """
    if environment is None:
        return {}
    path = noise_path(results, environment.machine_key, isolation)
    if not path.exists():
        return {}
    noise = read_noise(path)
    return {case: wanted.floor(some, noise.case_seconds) for case, some in noise.log_ratios.items()}
