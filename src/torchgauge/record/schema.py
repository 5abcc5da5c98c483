"""What the lines of a run file hold.

Times are seconds, sizes are bytes, work is FLOP; times of day are ISO 8601 in UTC. What could not be
found out is `None`, and the reason stands in `Environment.unknown` or in a measurement's warnings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

SCHEMA = 1

CEILING = "ceiling"
"""The instrument, and the group, of what a run measures to hold its cases against."""

Scalar = str | int | float | bool | None

MOST = 1e30
Number = Annotated[float, Meta(ge=-MOST, le=MOST)]
Amount = Annotated[float, Meta(ge=0, le=MOST)]
Count = Annotated[int, Meta(ge=0, le=2**62)]
"""What is measured or stated; a file with anything beyond is damaged."""


class Case(Struct, frozen=True, kw_only=True):
    """One benchmark at one point. `id` is stable for ever: it keys history.

    `device` is a torch device string ("cpu", "cuda:0"). `dtype` is None where a benchmark has none.
    """

    id: str
    group: str
    name: str
    device: str
    dtype: str | None
    params: dict[str, Scalar] = {}


class Work(Struct, frozen=True, kw_only=True):
    """What one call must do at the least; None where the benchmark states nothing."""

    flop: Amount | None = None
    bytes: Amount | None = None
    items: Amount | None = None


class Summary(Struct, frozen=True, kw_only=True):
    """Quantiles of the samples of one line, in the unit of the samples."""

    count: int
    min: float
    p05: float
    median: float
    mean: float
    max: float


class Part(Struct, frozen=True, kw_only=True):
    """What a measured value is made of: an operator's, a kernel's or a function's share, per call."""

    name: str
    value: Number
    """In the measurement's unit; the part's own, without what it calls."""
    calls: Number | None = None


class Header(Struct, frozen=True, kw_only=True, tag="run", tag_field="kind"):
    """The first line of a run file."""

    schema: int
    id: str
    started: str
    environment: Environment
    config: Config


class Measurement(Struct, frozen=True, kw_only=True, tag="measurement", tag_field="kind"):
    """One Case seen by one Instrument in one round.

    `samples` holds one value a block, each a value per call in `unit`; a block is `loops` calls.
    `parts` says what the value is made of, largest first, where an instrument tells. `paces` holds the
    machine's pace around each block, in seconds (`torchgauge.pace`); empty where it was not taken.
    """

    case: Case
    instrument: str
    metric: str
    unit: str
    method: str
    round: Count
    process: Count
    samples: list[Number]
    loops: Count
    summary: Summary
    work: Work
    conditions: dict[str, Scalar] = {}
    warnings: list[str] = []
    parts: list[Part] = []
    paces: list[Number] = []


class Failure(Struct, frozen=True, kw_only=True, tag="failure", tag_field="kind"):
    """A case that raised. `stage` is where: collection, fixture, setup, measure, check, process …"""

    case: Case
    stage: str
    error: str
    message: str


class Skip(Struct, frozen=True, kw_only=True, tag="skip", tag_field="kind"):
    """A case that was left out, and why."""

    case: Case
    reason: str


class End(Struct, frozen=True, kw_only=True, tag="end", tag_field="kind"):
    """The last line. Counts are cases; `timed_seconds` is the time inside timed blocks.

    `interrupted` is set when the run was stopped by the user: closed properly, but not complete.
    """

    finished: str
    measured: int
    failed: int
    skipped: int
    wall_seconds: float
    timed_seconds: float
    interrupted: bool = False


class Config(Struct, frozen=True, kw_only=True):
    """What was asked for; enough to resume the run."""

    torchgauge: str
    paths: list[str]
    devices: list[str]
    dtypes: list[str] | None
    keyword: str | None
    budget: str
    instruments: list[str]
    rounds: int
    processes: int
    seed: int
    pytest_args: list[str] = []
    threads: int | None = None
    """torch's threads within an operator, where a number was asked for."""
    ceilings: bool = True
    """Whether ceilings were to be measured."""
    left_out: dict[str, str] = {}
    """Instruments that were asked for and could not look at all devices, or at any, with the reason."""


class Machine(Struct, frozen=True, kw_only=True):
    """The computer, its operating system and what it was doing when the run began."""

    host: str
    system: str
    python: str
    cpu: str | None
    cores_logical: int | None
    cores_physical: int | None
    affinity: list[int] | None
    cpu_limit: float | None
    """Cores granted by a container's quota."""
    governor: str | None
    frequency_hertz: float | None
    cache_bytes: Count | None
    """Size of the last-level cache."""
    memory_bytes: Count | None
    memory_available_bytes: Count | None
    load_1min: float | None
    virtualization: str | None


class Accelerator(Struct, frozen=True, kw_only=True):
    """One accelerator. The UUID is hashed: it tells cards apart and gives nothing away."""

    device: str
    name: str
    uuid_hash: str | None
    driver: str | None
    memory_bytes: Count | None
    multiprocessors: int | None
    capability: str | None
    clock_hertz: float | None
    """Of the multiprocessors, as the run began: mostly at rest."""
    clock_max_hertz: float | None
    memory_clock_hertz: float | None
    power_limit_watts: float | None
    temperature_celsius: float | None
    ecc: bool | None
    pcie_generation: int | None
    """The most that card and slot can do together; a link at rest runs slower."""
    pcie_width: int | None
    mig: bool | None
    persistence: bool | None


class Torch(Struct, frozen=True, kw_only=True):
    """The torch build and the switches that change speed or results."""

    version: str
    git: str | None
    debug: bool | None
    cuda: str | None
    cudnn: str | None
    blas: str | None
    mkldnn: bool | None
    cpu_capability: str | None
    threads: int
    interop_threads: int
    float32_matmul_precision: str | None
    tf32_matmul: bool | None
    tf32_cudnn: bool | None
    deterministic: bool | None
    cudnn_benchmark: bool | None
    compiler: str | None
    """The C++ compiler that torch.compile would use on the CPU."""


class Git(Struct, frozen=True, kw_only=True):
    """The checkout that the benchmarks lie in."""

    commit: str | None
    branch: str | None
    dirty: bool | None


class Environment(Struct, frozen=True, kw_only=True):
    """Where a run took place.

    `fingerprint` covers all that changes speed: times of two runs may be compared only when it is the
    same. `machine_key` covers the hardware alone: it joins the history of one machine.
    `unknown` gives, for each field that is None, its dotted name and the reason; `conditions.NAME` is a
    condition that is None in every measurement.
    """

    machine: Machine
    torch: Torch
    accelerators: list[Accelerator]
    git: Git
    packages: dict[str, str]
    variables: dict[str, str]
    """Environment variables that change allocation, threading or kernels, as they were set."""
    unknown: dict[str, str]
    fingerprint: str
    machine_key: str


@dataclass(frozen=True)
class Run:
    """A run file, read."""

    path: Path
    header: Header
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    end: End | None = None
    warnings: list[str] = field(default_factory=list)
    before: End | None = None
    """The end line of the part before the last, in a run that was resumed and has no end."""
    resumed_at: int = 0
    """How many of the measurements were there by then."""
    ceilings: list[Measurement] = field(default_factory=list)
    """What was measured to hold the cases against: lines of the instrument "ceiling"."""

    @property
    def id(self) -> str:
        """The run's id, as its header states it."""
        return self.header.id

    @property
    def interrupted(self) -> bool:
        """Whether the run stopped before all its cases were measured."""
        return self.end is None or self.end.interrupted
