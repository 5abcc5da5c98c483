"""The checks of torch, Python, their variables and the tools of Instruments, each both ways."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import msgspec
import pytest

import synthetic
from torchgauge.measure.doctor import software
from torchgauge.measure.doctor.kernel import Kernel
from torchgauge.measure.doctor.software import Python, Software, read_python

TORCH = synthetic.header().environment.torch


def usual(
    torch: dict[str, Any] | None = None, kernel: dict[str, Any] | None = None, **others: Any
) -> Software:
    facts: dict[str, Any] = {
        "torch": msgspec.structs.replace(TORCH, **(torch or {})),
        "unknown": {},
        "variables": {},
        "python": Python(dev_mode=False, debug_build=False, watchers=()),
        "kernel": Kernel(
            **(
                {
                    "turbo": None,
                    "turbo_off": None,
                    "clock_source": None,
                    "clock_sources": None,
                    "swap_used_bytes": None,
                    "cpu_energy": True,
                    "nvidia_driver": False,
                    "profiling_for_admins": None,
                    "unknown": {"kernel.cpu_energy": "not offered"},
                }
                | (kernel or {})
            )
        ),
        "accelerators": (),
        "valgrind": None,
    }
    return Software(**(facts | others))


def test_the_usual_software_has_nothing_to_mend() -> None:
    found = [check(usual()) for check in software.CHECKS]
    assert {one.level for one in found} == {"good"}
    assert len({one.what for one in found}) == len(software.CHECKS)


@pytest.mark.parametrize(
    ("check", "facts", "level", "told"),
    [
        (software.version, {"torch": {"version": "2.5.1"}}, "note", "torch>=2.6"),
        (software.version, {"torch": {"version": "1.13"}}, "note", "older than 2.6"),
        (software.version, {"torch": {"version": "2.10.0a0+git1"}}, "good", "2.10"),
        (software.build, {"torch": {"debug": True}}, "poor", "release build"),
        (software.build, {"torch": {"debug": None}}, "unknown", "torch"),
        (software.python, {"python": Python(True, False, ())}, "note", "development mode"),
        (software.python, {"python": Python(False, True, ())}, "note", "debug build"),
        (software.python, {"python": Python(False, False, ("coverage",))}, "note", "coverage"),
        (software.python, {"variables": {"PYTHONMALLOC": "malloc_debug"}}, "note", "PYTHONMALLOC"),
        (software.preload, {"variables": {"LD_PRELOAD": "/usr/lib/libasan.so.8"}}, "poor", "libasan.so.8"),
        (software.preload, {"variables": {"LD_PRELOAD": "/x/libclang_rt.tsan.so /y.so"}}, "poor", "tsan"),
        (software.preload, {"variables": {"LD_PRELOAD": "/a/libjemalloc.so.2"}}, "good", "libjemalloc"),
        (
            software.thread_variables,
            {"variables": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "4"}},
            "note",
            "unset MKL_NUM_THREADS",
        ),
        (software.thread_variables, {"variables": {"OMP_NUM_THREADS": "2"}}, "good", "OMP_NUM_THREADS=2"),
        (software.accelerator, {"kernel": {"nvidia_driver": True}}, "note", "without CUDA"),
        (
            software.accelerator,
            {"kernel": {"nvidia_driver": True}, "torch": {"cuda": "12.8"}},
            "note",
            "CUDA_VISIBLE_DEVICES",
        ),
        (
            software.accelerator,
            {"kernel": {"nvidia_driver": True}, "accelerators": ("cuda:0",)},
            "good",
            "cuda:0",
        ),
        (software.instructions, {"valgrind": "valgrind is missing: install it"}, "note", "install it"),
        (software.energy, {"kernel": {"cpu_energy": False}}, "note", "chmod"),
        (software.energy, {"kernel": {"cpu_energy": None}}, "unknown", "not offered"),
    ],
)
def test_what_is_wrong_is_told_with_its_level(
    check: Any, facts: dict[str, Any], level: str, told: str
) -> None:
    found = check(usual(**facts))
    assert found.level == level
    assert told in f"{found.value} {found.cure}"


def test_what_watches_the_interpreter_is_seen() -> None:
    before = sys.getprofile()
    was_tracing = tracemalloc.is_tracing()
    sys.setprofile(lambda *_: None)
    tracemalloc.start()
    try:
        watchers = read_python().watchers
    finally:
        sys.setprofile(before)
        if not was_tracing:
            tracemalloc.stop()
    assert "a profiler (sys.setprofile)" in watchers
    assert "tracemalloc" in watchers
