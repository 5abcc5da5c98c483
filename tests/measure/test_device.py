"""Devices: which are meant, what they can do, which clock times them."""

from __future__ import annotations

import contextlib
import warnings
from types import SimpleNamespace

import pytest
import torch

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import device
from torchgauge.measure.clock import EventClock, HostClock
from torchgauge.measure.reasons import Unknown

CPU = ["cpu"]
ONE = ["cpu", "cuda:0"]
TWO = ["cpu", "cuda:0", "cuda:1"]


@pytest.mark.parametrize(
    ("spec", "present", "chosen"),
    [
        ("auto", CPU, ["cpu"]),
        ("auto", TWO, ["cuda:0"]),
        ("auto", ["cpu", "mps:0"], ["mps:0"]),
        ("all", CPU, ["cpu"]),
        ("all", TWO, TWO),
        ("cpu", TWO, ["cpu"]),
        ("cuda", TWO, ["cuda:0"]),
        ("cuda:1", TWO, ["cuda:1"]),
        ("cpu,cuda:1", TWO, ["cpu", "cuda:1"]),
        (" cuda:1 , cpu ", TWO, ["cuda:1", "cpu"]),
        ("cuda,cuda:0,auto,all", ONE, ["cuda:0", "cpu"]),
        ("xpu", ["cpu", "xpu:0"], ["xpu:0"]),
    ],
)
def test_a_device_option_names_devices_that_are_there(spec, present, chosen) -> None:
    assert device.resolve(spec, present) == chosen


@pytest.mark.parametrize("spec", ["gpu", "", "cpu,", "cuda:", "cuda:x", "CUDA", "cuda:0:1", "al"])
def test_an_unknown_device_is_refused_in_one_line_that_names_those_there(spec: str) -> None:
    with pytest.raises(TorchgaugeError, match=r"unknown device .*cpu, cuda:0") as raised:
        device.resolve(spec, ONE)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("spec", ["cuda:7", "xpu", "mps", "cpu,cuda:2", "cpu:1"])
def test_an_absent_device_is_refused_in_one_line_that_names_those_there(spec: str) -> None:
    with pytest.raises(TorchgaugeError, match=r"is not there: .*cpu, cuda:0, cuda:1") as raised:
        device.resolve(spec, TWO)
    assert "\n" not in str(raised.value)


def test_the_cpu_is_always_there_and_comes_first() -> None:
    assert device.available()[0] == "cpu"


@pytest.mark.parametrize("name", device.DTYPES)
def test_every_dtype_that_is_offered_is_one_of_torchs(name: str) -> None:
    assert isinstance(device.torch_dtype(name), torch.dtype)


@pytest.mark.parametrize("name", ["float31", "nn", "Tensor", ""])
def test_what_is_no_dtype_is_refused(name: str) -> None:
    with pytest.raises(TorchgaugeError, match=r"unknown dtype"):
        device.torch_dtype(name)


def test_the_cpu_does_float32_and_has_no_tf32() -> None:
    assert device.why_not("cpu", "float32") is None
    assert "tf32" in str(device.why_not("cpu", "tf32"))


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.matmul(torch.ones(2, 2, dtype=torch.bool), torch.ones(2, 2, dtype=torch.bool)),
        lambda: torch.randn(2, dtype=torch.int32),
        lambda: torch.linalg.inv(torch.ones(2, 2, dtype=torch.float16)),
    ],
)
def test_what_torch_lacks_is_told_from_a_mistake_by_its_words(call) -> None:
    with pytest.raises(RuntimeError) as raised:
        call()
    reason = device.unsupported(raised.value)
    assert reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("cumsum_cuda_kernel does not have a deterministic implementation, but you set …"),
        RuntimeError("Deterministic behavior was enabled …, but this operation is not deterministic because"),
        RuntimeError("self.size(1) needs to be greater than 16 and a multiple of 8, but got 8191"),
        RuntimeError(
            "`fused=True` requires all the params to be floating point Tensors of supported devices"
        ),
        TypeError(
            "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
        ),
    ],
)
def test_what_torch_says_on_other_devices_is_a_reason_to_skip(error: Exception) -> None:
    assert device.unsupported(error)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has …"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."),
        MemoryError("Unable to allocate 7.28 TiB for an array"),
    ],
)
def test_running_out_of_memory_is_a_reason_to_skip(error: Exception) -> None:
    assert str(device.unsupported(error)).startswith("out of memory: ")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"),
        RuntimeError("The size of tensor a (3) must match the size of tensor b (2)"),
        ValueError("loss is 3.2"),
        AssertionError("not implemented for 'Int'"),
        ZeroDivisionError("not supported"),
        TypeError("'tuple' object does not support item assignment"),
        TypeError("'<' not supported between instances of 'str' and 'int'"),
        ValueError("this file is not supported"),
        RuntimeError("the batch must be a multiple of 8"),
        TypeError("unsupported operand type(s) for +: 'int' and 'str'"),
    ],
)
def test_a_mistake_is_never_a_reason_to_skip(error: Exception) -> None:
    assert device.unsupported(error) is None


