"""The only file that knows devices: what there is, what it can do, and how it is timed."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, supported_activities

from torchgauge.errors import TorchgaugeError
from torchgauge.measure.clock import Clock, Event, EventClock, HostClock, Queue
from torchgauge.measure.reasons import Unknown

_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
KINDS = ("cpu", "cuda", "xpu", "mps")
DTYPES = (
    "float32", "float64", "bfloat16", "float16", "tf32",
    "int8", "uint8", "int16", "int32", "int64", "bool", "complex64", "complex128",
)  # fmt: skip

# What torch says when a kernel, a dtype or a feature is not there. Only the words tell: the same
# types of exception are raised for mistakes.
_UNSUPPORTED = re.compile(
    r"not implemented for '|Could not run 'aten::|not (yet |currently )?supported|"
    r"(does not|doesn't|do not) (currently )?support|no kernel image is available|"
    r"requires compute capability|could not infer output dtype|unsupported (dtype|scalar ?type|device)|"
    r"does not have a deterministic implementation|is not deterministic because|"
    r"size\(\d\) needs to be .* multiple of \d|requires all the params to be|"
    r"not compiled with|expected (m1|mat1|self) .* to have the same dtype .* but got",
    re.IGNORECASE,
)
# What Python says of a mistake in such words.
_MISTAKE = re.compile(r"object does not support|not supported between instances")
_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


@dataclass(frozen=True)
class DeviceFacts:
    """What torch knows of an accelerator."""

    name: str
    uuid: str | None
    memory_bytes: int | None
    multiprocessors: int | None
    capability: str | None


def available() -> list[str]:
    """List the devices of this machine as torch names them, the CPU first."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        found += [f"xpu:{index}" for index in range(torch.xpu.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps:0")
    return found


def resolve(spec: str, present: list[str] | None = None) -> list[str]:
    """Turn `auto`, `all`, `cpu`, `cuda`, `cuda:1` or a comma-separated list of them into devices.

    Raises:
        TorchgaugeError: a name that is no device, or a device that is not there.

    """
    present = available() if present is None else present
    chosen: list[str] = []
    for word in (part.strip() for part in spec.split(",")):
        if word == "auto":
            found = [present[1] if len(present) > 1 else "cpu"]
        elif word == "all":
            found = present
        else:
            found = [_one(word, present)]
        chosen += [name for name in found if name not in chosen]
    return chosen


def _one(word: str, present: list[str]) -> str:
    there = ", ".join(present)
    if not re.fullmatch(rf"({'|'.join(KINDS)})(:\d+)?", word):
        raise TorchgaugeError(f"unknown device {word!r}; this machine has {there} (or say auto, all)")
    name = word if word == "cpu" or ":" in word else f"{word}:0"
    if name in present:
        return name
    kind = word.partition(":")[0]
    cause = f"torch {torch.__version__} sees no such device"
    if kind == "cuda" and torch.version.cuda is None and torch.version.hip is None:
        cause = f"torch {torch.__version__} is a build without CUDA: install one with it"
    raise TorchgaugeError(f"device {word!r} is not there: {cause}; this machine has {there}")


def describe(name: str) -> DeviceFacts:
    """Tell what torch knows of an accelerator; fields that it does not offer are None."""
    device = torch.device(name)
    if device.type not in ("cuda", "xpu"):
        return DeviceFacts(device.type, None, None, None, None)
    properties = getattr(torch, device.type).get_device_properties(device)
    uuid = getattr(properties, "uuid", None)
    major, minor = getattr(properties, "major", None), getattr(properties, "minor", None)
    return DeviceFacts(
        name=properties.name,
        uuid=None if uuid is None else str(uuid),
        memory_bytes=properties.total_memory,
        multiprocessors=getattr(properties, "multi_processor_count", None),
        capability=None if major is None else f"{major}.{minor}",
    )


def torch_dtype(name: str) -> torch.dtype:
    """Give the torch dtype of a name; tf32 is float32 in memory.

    Raises:
        TorchgaugeError: no such dtype.

    """
    found = getattr(torch, "float32" if name == "tf32" else name, None)
    if not isinstance(found, torch.dtype):
        raise TorchgaugeError(f"unknown dtype {name!r}; choose from {', '.join(DTYPES)}, or all")
    return found


def why_not(device: str, dtype: str) -> str | None:
    """Try whether a device can hold and add this dtype; give the reason if it can't."""
    if dtype == "tf32" and not device.startswith("cuda"):
        return f"tf32 is a mode of CUDA's matrix units, {device} has none"
    try:
        ones = torch.ones(2, device=device).to(torch_dtype(dtype))
        (ones + ones).cpu()
        if dtype == "tf32" and torch.cuda.get_device_capability(device) < (8, 0):
            return f"{device} is older than tf32 (compute capability 8.0)"
    except (RuntimeError, TypeError) as error:
        return first_line(error)
    return None


