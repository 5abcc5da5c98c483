"""Where a run takes place: machine, torch, accelerators, checkout, packages, variables.

Nothing here fails: what can't be found out is None, and `Environment.unknown` says why.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import torch

from torchgauge.measure import device, nvml, settings
from torchgauge.measure.conditions import missing
from torchgauge.measure.machine import read_machine
from torchgauge.measure.reasons import Reasons, Unknown, printable, reason
from torchgauge.measure.telemetry import Telemetry
from torchgauge.measure.watch import open_cards
from torchgauge.record.fingerprint import fingerprint, machine_key
from torchgauge.record.schema import Accelerator, Environment, Git, Torch

PACKAGES = (
    "numpy", "pytest", "pytest-benchmark", "nvidia-ml-py", "msgspec",
    "triton", "pytorch-triton", "pytorch-triton-rocm",
)  # fmt: skip

# Variables that change threading, allocation or kernels. Whole families only where a family has no
# room for a secret; TORCH_* and PYTHON* have one, so theirs are named one by one.
FAMILIES = ("OMP_", "MKL_", "OPENBLAS_", "KMP_", "GOMP_", "MALLOC_", "DNNL_", "ONEDNN_")
VARIABLES = frozenset(
    {
        "ATEN_CPU_CAPABILITY", "GLIBC_TUNABLES", "LD_PRELOAD", "THP_MEM_ALLOC_ENABLE",
        "CUBLAS_WORKSPACE_CONFIG", "CUBLASLT_WORKSPACE_SIZE", "CUDA_DEVICE_MAX_CONNECTIONS",
        "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING", "CUDA_VISIBLE_DEVICES",
        "NVIDIA_TF32_OVERRIDE", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK",
        "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF",
        "PYTORCH_NO_CUDA_MEMORY_CACHING", "PYTORCH_JIT", "PYTORCH_ENABLE_MPS_FALLBACK",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_BLAS_PREFER_CUBLASLT", "TORCH_COMPILE_DISABLE",
        "TORCH_CUDNN_V8_API_DISABLED", "TORCH_LINALG_PREFER_CUSOLVER", "TORCH_LOGS",
        "TORCHDYNAMO_DISABLE", "TORCHINDUCTOR_COORDINATE_DESCENT_TUNING", "TORCHINDUCTOR_CPP_WRAPPER",
        "TORCHINDUCTOR_FREEZING", "TORCHINDUCTOR_MAX_AUTOTUNE", "TORCHINDUCTOR_MAX_AUTOTUNE_GEMM",
        "PYTHONDEVMODE", "PYTHONHASHSEED", "PYTHONMALLOC", "PYTHONMALLOCSTATS", "PYTHONOPTIMIZE",
        "PYTHONTRACEMALLOC", "PYTHON_GIL", "PYTHON_JIT",
    }
)  # fmt: skip

_SECONDS = 10
"""For a command that should take milliseconds."""

Describe = Callable[[str], device.DeviceFacts]
Flags = Callable[[], dict[str, str | bool | None]]


def collect(
    devices: Sequence[str],
    checkout: Path,
    *,
    root: Path = Path("/"),
    variables: Mapping[str, str] = os.environ,
    describe: Describe = device.describe,
    flags: Flags = settings.flags,
    library: Callable[[], nvml.Library] = nvml.load,
) -> Environment:
    """Describe the environment.

    Args:
        devices: torch device strings of the run; those that are not the CPU are accelerators.
        checkout: a folder or file in the checkout whose commit is stated.
        root: where /proc and /sys are.
        variables: the process's environment variables.
        describe: gives torch's facts of a device.
        flags: gives torch's switches.
        library: gives NVIDIA's management library.

    """
    cards, _ = open_cards(devices, describe, library)  # the accelerators' own fields say why not
    silent = missing(Telemetry(root=root).lacks)
    for card in cards.values():
        card.state()
        silent |= {f"card_{name}": why for name, why in card.refused.items()}
    unknown = {f"conditions.{name}": why for name, why in silent.items()}
    environment = Environment(
        machine=read_machine(Reasons("machine", unknown), root),
        torch=_torch(Reasons("torch", unknown), flags, variables),
        accelerators=[
            _accelerator(name, Reasons(f"accelerators.{name}", unknown), describe, library)
            for name in dict.fromkeys(devices)
            if name != "cpu"
        ],
        git=_git(checkout, Reasons("git", unknown), variables),
        packages=_packages(),
        variables=_speed_variables(variables),
        unknown=unknown,
        fingerprint="",
        machine_key="",
    )
    return msgspec.structs.replace(
        environment, fingerprint=fingerprint(environment), machine_key=machine_key(environment)
    )


def _torch(reasons: Reasons, flags: Flags, variables: Mapping[str, str]) -> Torch:
    said: dict[str, Any] = {}
    why = "torch does not tell"
    try:
        said = flags()
    except Exception as error:
        why = reason(error)

    def flag(name: str, otherwise: str = why) -> Any:
        return reasons.find(name, lambda: said.get(name), otherwise)

    return Torch(
        version=str(torch.__version__),
        git=reasons.find("git", lambda: torch.version.git_version),
        debug=reasons.find("debug", lambda: torch.version.debug),
        cuda=flag("cuda", "a build of torch without CUDA" if said else why),
        cudnn=flag("cudnn", "a build of torch without cuDNN, or no device for it" if said else why),
        blas=reasons.find("blas", lambda: blas(torch.__config__.show())),
        mkldnn=reasons.find("mkldnn", torch.backends.mkldnn.is_available),
        cpu_capability=reasons.find("cpu_capability", torch.backends.cpu.get_cpu_capability),
        threads=torch.get_num_threads(),
        interop_threads=torch.get_num_interop_threads(),
        float32_matmul_precision=flag("float32_matmul_precision"),
        tf32_matmul=flag("tf32_matmul"),
        tf32_cudnn=flag("tf32_cudnn"),
        deterministic=reasons.find("deterministic", torch.are_deterministic_algorithms_enabled),
        cudnn_benchmark=flag("cudnn_benchmark"),
        compiler=reasons.find("compiler", lambda: _compiler(variables)),
    )


def blas(config: str) -> str:
    """Read from `torch.__config__.show()` which library multiplies matrices on the CPU.

    Raises:
        Unknown: the text names none.

    """
    if re.search(r"\bUSE_EIGEN_FOR_BLAS=(ON|1)\b", config):
        return "eigen"
    found = re.search(r"\bBLAS_INFO=(\w+)", config)
    if found:
        name = found[1].lower()
        return "openblas" if name == "open" else name
    for word, name in (
        ("Math Kernel Library", "mkl"),
        ("OpenBLAS", "openblas"),
        ("Accelerate", "accelerate"),
    ):
        if word in config:
            return name
    raise Unknown("torch's build settings name no BLAS")


def _compiler(variables: Mapping[str, str]) -> str:
    """Name the compiler that torch.compile takes on the CPU ($CXX where it is set) and its version."""
    wanted = [variables["CXX"]] if variables.get("CXX") else ["g++", "clang++"]
    found = next((path for path in map(shutil.which, wanted) if path), None)
    if found is None:
        raise Unknown(f"no C++ compiler: {' and '.join(map(printable, wanted))} not found")
    name = printable(Path(found).name)
    try:
        version = _output([found, "-dumpfullversion", "-dumpversion"], variables)
    except Unknown:
        return name
    return f"{name} {version.strip()}".strip()


def _accelerator(
    name: str, reasons: Reasons, describe: Describe, library: Callable[[], nvml.Library]
) -> Accelerator:
    why = "torch does not tell it for this kind of device"
    try:
        facts = describe(name)
    except Exception as error:
        why = reason(error)
        reasons.miss(["name"], why)
        facts = device.DeviceFacts(name, None, None, None, None)
    kind = name.partition(":")[0]
    if kind == "cuda":
        card = nvml.read_card(facts.uuid, reasons, library)
    else:
        card = dict(reasons.miss(nvml.READERS, f"only NVIDIA's library is asked, and {kind} is not its"))
    return Accelerator(
        device=name,
        name=printable(facts.name),
        uuid_hash=reasons.find("uuid_hash", lambda: facts.uuid and _hashed(nvml.bare(facts.uuid)), why),
        memory_bytes=reasons.find("memory_bytes", lambda: facts.memory_bytes, why),
        multiprocessors=reasons.find("multiprocessors", lambda: facts.multiprocessors, why),
        capability=reasons.find("capability", lambda: facts.capability, why),
        **card,
    )


def _git(checkout: Path, reasons: Reasons, variables: Mapping[str, str]) -> Git:
    # GIT_DIR and the like point elsewhere where a git hook runs the benchmarks
    clean = {key: value for key, value in variables.items() if not key.startswith("GIT_")} | {"LC_ALL": "C"}
    folder = checkout.parent if checkout.is_file() else checkout
    command = ["git", "--no-optional-locks", "-C", str(folder), "status", "--porcelain=v2", "--branch"]
    try:
        lines = _output(command, clean).splitlines()
    except Unknown as error:
        return Git(**reasons.miss(["commit", "branch", "dirty"], str(error)))
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit, branch = heads.get("branch.oid"), heads.get("branch.head")
    return Git(
        commit=reasons.find("commit", lambda: None if commit == "(initial)" else commit, "no commit yet"),
        branch=reasons.find("branch", lambda: None if branch == "(detached)" else branch, "on no branch"),
        dirty=any(not line.startswith("#") for line in lines),
    )


def _output(command: list[str], variables: Mapping[str, str]) -> str:
    """Run a command and give what it prints.

    Raises:
        Unknown: it isn't there, fails or takes too long.

    """
    name = printable(Path(command[0]).name)
    try:
        done = subprocess.run(
            command, env=dict(variables), stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise Unknown(f"{name} took more than {_SECONDS} s") from None
    except OSError as error:
        raise Unknown(f"{name} can't be run: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", errors="replace").strip().partition("\n")[0]
        raise Unknown(f"{name}: {said or f'exit code {done.returncode}'}")
    return done.stdout.decode("utf-8", errors="replace")


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = str(metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    return found


def _speed_variables(variables: Mapping[str, str]) -> dict[str, str]:
    return {
        name: re.sub(r"\b(GPU|MIG)-([0-9a-fA-F-]{4,})", lambda m: f"{m[1]}-{_hashed(m[2])}", printable(value))
        for name, value in sorted(variables.items())
        if name in VARIABLES or name.startswith(FAMILIES)
    }


def _hashed(uuid: str) -> str:
    return hashlib.sha256(uuid.encode()).hexdigest()[:16]
