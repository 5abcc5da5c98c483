"""What a call is made of: its operators, and the kernels, launches and copies of an accelerator.

The profiler slows down what it looks at, most of all many small operators, so that its times say how a
call's time is shared out and never how long the call takes. Its counts are exact.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.instruments.trace import Call, Span, record
from torchgauge.measure.subject import Subject
from torchgauge.record.schema import Part, Scalar

METHOD = "torch-profiler"
MOST_PARTS = 20

_LAUNCH = re.compile(r"^(cuda|cu|hip)(Graph)?Launch", re.IGNORECASE)
_SYNCHRONIZATION = re.compile(r"Synchronize", re.IGNORECASE)
_COPY = "aten::copy_"


class Profile:
    """Counts what a call does and shares its time out among operators; keeps a Chrome trace a case."""

    name = "profile"

    def observe(self, subject: Subject, visit: Visit) -> tuple[Any, list[Observation]]:
        """Look at a few calls."""
        keep = None if visit.folder is None else visit.folder / trace_name(visit.case_id)
        result, calls = record(subject, visit.device, keep)
        conditions: dict[str, Scalar] = {} if keep is None else {"trace": f"{keep.parent.name}/{keep.name}"}
        on_device = visit.device != "cpu"
        warnings = []
        if on_device and not any(call.kernels or call.copies for call in calls):
            warnings.append(
                "no work of the device was seen: the profiler may not be allowed to look "
                "(CUPTI_ERROR_INSUFFICIENT_PRIVILEGES), or the call does none; "
                "what it would have told is left out"
            )
        found = [_times("self_cpu_time", [call.operators for call in calls], own=True)]
        if on_device and not warnings:
            found.append(_times("self_device_time", [call.kernels + call.copies for call in calls]))
        for metric, counted in counts(calls, device=on_device and not warnings).items():
            found.append(_count(metric, counted))
        for one in found:
            one.conditions.update(conditions)
        found[0].warnings.extend(warnings)
        return result, found


def counts(calls: Iterable[Call], *, device: bool) -> dict[str, list[Counter[str]]]:
    """Count, call by call, what each metric is made of; what a device does only where there is one."""
    calls = list(calls)
    found = {
        "operators": [Counter(span.name for span in call.operators) for call in calls],
        "allocations": [Counter(f"{size} B" for _, size in call.memory if size > 0) for call in calls],
    }
    if device:
        found |= {
            "kernels": [Counter(span.name for span in call.kernels) for call in calls],
            "launches": [Counter(filter(_LAUNCH.search, call.runtime)) for call in calls],
            "copies": [Counter(span.name for span in call.copies) for call in calls],
            "synchronizations": [Counter(filter(_SYNCHRONIZATION.search, call.runtime)) for call in calls],
        }
    else:
        found["copies"] = [
            Counter(span.name for span in call.operators if span.name == _COPY) for call in calls
        ]
    return found


def trace_name(case_id: str) -> str:
    """Name the file of a case's trace: readable, and its own however the id was shortened."""
    slug = re.sub(r"[^A-Za-z0-9.=]+", "-", case_id).strip("-")[:100]
    return f"{slug}_{hashlib.sha256(case_id.encode()).hexdigest()[:8]}.json.gz"


def _times(metric: str, calls: list[list[Span]], *, own: bool = False) -> Observation:
    """Share out the time: the operators' own on the host, all of a kernel's on a device."""
    seconds: dict[str, float] = defaultdict(float)
    times: Counter[str] = Counter()
    for spans in calls:
        for span in spans:
            seconds[span.name] += span.self_seconds if own else span.seconds
            times[span.name] += 1
    parts = [
        Part(name=name, value=value / len(calls), calls=times[name] / len(calls))
        for name, value in sorted(seconds.items(), key=lambda item: (-item[1], item[0]))[:MOST_PARTS]
    ]
    samples = [sum(span.self_seconds if own else span.seconds for span in spans) for spans in calls]
    return Observation(metric, "s", METHOD, samples, 1, parts=parts)


def _count(metric: str, counted: list[Counter[str]]) -> Observation:
    last = counted[-1]
    parts = [
        Part(name=name, value=float(number))
        for name, number in sorted(last.items(), key=lambda item: (-item[1], item[0]))[:MOST_PARTS]
    ]
    samples = [float(one.total()) for one in counted]
    warnings = [] if all(one == last for one in counted) else [f"not every call has the same {metric}"]
    return Observation(metric, "1", METHOD, samples, 1, warnings=warnings, parts=parts)
