"""One example of each kind of line."""

from __future__ import annotations

import msgspec
import pytest

import synthetic
from torchgauge.record import (
    Accelerator,
    Case,
    End,
    Environment,
    Failure,
    Git,
    Header,
    Machine,
    Measurement,
    Skip,
    Summary,
    Torch,
)


@pytest.fixture
def environment() -> Environment:
    """No field is None, and the fingerprints of these values are known."""
    return Environment(
        machine=Machine(
            host="loom",
            system="Linux-6.1-x86_64",
            python="CPython 3.12.3",
            cpu="AMD EPYC 7763",
            cores_logical=8,
            cores_physical=4,
            affinity=[0, 1, 2, 3],
            cpu_limit=2.5,
            governor="performance",
            frequency_hertz=2.45e9,
            cache_bytes=32 * 2**20,
            memory_bytes=64 * 2**30,
            memory_available_bytes=60 * 2**30,
            load_1min=0.2,
            virtualization="none",
        ),
        torch=Torch(
            version="2.13.0",
            git="cf30153",
            debug=False,
            cuda="12.8",
            cudnn="91002",
            blas="mkl",
            mkldnn=True,
            cpu_capability="AVX2",
            threads=4,
            interop_threads=4,
            float32_matmul_precision="highest",
            tf32_matmul=False,
            tf32_cudnn=True,
            deterministic=False,
            cudnn_benchmark=False,
            compiler="g++ 12.2.0",
        ),
        accelerators=[
            Accelerator(
                device="cuda:0",
                name="NVIDIA H200",
                uuid_hash="0011223344556677",
                driver="570.86",
                memory_bytes=141 * 2**30,
                multiprocessors=132,
                capability="9.0",
                clock_hertz=1.2e9,
                clock_max_hertz=1.98e9,
                memory_clock_hertz=3.2e9,
                power_limit_watts=700.0,
                temperature_celsius=31.0,
                ecc=True,
                pcie_generation=5,
                pcie_width=16,
                mig=False,
                persistence=True,
            )
        ],
        git=Git(commit="9642157", branch="main", dirty=False),
        packages={"numpy": "2.1.0", "pytest": "8.3.0"},
        variables={"OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "0"},
        unknown={},
        fingerprint="0123456789abcdef",
        machine_key="fedcba9876543210",
    )


@pytest.fixture
def header(environment: Environment) -> Header:
    return msgspec.structs.replace(synthetic.header(("cpu", "cuda:0")), environment=environment)


@pytest.fixture
def case() -> Case:
    return synthetic.case("matmul", "square", n=256)


@pytest.fixture
def measurement(case: Case) -> Measurement:
    line, *_ = synthetic.measurements(case, 1.25e-5, flop=2 * 256.0**3, bytes=3 * 256.0**2 * 4)
    return msgspec.structs.replace(
        line,
        samples=[1.25e-5, 1.5e-5, 1.75e-5],
        loops=64,
        summary=Summary(count=3, min=1.25e-5, p05=1.275e-5, median=1.5e-5, mean=1.5e-5, max=1.75e-5),
        warnings=["a warning – with signs µ"],
    )


@pytest.fixture
def failure(case: Case) -> Failure:
    return Failure(case=case, stage="measure", error="RuntimeError", message="boom")


@pytest.fixture
def skip(case: Case) -> Skip:
    return Skip(case=case, reason="no such dtype")


@pytest.fixture
def end() -> End:
    finished = "2026-03-01T12:01:00+00:00"
    return End(finished=finished, measured=1, failed=1, skipped=1, wall_seconds=60.0, timed_seconds=40.0)
