"""The queue of a CUDA device, on a fake of torch.cuda."""

from __future__ import annotations

import contextlib
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
        monkeypatch.setattr(torch, "zeros", lambda *_, device: torch.ones(1))

    @contextlib.contextmanager
    def _on(self, stream: SimpleNamespace):
        before, self.stream = self.stream, stream.name
        yield
        self.stream = before

    @contextlib.contextmanager
    def _graph(self, graph: object, *, stream: SimpleNamespace):
        before, self.stream = self.stream, stream.name
        yield
        if self.fails and not self.failed:
            self.failed += 1
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nadvice")
        self.captured += 1
        self.stream = before

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
