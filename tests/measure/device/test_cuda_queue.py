"""The queue of a CUDA device, on a fake of torch.cuda."""

from __future__ import annotations

import contextlib
import functools
import gc
import weakref
from types import SimpleNamespace

import pytest
import torch

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import device
from torchgauge.measure.reasons import Unknown


class FakeCuda:
    """Streams and graphs as torch.cuda has them: a capture that fails stays on its own stream."""

    def __init__(self, *, fails: bool, broken: bool = False) -> None:
        self.stream = "default"
        self.fails = fails
        self.broken = broken
        """Whether a failed capture leaves a device that does not work any more."""
        self.failed = 0
        self.ran_on: list[str] = []
        self.captured = 0
        self.ended = False
        """Whether the capture that failed had ended: because only the call raised, or torch is mended."""
        self.given_back: list[tuple[str, object, object]] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        side = SimpleNamespace(name="side", wait_stream=lambda other: None)
        cuda = torch.cuda
        monkeypatch.setattr(cuda, "Stream", lambda place: side)
        monkeypatch.setattr(cuda, "current_stream", lambda place: self.stream)
        monkeypatch.setattr(cuda, "set_stream", lambda stream: setattr(self, "stream", stream))
        monkeypatch.setattr(cuda, "stream", self._on)
        monkeypatch.setattr(cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: None))
        monkeypatch.setattr(cuda, "graph", self._graph)
        monkeypatch.setattr(cuda, "synchronize", self._synchronize)
        monkeypatch.setattr(cuda, "graph_pool_handle", lambda: (0, 7))
        for name in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
            monkeypatch.setattr(torch._C, name, functools.partial(self._give_back, name), raising=False)
        monkeypatch.setattr(torch, "zeros", lambda *_, device: torch.ones(1))

    @contextlib.contextmanager
    def _on(self, stream: SimpleNamespace):
        before, self.stream = self.stream, stream.name
        yield
        self.stream = before

    @contextlib.contextmanager
    def _graph(self, graph: object, *, stream: SimpleNamespace, pool: object = None):
        before, self.stream = self.stream, stream.name
        with contextlib.suppress(ValueError):
            yield
        if self.fails and not self.failed:
            self.failed += 1
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nadvice")
        self.captured += 1
        self.stream = before

    def _give_back(self, name: str, index: int, pool: object) -> None:
        if self.ended and name == "_cuda_endAllocateToPool":
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.given_back.append((name, index, pool))

    def _synchronize(self, place: object) -> None:
        if self.broken and self.failed:
            raise RuntimeError("Offset increment outside graph capture encountered unexpectedly.")


@pytest.fixture
def cuda_queue():
    device.queue.cache_clear()
    yield lambda: device.queue("cuda:0")
    device.queue.cache_clear()


def test_a_block_is_captured_on_a_stream_of_its_own_after_a_run_on_it(monkeypatch, cuda_queue) -> None:
    cuda = FakeCuda(fails=False)
    cuda.install(monkeypatch)
    cuda_queue().capture(lambda: cuda.ran_on.append(cuda.stream))
    assert cuda.ran_on == ["side", "side"]
    assert (cuda.captured, cuda.stream) == (1, "default")


def test_after_a_capture_that_failed_the_stream_is_the_old_one_and_the_generator_is_put_right(
    monkeypatch, cuda_queue
) -> None:
    cuda = FakeCuda(fails=True)
    cuda.install(monkeypatch)
    with pytest.raises(Unknown, match=r"^CUDA error: operation not permitted when stream is capturing$"):
        cuda_queue().capture(lambda: None)
    assert cuda.stream == "default"
    assert cuda.captured == 1  # of a random number, which ends what the other left open


def test_after_a_capture_that_failed_the_allocator_gives_its_memory_back(monkeypatch, cuda_queue) -> None:
    cuda = FakeCuda(fails=True)
    cuda.install(monkeypatch)
    with pytest.raises(Unknown):
        cuda_queue().capture(lambda: None)
    assert cuda.given_back == [("_cuda_endAllocateToPool", 0, (0, 7)), ("_cuda_releasePool", 0, (0, 7))]


def test_the_memory_of_a_capture_that_had_ended_is_not_released_twice(monkeypatch, cuda_queue) -> None:
    cuda = FakeCuda(fails=True)
    cuda.install(monkeypatch)
    cuda.ended = True
    with pytest.raises(Unknown):
        cuda_queue().capture(lambda: None)
    assert cuda.given_back == []