def test_an_error_without_words_is_named_by_its_type() -> None:
    assert device.first_line(ValueError()) == "ValueError"
    assert device.first_line(ValueError("\n\n  one\ntwo")) == "one"
    assert len(device.first_line(ValueError("x" * 1000))) == 300


def test_cpu_work_is_timed_by_the_host_without_synchronization() -> None:
    clock = device.clock("cpu", synchronizes=False)
    assert isinstance(clock, HostClock)
    assert clock.method == "host-clock"


def test_cuda_work_is_timed_by_events_with_a_filled_queue() -> None:
    assert isinstance(device.clock("cuda:1", synchronizes=False), EventClock)


@pytest.mark.parametrize(("place", "synchronizes"), [("cuda:0", True), ("xpu:0", False), ("mps:0", False)])
def test_a_case_that_synchronizes_and_a_device_without_a_sleep_are_timed_by_the_host(
    place: str, synchronizes: bool
) -> None:
    clock = device.clock(place, synchronizes=synchronizes)
    assert isinstance(clock, HostClock)
    assert clock.method == "host-clock-synchronized"


def test_the_host_clock_on_a_device_synchronizes_that_device(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    device.clock("cuda:1", synchronizes=True).time(lambda: waited.append("call"))
    assert waited == ["cuda:1", "call", "cuda:1"]


def test_nothing_waits_for_the_cpu_and_its_freed_memory_goes_back_to_the_system(monkeypatch) -> None:
    trimmed = []
    monkeypatch.setattr(device, "_malloc_trim", trimmed.append)
    assert device.synchronizer("cpu") is None
    device.release("cpu")
    assert trimmed == [0]


def test_a_cuda_device_is_the_current_one_meanwhile_and_the_cpu_needs_nothing(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(torch.cuda, "device", lambda place: asked.append(place) or contextlib.nullcontext())
    with device.current("cuda:1"), device.current("cpu"):
        pass
    assert asked == ["cuda:1"]


def test_cached_memory_goes_back_to_the_device_it_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    released = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: released.append("cuda"))
    device.release("cuda:0")
    assert released == ["cuda"]


def test_whether_a_call_synchronizes_is_told_from_torchs_own_warning(monkeypatch) -> None:
    modes = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    assert device.synchronizes(
        "cuda:0", lambda: warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
    )
    assert not device.synchronizes("cuda:0", lambda: warnings.warn("something else", stacklevel=1))
    assert modes == ["warn", 0, "warn", 0]


def test_the_debug_mode_is_put_back_after_a_call_that_raises(monkeypatch) -> None:
    modes = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with pytest.raises(ZeroDivisionError):
        device.synchronizes("cuda:0", lambda: 1 / 0)
    assert modes == ["warn", 1]


def test_a_call_on_the_cpu_never_synchronizes_and_is_not_made_to_find_out() -> None:
    made = []
    assert not device.synchronizes("cpu", lambda: made.append(1))
    assert made == []


@pytest.mark.parametrize("place", ["cpu", "mps:0"])
def test_a_device_that_tells_nothing_of_itself_gives_its_kind_and_no_zeros(place: str) -> None:
    facts = device.describe(place)
    assert facts.name == place.partition(":")[0]
    assert facts.memory_bytes is None
    assert facts.uuid is None


# The queue of a CUDA device, on a fake of torch.cuda


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
