"""From pytest's options to the plugins of a run, checked before anything is measured."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from torchgauge import __version__
from torchgauge.errors import TorchgaugeError
from torchgauge.measure import cases, choice, device, settings, threads
from torchgauge.measure.budget import BUDGETS
from torchgauge.measure.collect import Collection
from torchgauge.measure.rounds import Rounds
from torchgauge.measure.schedule import INSTRUMENTS
from torchgauge.measure.worker import Worker
from torchgauge.record import Config, run_file_name


def plugins(
    config: pytest.Config, worker: Worker | None, refuse: Callable[[str], NoReturn]
) -> tuple[Collection, Rounds]:
    """Resolve devices, dtypes, budget and file, and make the plugins that collect and measure.

    Raises:
        TorchgaugeError: an option names what is not there.

    """
    option = config.getoption
    budget = BUDGETS[option("gauge_budget")]
    devices = device.resolve(option("gauge_device"))
    dtypes = cases.choose_dtypes(option("gauge_dtype"), devices)
    names = list(dict.fromkeys(name.strip() for name in option("gauge_instruments").split(",")))
    for name in names:
        if name not in INSTRUMENTS:
            raise TorchgaugeError(f"unknown instrument {name!r}; choose from {', '.join(INSTRUMENTS)}")
    silent = {name: choice.lacking(name, devices) for name in names}
    left_out = {name: _joined(lacks) for name, lacks in silent.items() if lacks}
    if all(len(silent[name]) == len(devices) for name in names):
        name = names[0]
        raise TorchgaugeError(f"{name} can't be measured here: {left_out[name]}")
    if worker is None and len(names) > 1:
        raise TorchgaugeError("pytest itself has one process, for one instrument: use torchgauge run")
    asked = option("gauge_rounds")
    count = budget.rounds if asked is None else asked
    if count < 1:
        raise TorchgaugeError(f"{count} rounds can't be measured; say --gauge-rounds 1 or more")
    path = option("gauge_file")
    if path is None:
        folder = Path(option("gauge_results"))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TorchgaugeError(
                f"{folder}: can't be written: {error.strerror}; choose another with --gauge-results DIR"
            ) from None
        run_id, name = run_file_name(datetime.now(UTC), platform.node())
        path = folder / name
    else:
        path = Path(path)
        run_id = path.stem.rpartition("_")[2]
    seed = option("gauge_seed")
    asked_threads = option("gauge_threads")
    count_of_threads = None if asked_threads is None else threads.parse(asked_threads)
    if count_of_threads is not None:
        settings.use_threads(count_of_threads)
    chosen = Config(
        torchgauge=__version__,
        paths=[str(argument) for argument in config.args],
        devices=devices,
        dtypes=dtypes,
        keyword=option("keyword") or None,
        budget=budget.name,
        instruments=names,
        rounds=count,
        processes=option("gauge_processes"),
        seed=secrets.randbits(32) if seed is None else seed,
        threads=count_of_threads,
        ceilings=not option("gauge_no_ceilings"),
        pytest_args=list(worker.pytest_args) if worker is not None else [],
        left_out=left_out,
    )
    collection = Collection(chosen.paths, cases.Selection(devices, dtypes, budget), worker, refuse)
    return collection, Rounds(
        path=path,
        run_id=run_id,
        config=chosen,
        collection=collection,
        process=option("gauge_process"),
        worker=worker,
        refuse=refuse,
    )


def _joined(lacks: dict[str, str]) -> str:
    """Put what devices lack into one line, each reason once."""
    by_reason: dict[str, list[str]] = {}
    for place, why in lacks.items():
        by_reason.setdefault(why, []).append(place)
    return "; ".join(f"{', '.join(places)}: {why}" for why, places in by_reason.items())
