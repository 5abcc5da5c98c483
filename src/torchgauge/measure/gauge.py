"""The `gauge` fixture's object: what a benchmark says of its work, and its one measured line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torchgauge.errors import TorchgaugeError
from torchgauge.measure.instruments import Instrument, Observation, Visit
from torchgauge.measure.subject import Subject
from torchgauge.record.schema import MOST, Work


class GaugeUseError(TorchgaugeError):
    """`gauge(...)` was called twice, never, or in vain."""


class Gauge:
    """States the work of one call and measures it.

    Without an instrument (a plain pytest run) the measured line calls its function once.
    """

    def __init__(
        self,
        instrument: Instrument | None = None,
        visit: Visit | None = None,
        measured: Callable[[list[Observation]], None] = lambda _: None,
    ) -> None:
        self._instrument = instrument
        self._visit = visit
        self._measured = measured
        self._prepare: Callable[[], tuple[Any, ...]] | None = None
        self._each: Literal["block", "call"] = "block"
        self.stated = Work()
        self.observations: list[Observation] = []
        self.stage = "setup"

    def work(
        self, *, flop: float | None = None, bytes: float | None = None, items: float | None = None
    ) -> None:
        """State what one call must do at the least.

        Args:
            flop: floating-point operations; a multiply-add counts as two.
            bytes: bytes read from and written to memory.
            items: elements, samples, batches: whatever a rate is wanted for.

        Raises:
            GaugeUseError: a number is negative, over 1e30 or none.

        """
        for name, value in (("flop", flop), ("bytes", bytes), ("items", items)):
            if value is not None and not 0 <= value <= MOST:
                raise GaugeUseError(f"gauge.work({name}={value}): say a number from 0 to {MOST:.0e}")
        self.stated = Work(
            flop=None if flop is None else float(flop),
            bytes=None if bytes is None else float(bytes),
            items=None if items is None else float(items),
        )

    def prepare(self, make: Callable[[], tuple[Any, ...]], each: Literal["block", "call"] = "block") -> None:
        """Have `make` build the positional arguments anew for each block or each call, untimed.

        Raises:
            GaugeUseError: `each` is neither "block" nor "call".

        """
        if each not in ("block", "call"):
            raise GaugeUseError(f"gauge.prepare: each={each!r}; say 'block' or 'call'")
        self._prepare, self._each = make, each

    def __call__(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Measure `fn(*args, **kwargs)`.

        Returns:
            The result of the first call, so that a benchmark can check it; where that holds an autograd
            graph, of one more call after the last that was measured (see `subject.kept`).

        Raises:
            GaugeUseError: called a second time, or with arguments where `prepare` makes them.

        """
        if self.stage != "setup":
            raise GaugeUseError(
                "gauge(...) was called twice; one benchmark measures one line: write two benchmarks"
            )
        if self._prepare is not None and args:
            raise GaugeUseError(
                "gauge(fn, …) got arguments, but gauge.prepare makes them; pass them in one place"
            )
        self.stage = "measure"
        subject = Subject(fn, args, kwargs, self._prepare, self._each)
        if self._instrument is None or self._visit is None:
            result = subject.call()()
        else:
            result, self.observations = self._instrument.observe(subject, self._visit)
            self._measured(self.observations)
        self.stage = "check"
        return result

    def finish(self) -> None:
        """Check that something was measured.

        Raises:
            GaugeUseError: the benchmark never called `gauge(...)`, or went on after it had raised.

        """
        if self.stage == "setup":
            raise GaugeUseError("gauge(...) was never called; add the measured line: gauge(fn, *args)")
        if self.stage == "measure":
            raise GaugeUseError("gauge(...) raised and the benchmark went on: there is nothing to record")