def unsupported(error: BaseException) -> str | None:
    """Give the reason if the error says that the device or torch build lacks something; else None."""
    if isinstance(error, MemoryError):
        return f"out of memory: {first_line(error)}"
    if not isinstance(error, (RuntimeError, TypeError)):  # NotImplementedError is a RuntimeError
        return None
    text = first_line(error)
    if isinstance(error, torch.OutOfMemoryError) or _OUT_OF_MEMORY.search(text):
        return f"out of memory: {text}"
    return text if _UNSUPPORTED.search(text) and not _MISTAKE.search(text) else None


def first_line(error: BaseException) -> str:
    """Give the first line of an error's text in printable signs, or its type's name where it has none."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # a broken __str__
        return name
    line = next((line.strip() for line in text.splitlines() if line.strip()), name)[:300]
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)


def release(device: str) -> None:
    """Hand freed memory back to the device, so that one case does not starve the next.

    On a CPU glibc keeps freed blocks of up to 32 MiB for itself, and scattered ones for ever.
    """
    kind = torch.device(device).type
    if kind != "cpu":
        getattr(torch, kind).empty_cache()
    elif _malloc_trim is not None:
        _malloc_trim(0)


def current(device: str) -> contextlib.AbstractContextManager[object]:
    """Make a device the current one: events, streams and graphs without a device of their own are its."""
    kind = torch.device(device).type
    if kind not in ("cuda", "xpu"):
        return contextlib.nullcontext()
    made: contextlib.AbstractContextManager[object] = getattr(torch, kind).device(device)
    return made


def synchronizer(device: str) -> Callable[[], None] | None:
    """Give the function that waits for the device; None where there is nothing to wait for."""
    kind = torch.device(device).type
    if kind == "cpu":
        return None
    module = getattr(torch, kind)
    return module.synchronize if kind == "mps" else lambda: module.synchronize(device)


def occupy(device: str, seconds: float) -> None:
    """Give an accelerator work for about that long, for its link too, and return at once.

    Raises:
        RuntimeError: the device has no memory left for 2 × 64 MiB.

    """
    host = torch.empty(2**26, dtype=torch.uint8)
    if device.startswith("cuda"):
        host = host.pin_memory()
    there = torch.empty_like(host, device=device)
    # 64 MiB take some 1.2 ms over the widest link in use, and longer over others
    for _ in range(max(1, round(seconds / 1.2e-3))):
        there.copy_(host, non_blocking=True)


def cache_bytes(device: str) -> int | None:
    """Tell the size of an accelerator's last cache; None where torch does not."""
    if torch.device(device).type != "cuda":
        return None
    size = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", None)
    return int(size) if size else None


def memory_room(device: str) -> int | None:
    """Tell how many bytes an accelerator has left; None where torch does not."""
    return int(torch.cuda.mem_get_info(device)[0]) if torch.device(device).type == "cuda" else None


def pins(device: str) -> bool:
    """Whether copies to and from the device gain by pinned memory, and torch can pin it."""
    return torch.device(device).type in ("cuda", "xpu")


def empty_kernel(device: str) -> Callable[[], None] | None:
    """Give a call that launches a kernel without work on the current device; None where torch has none."""
    return functools.partial(torch.cuda._sleep, 0) if torch.device(device).type == "cuda" else None


def activities(device: str) -> list[ProfilerActivity]:
    """Choose what torch's profiler looks at: the host, and the device where the profiler knows it."""
    wanted = {"cuda": "CUDA", "xpu": "XPU"}.get(torch.device(device).type)
    chosen = [ProfilerActivity.CPU]
    if wanted is not None and getattr(ProfilerActivity, wanted) in supported_activities():
        chosen.append(getattr(ProfilerActivity, wanted))
    return chosen


def profiler_type(device: str) -> int:
    """Give the number of a kind of device in the profiler's traces (c10::DeviceType)."""
    return {"cpu": 0, "cuda": 1, "xpu": 12, "mps": 13}[torch.device(device).type]


def clock(device: str, *, synchronizes: bool) -> Clock:
    """Choose the clock: the host's for a CPU, events for CUDA.

    A case that synchronizes by itself would only wait for the sleep that fills the queue, so it is
    timed by the host's clock; so is a device without a sleep kernel.
    """
    if device.startswith("cuda") and not synchronizes:
        return EventClock(queue(device))
    return HostClock(synchronizer(device))


def synchronizes(device: str, call: Callable[[], object]) -> bool:
    """Whether the call makes the host wait for the device; found out by running it once."""
    if not device.startswith("cuda"):
        return False
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            call()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return any("synchronizing CUDA operation" in str(warning.message) for warning in caught)


@functools.cache
def queue(device: str) -> Queue:
    """Give the queue of a CUDA device."""
    return _CudaQueue(device)


class _CudaQueue(Queue):
    """The current CUDA stream of a device."""

    event_resolution = 0.5e-6  # cudaEventElapsedTime's documented resolution

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._cycles_per_second: float | None = None
        self._flushed: torch.Tensor | None = None

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
        try:
            side.wait_stream(before)
            with torch.cuda.stream(side):
                block()
            self.synchronize()
            with torch.cuda.graph(graph, stream=side):
                block()
        except Exception as error:
            why = first_line(error)
            del graph
            torch.cuda.set_stream(before)
            self._recover(side)
            raise Unknown(why) from None
        replay: Callable[[], None] = graph.replay
        return replay

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
