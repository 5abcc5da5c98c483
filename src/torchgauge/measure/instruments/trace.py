"""Calls under torch's profiler, cut apart: what each of them did, in the order in which it happened.

Read from the Chrome trace that the profiler exports: its format is public and stable, and the same file
is kept for a viewer. Times in a trace are microseconds; here they are seconds.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch.profiler import profile, record_function

from torchgauge.measure import device
from torchgauge.measure.subject import Subject, kept

CALL, WAIT = "torchgauge: call", "torchgauge: wait"
"""Annotations around each call, and around our own waiting for the device in it."""
WARM = 2
"""Calls before those that count: the first under the profiler allocate and load what later ones have."""
CALLS = 3
LONG = 0.2
"""Seconds, without the profiler: of a call that takes longer one is looked at, after one more. What it does
many times over has warmed up within it, and its trace would be tens of megabytes."""


@dataclass(frozen=True)
class Span:
    """Something with a begin and a length: an operator on the host, or work of a device."""

    name: str
    begin: float
    seconds: float
    thread: Any = None
    self_seconds: float = 0.0
    """Without the spans of the same thread that lie in it."""


@dataclass
class Call:
    """What one call did."""

    operators: list[Span] = field(default_factory=list)
    kernels: list[Span] = field(default_factory=list)
    copies: list[Span] = field(default_factory=list)
    """Copies and fills by the device's engine; both count as work of the device."""
    runtime: list[str] = field(default_factory=list)
    """Names of the calls to the device's runtime and driver."""
    memory: list[tuple[int, int]] = field(default_factory=list)
    """Address and bytes, above 0 for an allocation, of each change on the case's own device."""


def record(
    subject: Subject, place: str, keep: Path | None = None, now: Callable[[], float] = time.perf_counter
) -> tuple[Any, list[Call]]:
    """Call a subject once by itself, and then under the profiler.

    Args:
        subject: the call.
        place: the device that its memory is looked at on.
        keep: a file for the trace, ending in .json.gz.
        now: a clock in seconds.

    Returns:
        The result of the first call, and what `CALLS` calls did, after `WARM` others under the profiler;
        one call after one other where the first took long.

    """
    wait = device.synchronizer(place)
    first = subject.call()
    begin = now()
    result = kept(subject, first())
    if wait is not None:
        wait()
    warm, calls = (1, 1) if now() - begin > LONG else (WARM, CALLS)
    prepared = [subject.call() for _ in range(warm + calls)]
    with profile(
        activities=device.activities(place), profile_memory=True, record_shapes=keep is not None
    ) as profiler:
        for call in prepared:
            with record_function(CALL):
                given = call()
                if wait is not None:
                    with record_function(WAIT):
                        wait()
                del given
    with tempfile.TemporaryDirectory(prefix="torchgauge-") as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        text = path.read_bytes()
    if keep is not None:
        keep.parent.mkdir(parents=True, exist_ok=True)
        keep.write_bytes(gzip.compress(text, compresslevel=6))
    return result(), parted(json.loads(text)["traceEvents"], place)[warm:]


def parted(events: Iterable[dict[str, Any]], place: str) -> list[Call]:
    """Cut the events of a Chrome trace into the annotated calls; what lies outside of them is left out."""
    events = list(events)
    windows = sorted(_window(event) for event in events if _is(event, CALL))
    waits = sorted(_window(event) for event in events if _is(event, WAIT))
    found = [Call() for _ in windows]
    kind = device.profiler_type(place)
    for event in events:
        at = float(event.get("ts", -1.0))
        index = _index(windows, at)
        if index is None:
            continue
        call, category, name = found[index], event.get("cat"), str(event.get("name"))
        span = Span(name, at * 1e-6, event.get("dur", 0.0) * 1e-6, event.get("tid"))
        if category == "cpu_op":
            call.operators.append(span)
        elif category == "kernel":
            call.kernels.append(span)
        elif category in ("gpu_memcpy", "gpu_memset"):
            call.copies.append(span)
        elif category in ("cuda_runtime", "cuda_driver", "xpu_runtime") and _index(waits, at) is None:
            call.runtime.append(name)
        elif name == "[memory]" and event["args"]["Device Type"] == kind:
            call.memory.append((event["args"]["Addr"], event["args"]["Bytes"]))
    for call in found:
        call.operators = with_self_time(call.operators)
    return found


def with_self_time(spans: Sequence[Span]) -> list[Span]:
    """Work out what each span took without those that lie in it, thread by thread."""
    inner: dict[int, float] = defaultdict(float)
    threads: dict[Any, list[int]] = defaultdict(list)
    for place, span in enumerate(spans):
        threads[span.thread].append(place)
    for places in threads.values():
        places.sort(key=lambda place: (spans[place].begin, -spans[place].seconds))
        open_: list[int] = []
        for place in places:
            span = spans[place]
            while open_ and spans[open_[-1]].begin + spans[open_[-1]].seconds <= span.begin:
                open_.pop()
            if open_:
                inner[open_[-1]] += span.seconds
            open_.append(place)
    return [
        Span(span.name, span.begin, span.seconds, span.thread, max(0.0, span.seconds - inner[place]))
        for place, span in enumerate(spans)
    ]


def _is(event: dict[str, Any], name: str) -> bool:
    # on an accelerator each annotation stands a second time, on the device's own line
    return event.get("name") == name and event.get("cat") == "user_annotation"


def _window(event: dict[str, Any]) -> tuple[float, float]:
    return event["ts"], event["ts"] + event["dur"]


def _index(windows: Sequence[tuple[float, float]], at: float) -> int | None:
    return next((index for index, (begin, end) in enumerate(windows) if begin <= at <= end), None)
