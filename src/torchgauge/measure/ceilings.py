"""What a device can do at the most: measured in the same run, so that its cases can be held against it.

torchgauge.measure.trials has what is measured; the visits are those of any case, by the same sampler.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from torchgauge.estimate import estimate, headline_quantile, quantile
from torchgauge.measure import device as devices
from torchgauge.measure import settings
from torchgauge.measure.instruments import Instrument, Observation, Visit
from torchgauge.measure.instruments.time import Time
from torchgauge.measure.journal import Journal
from torchgauge.measure.schedule import order
from torchgauge.measure.trials import Trial, trials
from torchgauge.pace import Paces, calm_samples, is_disturbed
from torchgauge.record import CEILING, Case
from torchgauge.record.ending import PRIMARY_METRICS
from torchgauge.record.schema import Scalar

ROUNDS = 5
"""Visits to each ceiling: clusters of its interval, which fewer would make wide."""
LEAST_ROUNDS = 3
LATE = 1.5
"""Past so many times the seconds meant for all, no further round is begun."""
PATIENCE = 3.0
"""A visit waits for the machine to be undisturbed for so many times its share."""
MORE_ROUNDS = 8
"""A ceiling that was disturbed in all rounds is visited again, so many times at the most."""
MORE_PATIENCE = 0.15
"""Seconds for which such a visit waits."""
SECONDS = 2.5


@dataclass(frozen=True)
class Ceiling:
    """A rate or a cost that was measured, with its 95 % interval (None from one round).

    `unit` is "B/s", "FLOP/s" or "s"; for a rate `low` is the slow end, for a cost the short one.
    """

    name: str
    """"copy", "read", "write", "update", "matmul", "operator", "launch", "to_device", "from_device"."""
    device: str
    dtype: str | None
    params: dict[str, Scalar]
    """`size`: bytes of the working set or of the copy; `n`: a matrix's side; `memory`: pinned, pageable."""
    metric: str
    unit: str
    value: float
    low: float | None
    high: float | None
    reached: float
    """The fastest round alone: what other work on the machine took least from."""
    warnings: list[str] = field(default_factory=list)


def measure(
    device: str,
    dtypes: Sequence[str],
    seconds: float = SECONDS,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
    instrument: Instrument | None = None,
) -> list[Ceiling]:
    """Measure the ceilings of a device, without a run file.

    Args:
        device: a torch device string.
        dtypes: those whose products are measured, as torch names them, and tf32; others are passed over.
        seconds: for all of them; setting up is not in it.
        rounds: visits to each, spread over the time; two or more for an interval.
        seed: of the order of the visits.
        instrument: looks at each; None for the time.

    Returns:
        One for each ceiling and metric; what the device can't do is left out.

    """
    seen: dict[tuple[str, str], list[tuple[Trial, Observation]]] = defaultdict(list)
    for visited in visits(trials(device, dtypes), seconds, rounds, seed, instrument or Time()):
        if visited.error is not None and devices.unsupported(visited.error) is None:
            raise visited.error
        for one in visited.seen:
            seen[visited.trial.case.id, one.metric].append((visited.trial, one))
    paces = Paces([pace for pairs in seen.values() for _, one in pairs for pace in one.paces])
    return [_ceiling(pairs, paces.undisturbed) for pairs in seen.values()]


def into(
    journal: Journal,
    cases: Iterable[Case],
    seconds: float,
    seed: int,
    instrument: Instrument,
    note: Callable[[Case], None],
) -> None:
    """Measure the ceilings of a run's cases and write them; what the file holds is not measured again.

    Args:
        journal: the run file.
        cases: all of the run; their devices and dtypes are measured.
        seconds: for all ceilings together.
        seed: of the order of the visits.
        instrument: looks at each.
        note: told of each ceiling before its visit.

    """
    dtypes: dict[str, dict[str, None]] = {}
    for case in cases:
        dtypes.setdefault(case.device, {}).update({case.dtype: None} if case.dtype else {})
    for device, names in dtypes.items():
        found = [trial for trial in trials(device, list(names)) if trial.case.id not in journal.closed_cases]
        if all(journal.holds(trial.case, LEAST_ROUNDS - 1) for trial in found):
            continue
        for visited in visits(found, seconds / len(dtypes), ROUNDS, seed, instrument, journal.holds, note):
            case = visited.trial.case
            error = visited.error
            if error is None:
                journal.measured(case, visited.round, CEILING, visited.trial.work, visited.seen)
            elif reason := devices.unsupported(error):
                journal.skipped(case, reason)
            else:
                journal.failed(case, "measure", type(error).__name__, devices.first_line(error))
        devices.release(device)


