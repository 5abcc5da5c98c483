"""A CUDA device's queue as its clock sees it: events, a sleep that fills it, a flushed cache, graphs."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

from torchgauge.errors import TorchgaugeError
from torchgauge.measure.clock import Event, Queue
from torchgauge.measure.device.support import first_line
from torchgauge.measure.reasons import Unknown

PAIRS = 64
SLEEPS = (1e-3, 1e-3, 4e-3, 16e-3)
"""Of the device while the host hands over the pairs; the first time loads what it needs."""
DOCUMENTED = 0.5e-6
"""The resolution that cudaEventElapsedTime is documented with, in seconds; recent cards have a finer one."""


@functools.cache
def queue(device: str) -> Queue:
    """Give the queue of a CUDA device."""
    return _CudaQueue(device)


class _CudaQueue(Queue):
    """The current CUDA stream of a device."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._known: tuple[float, float] | None = None
        self._cycles_per_second: float | None = None
        self._flushed: torch.Tensor | None = None

    @property
    def event_resolution(self) -> float:
        return self._facts()[0]

    @property
    def event_overhead(self) -> float:
        return self._facts()[1]

    def event(self) -> Event:
        made: Event = torch.cuda.Event(enable_timing=True)
        return made

    def synchronize(self) -> None:
        torch.cuda.synchronize(self._device)

    def sleep(self, seconds: float) -> None:
        if self._cycles_per_second is None:
            self._cycles_per_second = self._measure_sleep()
        with torch.cuda.device(self._device):
            torch.cuda._sleep(int(seconds * self._cycles_per_second))

    def _measure_sleep(self) -> float:
        """Time a sleep of known cycles; twice, since the first one loads the kernel."""
        cycles, seconds = 1_000_000, 0.0
        for _ in range(2):
            begin, end = self.event(), self.event()
            with torch.cuda.device(self._device):
                begin.record()
                torch.cuda._sleep(cycles)
                end.record()
            end.synchronize()
            seconds = begin.elapsed_time(end) * 1e-3
        return cycles / seconds

    def flush(self) -> None:
        if self._flushed is None:
            size = getattr(torch.cuda.get_device_properties(self._device), "L2_cache_size", 0)
            if not size:
                raise Unknown("torch does not tell the size of the device's last cache")
            try:
                self._flushed = torch.empty(2 * size, dtype=torch.uint8, device=self._device)
            except torch.OutOfMemoryError:
                raise Unknown(f"no memory for the {2 * size} bytes that flush the cache") from None
        self._flushed.zero_()

    def capture(self, block: Callable[[], None]) -> Callable[[], None]:
        # torch.cuda.graph stays on its own stream when the capture fails: keep the one to go back to
        before = torch.cuda.current_stream(self._device)
        side = torch.cuda.Stream(self._device)
        graph = torch.cuda.CUDAGraph()
        pool = torch.cuda.graph_pool_handle()
        run = _Noted(block)
        why = None
        try:
            side.wait_stream(before)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of other streams, and of a capture that ends badly
                with torch.cuda.stream(side):
                    run()
                self.synchronize()
                with torch.cuda.graph(graph, pool=pool, stream=side):
                    run()
        except Exception as error:
            why = run.why or first_line(error)
        if why is not None:
            del graph
            torch.cuda.set_stream(before)
            self._give_back(pool)
            self._recover(side)
            raise Unknown(why)
        replay: Callable[[], None] = graph.replay
        return replay

    def _facts(self) -> tuple[float, float]:
        """Find out the events' step and what two of them are apart with nothing between, in seconds.

        All pairs lie behind one sleep, so that the device passes them without a gap.
        """
        if self._known is None:
            for sleep in SLEEPS:
                pairs = [(self.event(), self.event()) for _ in range(PAIRS)]
                self.synchronize()
                self.sleep(sleep)
                for begin, end in pairs:
                    begin.record()
                    end.record()
                starved = pairs[0][0].query()
                self.synchronize()
                if not starved:
                    break
            apart = sorted(begin.elapsed_time(end) * 1e-3 for begin, end in pairs)
            steps = [second - first for first, second in pairwise(apart) if second - first > 1e-9]
            self._known = min([DOCUMENTED, *steps]), apart[len(apart) // 4]
        return self._known

    def _give_back(self, pool: Any) -> None:
        """Have the allocator end what a failed capture left it in. Else it keeps the capture's memory, and
        all that is freed from then on, until the process ends (pytorch#180395, pytorch#190348).

        torch has no public function for it. It refuses to end what has ended: where the call raised but the
        capture itself could end, or where torch is mended. Then the pool is not ours to release either: a
        second release breaks the allocator for good.
        """
        index = self._device.index or 0
        with contextlib.suppress(Exception):
            torch._C._cuda_endAllocateToPool(index, pool)
            torch._C._cuda_releasePool(index, pool)
        torch.cuda.empty_cache()

    def _recover(self, side: torch.cuda.Stream) -> None:
        """Capture one random number: a capture that failed can leave torch's generator as if it still
        captured (pytorch#171263), and one that succeeds puts it right. Then see that the device works.

        Raises:
            TorchgaugeError: it does not.

        """
        before = torch.cuda.current_stream(self._device)
        number = torch.zeros(1, device=self._device)
        with contextlib.suppress(Exception), torch.cuda.graph(torch.cuda.CUDAGraph(), stream=side):
            number.uniform_()
        torch.cuda.set_stream(before)
        try:
            number.uniform_()
            self.synchronize()
        except Exception as error:
            raise TorchgaugeError(
                f"a CUDA graph that could not be captured left {self._device} unusable: {first_line(error)}"
            ) from None


class _Noted:
    """A block that notes what it raised: ending its capture then raises something else on top.

    Only the words are kept. The error would keep alive what the call had made, such as an autograd graph
    on the capture's stream, which the next call would go on with.
    """

    why: str | None = None

    def __init__(self, block: Callable[[], None]) -> None:
        self._block = block

    def __call__(self) -> None:
        try:
            self._block()
        except Exception as error:
            self.why = first_line(error)
            raise
