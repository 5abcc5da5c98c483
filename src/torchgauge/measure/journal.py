"""The run file seen from the measuring side: what it holds already, and what is added to it."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from torchgauge.errors import TorchgaugeError
from torchgauge.estimate import Estimate, estimate, quantile
from torchgauge.measure.instruments import Observation
from torchgauge.pace import Paces, calm_samples
from torchgauge.record import (
    CEILING,
    Case,
    Config,
    Environment,
    Failure,
    Header,
    Measurement,
    RunWriter,
    Skip,
    Summary,
    Work,
    read,
)
from torchgauge.record.ending import PRIMARY_METRICS, ending, seconds_before


class Journal:
    """One run file being written, by this process, from its begin or from where it was left."""

    def __init__(
        self,
        path: Path,
        run_id: str,
        config: Config,
        environment: Environment,
        process: int,
        *,
        times: bool = True,
    ) -> None:
        self.path = path
        self._times = times
        self._process = process
        self._writer = RunWriter(path)
        self.seconds_before = 0.0
        """Wall time spent on the run before this process took it up."""
        self._held: set[tuple[str, int, int]] = set()
        self._samples: dict[tuple[str, int], list[tuple[list[float], list[float]]]] = defaultdict(list)
        self._paces = Paces()
        self.closed_cases: set[str] = set()
        """Cases that failed or were skipped: not to be measured again."""
        if self._writer.is_new:
            started = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._writer.append(
                Header(schema=1, id=run_id, started=started, environment=environment, config=config)
            )
        else:
            self._take_up(environment)

    def holds(self, case: Case, round_: int) -> bool:
        """Whether this round of the case is in the file already."""
        return (case.id, self._process, round_) in self._held

    def samples(self, case: Case) -> list[float]:
        """Give all primary samples of a case, process by process in the order in which they were taken."""
        processes = range(self._process + 1)
        parts = [part for process in processes for part in self._samples.get((case.id, process), [])]
        return [value for samples, _ in parts for value in samples]

    def estimate(self, case: Case, q: float) -> Estimate:
        """Estimate the case's headline from this process's rounds so far, the undisturbed ones if any."""
        rounds = self._samples[case.id, self._process]
        calm = [calm_samples(samples, paces, self.undisturbed) for samples, paces in rounds]
        return estimate([samples for samples in calm if samples] or [samples for samples, _ in rounds], q)

    @property
    def undisturbed(self) -> float | None:
        """What the pace's loop takes in this process when nothing disturbs it, in seconds."""
        return self._paces.undisturbed

    def note(self, case: Case, samples: list[float], paces: list[float]) -> None:
        """Take up a round's primary samples (they are written once the benchmark's own checks passed)."""
        self._samples[case.id, self._process].append((samples, paces))
        self._paces.add(paces)

    def measured(self, case: Case, round_: int, instrument: str, work: Work, seen: list[Observation]) -> None:
        """Write a visit's observations."""
        for one in seen:
            if instrument == CEILING:
                self._paces.add(one.paces)
            self._writer.append(
                Measurement(
                    case=case,
                    instrument=instrument,
                    metric=one.metric,
                    unit=one.unit,
                    method=one.method,
                    round=round_,
                    process=self._process,
                    samples=one.samples,
                    loops=one.loops,
                    summary=summarize(one.samples),
                    work=work,
                    conditions=one.conditions,
                    warnings=one.warnings,
                    parts=one.parts,
                    paces=one.paces,
                )
            )

    def failed(self, case: Case, stage: str, error: str, message: str) -> None:
        """Write a failure; the case is closed."""
        self.closed_cases.add(case.id)
        self._writer.append(Failure(case=case, stage=stage, error=error, message=message))

    def skipped(self, case: Case, reason: str) -> None:
        """Write a skip; the case is closed."""
        self.closed_cases.add(case.id)
        self._writer.append(Skip(case=case, reason=reason))

    def end(self, seconds: float, *, interrupted: bool) -> None:
        """Write the end line. `seconds` is the wall time since this process took up the file."""
        self._writer.append(ending(read(self.path), self.seconds_before + seconds, interrupted=interrupted))

    def close(self) -> None:
        """Release the file."""
        self._writer.close()

    def _take_up(self, environment: Environment) -> None:
        run = read(self.path)
        # counts don't depend on threads and flags, and under valgrind a processor seems to be another
        word = "fingerprint" if self._times else "machine_key"
        there, here = (getattr(one, word) for one in (run.header.environment, environment))
        if there != here:
            self._writer.close()
            raise TorchgaugeError(
                f"{self.path}: was measured in another environment ({word} {there}, here {here}): "
                "start a new run"
            )
        self.seconds_before = seconds_before(run)
        for line in run.ceilings:
            self._held.add((line.case.id, line.process, line.round))
            if line.process == self._process:
                self._paces.add(line.paces)
        for line in run.measurements:
            self._held.add((line.case.id, line.process, line.round))
            if line.metric in PRIMARY_METRICS:
                self._samples[line.case.id, line.process].append((line.samples, line.paces))
                if line.process == self._process:
                    self._paces.add(line.paces)
        self.closed_cases = {line.case.id for line in run.failures} | {line.case.id for line in run.skips}


def summarize(samples: list[float]) -> Summary:
    """Summarize the samples of one line."""
    return Summary(
        count=len(samples),
        min=min(samples),
        p05=quantile(samples, 0.05),
        median=quantile(samples, 0.5),
        mean=sum(samples) / len(samples),
        max=max(samples),
    )