@dataclass(frozen=True)
class Visited:
    """One visit to a trial: what was seen, or the error that it raised."""

    trial: Trial
    round: int
    seen: list[Observation] = field(default_factory=list)
    error: Exception | None = None


def visits(
    found: Sequence[Trial],
    seconds: float,
    rounds: int,
    seed: int,
    instrument: Instrument,
    held: Callable[[Case, int], bool] = lambda *_: False,
    note: Callable[[Case], None] = lambda _: None,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Visited]:
    """Visit each trial once a round, in an order of its own; one that raises is not visited again.

    Those that were disturbed in all rounds are then visited until they are not, for at most the same time
    again: what a device can do at the most is not seen while a neighbour takes from it.

    Args:
        found: what is measured.
        seconds: for all visits together.
        rounds: visits to each.
        seed: of their order.
        instrument: looks at each.
        held: tells that a visit was made before.
        note: told of each trial before its visit.
        now: a clock in seconds: rounds are left out where they take much longer than they should.

    """
    tour = _Tour(found, seconds / max(1, len(found) * rounds), seed, instrument, held, note)
    begin = now()
    for round_ in range(rounds):
        if round_ >= LEAST_ROUNDS and now() - begin > LATE * seconds:  # a machine busy with other things
            return
        yield from tour.turn(round_, tour.left, PATIENCE * tour.share)
    until = now() + seconds
    for round_ in range(rounds, rounds + MORE_ROUNDS):
        if not (disturbed := tour.disturbed()) or now() > until:
            return
        yield from tour.turn(round_, disturbed, MORE_PATIENCE)


class _Tour:
    """Goes round the trials, and remembers how fast the machine was at each."""

    def __init__(
        self,
        found: Sequence[Trial],
        share: float,
        seed: int,
        instrument: Instrument,
        held: Callable[[Case, int], bool],
        note: Callable[[Case], None],
    ) -> None:
        self.left = list(found)
        self.share = share
        self._seed = seed
        self._instrument = instrument
        self._held = held
        self._note = note
        self._paces: dict[str, list[float]] = {}
        self._all_paces = Paces()

    def turn(self, round_: int, trials: Sequence[Trial], patience: float) -> Iterator[Visited]:
        """Visit each once; one that raises is left out from then on."""
        for trial in order(trials, self._seed, 0, round_):
            case = trial.case
            if self._held(case, round_):
                continue
            self._note(case)
            visit = Visit(
                case.id,
                case.device if trial.queued else "cpu",
                first=case.id not in self._paces,
                seconds=self.share,
                patience=patience,
                undisturbed=self._all_paces.undisturbed,
            )
            try:
                seen = _visit(trial, self._instrument, visit)
            except Exception as error:
                self.left.remove(trial)
                yield Visited(trial, round_, error=error)
            else:
                self._paces.setdefault(case.id, []).extend(seen[0].paces)
                self._all_paces.add(seen[0].paces)
                yield Visited(trial, round_, seen)

    def disturbed(self) -> list[Trial]:
        """Give those that were slowed down around every block."""
        undisturbed = self._all_paces.undisturbed
        return [
            trial
            for trial in self.left
            if (paces := self._paces.get(trial.case.id))
            and all(is_disturbed(pace, undisturbed) for pace in paces)
        ]


def _visit(trial: Trial, instrument: Instrument, visit: Visit) -> list[Observation]:
    case = trial.case
    with (
        devices.current(case.device),
        settings.kept(),
        settings.precision(case.device, case.dtype),
    ):
        _, found = instrument.observe(trial.make(), visit)
    return [
        replace(one, warnings=[*one.warnings, *trial.warnings]) for one in found if one.metric != "first_call"
    ]


def _ceiling(pairs: Sequence[tuple[Trial, Observation]], undisturbed: float | None) -> Ceiling:
    trial, first = pairs[0]
    case = trial.case
    leading = headline_quantile(case.device, first.unit)
    calm = [calm_samples(one.samples, one.paces, undisturbed) for _, one in pairs]
    clusters = [samples for samples in calm if samples]
    found = estimate(clusters if len(clusters) > 1 else [one.samples for _, one in pairs], leading)
    reached = min(quantile(one.samples, leading) for _, one in pairs)
    amount = trial.work.flop or trial.work.bytes
    unit = "s"
    if amount and first.metric in PRIMARY_METRICS:
        unit, found, reached = "FLOP/s" if trial.work.flop else "B/s", found.rate(amount), amount / reached
    return Ceiling(
        name=case.name,
        device=case.device,
        dtype=case.dtype,
        params=dict(case.params),
        metric=first.metric,
        unit=unit,
        value=found.value,
        low=found.low,
        high=found.high,
        reached=reached,
        warnings=list(dict.fromkeys(sentence for _, one in pairs for sentence in one.warnings)),
    )