def test_what_a_block_raised_is_the_reason_and_not_how_its_capture_ended(monkeypatch, cuda_queue) -> None:
    cuda = FakeCuda(fails=True)
    cuda.install(monkeypatch)
    calls, alive = [], []

    class Made:
        """What a call has made when it fails; an autograd graph, say."""

    def block() -> None:
        made = Made()
        alive.append(weakref.ref(made))
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("not capturable\nmore")

    gc.disable()
    try:
        with pytest.raises(Unknown, match=r"^not capturable$") as caught:
            cuda_queue().capture(block)
        assert caught.value.__context__ is None
        assert [one() for one in alive] == [None, None]  # without a collection of cycles
    finally:
        gc.enable()


def test_a_device_that_a_failed_capture_broke_is_an_error_and_no_reason_to_go_on(
    monkeypatch, cuda_queue
) -> None:
    cuda = FakeCuda(fails=True, broken=True)
    cuda.install(monkeypatch)
    with pytest.raises(TorchgaugeError, match="left cuda:0 unusable: Offset increment"):
        cuda_queue().capture(lambda: None)


def test_the_flush_writes_twice_the_size_of_the_cache_and_keeps_its_buffer(monkeypatch, cuda_queue) -> None:
    made = []
    empty = torch.empty
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: SimpleNamespace(L2_cache_size=50))
    monkeypatch.setattr(torch, "empty", lambda size, **_: made.append(empty(size)) or made[-1])
    queue = cuda_queue()
    queue.flush()
    made[0].fill_(1.0)
    queue.flush()
    assert [len(one) for one in made] == [100]
    assert not made[0].any()


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        (SimpleNamespace(), "does not tell the size"),
        (SimpleNamespace(L2_cache_size=0), "does not tell the size"),
        (SimpleNamespace(L2_cache_size=50), "no memory for the 100 bytes"),
    ],
)
def test_a_cache_that_can_not_be_flushed_says_why(monkeypatch, cuda_queue, properties, why: str) -> None:
    def empty(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: properties)
    monkeypatch.setattr(torch, "empty", empty)
    with pytest.raises(Unknown, match=why):
        cuda_queue().flush()


class Passes:
    """Events that a device passes at set times; `pairs` come out of the queue in this order, in ms."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, apart: list[float], starved: list[bool]) -> None:
        self.sleeps: list[int] = []
        self._apart, self._starved, self._made = apart, starved, 0
        cuda = torch.cuda
        monkeypatch.setattr(cuda, "Event", self._event)
        monkeypatch.setattr(cuda, "synchronize", lambda place: None)
        monkeypatch.setattr(cuda, "device", lambda place: contextlib.nullcontext())
        monkeypatch.setattr(cuda, "_sleep", self.sleeps.append)

    def _event(self, *, enable_timing: bool) -> SimpleNamespace:
        number, self._made = self._made, self._made + 1
        return SimpleNamespace(
            record=lambda: None,
            synchronize=lambda: None,
            query=lambda: self._starved.pop(0),
            elapsed_time=lambda end: self._apart[number // 2 % len(self._apart)],
        )


def test_the_step_of_events_is_the_least_difference_and_their_cost_what_they_are_apart(
    monkeypatch, cuda_queue
) -> None:
    passes = Passes(monkeypatch, [1.216e-3, 1.248e-3, 1.248e-3, 1.312e-3], [False])
    queue = cuda_queue()
    assert queue.event_resolution == pytest.approx(32e-9)
    assert queue.event_overhead == pytest.approx(1.248e-6)
    assert len(passes.sleeps) == 3  # two of them to find out how long a sleep is


def test_events_that_the_host_handed_over_too_late_are_tried_again_behind_a_longer_sleep(
    monkeypatch, cuda_queue
) -> None:
    passes = Passes(monkeypatch, [1.2e-3], [True, True, False])
    assert cuda_queue().event_overhead == pytest.approx(1.2e-6)
    lengths = passes.sleeps[2:]
    assert len(lengths) == 3
    assert lengths[2] == pytest.approx(4 * lengths[0], rel=0.01)


def test_events_that_are_all_as_far_apart_have_the_step_that_is_documented(monkeypatch, cuda_queue) -> None:
    Passes(monkeypatch, [1.2e-3], [False])
    assert cuda_queue().event_resolution == 0.5e-6
