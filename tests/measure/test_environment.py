from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from torchgauge.measure.device import DeviceFacts
from torchgauge.measure.environment import blas, collect
from torchgauge.measure.reasons import Unknown
from torchgauge.record import Environment
from torchgauge.record.fingerprint import fingerprint, machine_key

UUID = "8d1c9a52-0000-1111-2222-333344445555"
H200 = DeviceFacts("NVIDIA H200", UUID, 141 * 2**30, 132, "9.0")
FLAGS: dict[str, str | bool | None] = {
    "float32_matmul_precision": "high",
    "tf32_matmul": True,
    "tf32_cudnn": False,
    "cudnn_benchmark": True,
    "cuda": "12.8",
    "cudnn": "91002",
}


def no_library() -> Any:
    raise Unknown("the package nvidia-ml-py is not installed: pip install nvidia-ml-py")


def gather(devices: list[str], checkout: Path, **sources: Any) -> Environment:
    """Collect with nothing of this machine's but torch and the commands on its path."""
    sources = {
        "root": checkout,
        "variables": {"PATH": os.environ["PATH"]},
        "describe": lambda name: H200,
        "flags": lambda: FLAGS,
        "library": no_library,
    } | sources
    found = collect(devices, checkout, **sources)
    assert {name for name, value in fields(found) if value is None} == explained(found) - NAMED_ANYHOW
    assert all(text and text.isprintable() for text in found.unknown.values())
    return found


NAMED_ANYHOW = {"accelerators.cuda:0.name"}
"""A field that always holds something, and a reason where that is only the device's own name."""


def explained(found: Environment) -> set[str]:
    """Give the fields of the environment that have a reason; those of measurements have some too."""
    return {name for name in found.unknown if not name.startswith("conditions.")}


def fields(found: Environment) -> list[tuple[str, Any]]:
    parts: list[tuple[str, Any]] = [("machine", found.machine), ("torch", found.torch), ("git", found.git)]
    parts += [(f"accelerators.{card.device}", card) for card in found.accelerators]
    return [
        (f"{part}.{name}", getattr(said, name)) for part, said in parts for name in said.__struct_fields__
    ]


# --- this machine ---


def test_this_machine_is_described_and_nothing_stays_unexplained() -> None:
    found = collect(["cpu"], Path(__file__))
    assert {name for name, value in fields(found) if value is None} == explained(found)
    assert found.torch.version == torch.__version__
    assert found.torch.threads == torch.get_num_threads()
    assert found.packages["msgspec"] == msgspec.__version__
    assert found.accelerators == []
    assert (found.fingerprint, found.machine_key) == (fingerprint(found), machine_key(found))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Environment) == found


def test_the_same_place_has_the_same_fingerprint_a_moment_later() -> None:
    first, second = collect(["cpu"], Path(__file__)), collect(["cpu"], Path(__file__).parent)
    assert first.fingerprint == second.fingerprint
    assert first.machine_key == second.machine_key
    assert first.git == second.git


# --- torch ---


def test_the_switches_are_those_that_the_device_file_tells(tmp_path: Path) -> None:
    told = gather(["cpu"], tmp_path).torch
    assert (told.float32_matmul_precision, told.tf32_matmul, told.tf32_cudnn) == ("high", True, False)
    assert (told.cuda, told.cudnn, told.cudnn_benchmark) == ("12.8", "91002", True)
    assert told.deterministic is torch.are_deterministic_algorithms_enabled()
    assert (told.git, told.debug) == (torch.version.git_version, torch.version.debug)


def test_a_build_without_cuda_says_so(tmp_path: Path) -> None:
    found = gather(["cpu"], tmp_path, flags=lambda: FLAGS | {"cuda": None, "cudnn": None})
    assert found.unknown["torch.cuda"] == "a build of torch without CUDA"
    assert found.unknown["torch.cudnn"] == "a build of torch without cuDNN, or no device for it"


def test_switches_that_can_not_be_read_have_the_error_for_a_reason(tmp_path: Path) -> None:
    def fail() -> dict[str, str | bool | None]:
        raise RuntimeError("mixing the old and the new switch")

    found = gather(["cpu"], tmp_path, flags=fail)
    assert {found.unknown[f"torch.{name}"] for name in FLAGS} == {
        "RuntimeError: mixing the old and the new switch"
    }


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("  - Build settings: BLAS_INFO=mkl, BUILD_TYPE=Release, LAPACK_INFO=mkl", "mkl"),
        ("Build settings: BLAS_INFO=open, USE_CUDA=1", "openblas"),
        ("Build settings: BLAS_INFO=nvpl, USE_CUDA=1", "nvpl"),
        ("Build settings: BLAS_INFO=accelerate", "accelerate"),
        ("Build settings: USE_EIGEN_FOR_BLAS=ON, USE_MKL=OFF", "eigen"),
        ("  - Intel(R) oneAPI Math Kernel Library Version 2024.2\n  - Build settings: USE_MKL=ON", "mkl"),
        ("  - OpenBLAS 0.3.27", "openblas"),
    ],
)
def test_the_blas_is_read_from_torchs_build_settings(config: str, name: str) -> None:
    assert blas(config) == name


def test_a_build_that_names_no_blas_is_not_guessed() -> None:
    with pytest.raises(Unknown, match="name no BLAS"):
        blas("PyTorch built with:\n  - GCC 13.3\n")


# --- the compiler and other commands ---


@pytest.fixture
def command(tmp_path: Path) -> Callable[[str, str], Path]:
    """Put a shell script on a path of its own."""

    def write(name: str, script: str) -> Path:
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file

    return write


Command = Callable[[str, str], Path]


def test_the_compiler_is_the_one_that_cxx_names(tmp_path: Path, command: Command) -> None:
    compiler = command("mycxx", "echo 19.1.0")
    found = gather(["cpu"], tmp_path, variables={"CXX": str(compiler), "PATH": os.environ["PATH"]})
    assert found.torch.compiler == "mycxx 19.1.0"


def test_a_compiler_that_does_not_tell_its_version_is_named_all_the_same(
    tmp_path: Path, command: Command
) -> None:
    compiler = command("mycxx", "echo no such option >&2; exit 1")
    assert gather(["cpu"], tmp_path, variables={"CXX": str(compiler)}).torch.compiler == "mycxx"


def test_a_compiler_that_is_not_there_is_named_in_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = gather(["cpu"], tmp_path, variables={"CXX": "nowhere++"})
    assert found.unknown["torch.compiler"] == "no C++ compiler: nowhere++ not found"
    monkeypatch.setenv("PATH", str(tmp_path))
    found = gather(["cpu"], tmp_path, variables={})
    assert found.unknown["torch.compiler"] == "no C++ compiler: g++ and clang++ not found"


# --- git ---

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "bench_a.py").write_text("a = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    return done.stdout.strip()


@needs_git
def test_a_clean_checkout_has_a_commit_and_a_branch(checkout: Path) -> None:
    told = gather(["cpu"], checkout).git
    assert (told.commit, told.branch, told.dirty) == (git(checkout, "rev-parse", "HEAD"), "trunk", False)


@needs_git
def test_a_bench_file_stands_for_its_checkout(checkout: Path) -> None:
    assert gather(["cpu"], checkout / "bench_a.py").git == gather(["cpu"], checkout).git


@needs_git
def test_a_changed_file_makes_it_dirty_and_so_does_a_new_one(checkout: Path) -> None:
    (checkout / "bench_b.py").write_text("b = 1\n")
    assert gather(["cpu"], checkout).git.dirty is True
    (checkout / "bench_b.py").unlink()
    (checkout / "bench_a.py").write_text("a = 2\n")
    assert gather(["cpu"], checkout).git.dirty is True


@needs_git
def test_a_commit_without_a_branch_says_so(checkout: Path) -> None:
    git(checkout, "checkout", "-q", "--detach")
    found = gather(["cpu"], checkout)
    assert found.git.commit is not None
    assert found.unknown["git.branch"] == "on no branch"


@needs_git
def test_a_checkout_without_a_commit_says_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert gather(["cpu"], tmp_path).unknown["git.commit"] == "no commit yet"


@needs_git
def test_a_git_hooks_variables_do_not_lead_to_another_checkout(checkout: Path, tmp_path: Path) -> None:
    variables = {"PATH": os.environ["PATH"], "GIT_DIR": str(tmp_path / "elsewhere"), "GIT_WORK_TREE": "/"}
    assert gather(["cpu"], checkout, variables=variables).git == gather(["cpu"], checkout).git


@needs_git
def test_reading_the_state_writes_nothing_into_the_checkout(checkout: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in checkout.rglob("*")}
    os.utime(checkout / "bench_a.py", (1, 1))  # git would like to refresh its index now
    before[checkout / "bench_a.py"] = (checkout / "bench_a.py").stat().st_mtime_ns
    gather(["cpu"], checkout)
    assert {path: path.stat().st_mtime_ns for path in checkout.rglob("*")} == before


@needs_git
def test_a_folder_that_is_no_checkout_says_so(tmp_path: Path) -> None:
    found = gather(["cpu"], tmp_path)
    assert found.unknown["git.commit"].startswith("git: fatal: not a git repository")
    assert found.unknown["git.dirty"] == found.unknown["git.commit"]


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    found = gather(["cpu"], tmp_path / "nowhere", root=tmp_path)
    assert "git.commit" in found.unknown


def test_a_machine_without_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = gather(["cpu"], tmp_path, variables={"PATH": str(tmp_path)})
    assert found.unknown["git.commit"] == "git can't be run: No such file or directory"


def test_a_git_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **options: Any) -> Any:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    assert gather(["cpu"], tmp_path).unknown["git.commit"] == "git took more than 10 s"


# --- accelerators ---


def test_the_cpu_is_no_accelerator_and_a_device_named_twice_is_one(tmp_path: Path) -> None:
    found = gather(["cuda:0", "cpu", "cuda:0"], tmp_path)
    assert [card.device for card in found.accelerators] == ["cuda:0"]


def test_a_cards_uuid_is_hashed_and_stands_nowhere(tmp_path: Path) -> None:
    variables = {"PATH": os.environ["PATH"], "CUDA_VISIBLE_DEVICES": f"GPU-{UUID},MIG-{UUID}"}
    found = gather(["cuda:0"], tmp_path, variables=variables)
    prefixed = gather(
        ["cuda:0"], tmp_path, describe=lambda name: DeviceFacts("x", f"GPU-{UUID}", 1, 1, "9.0")
    )
    (card,) = found.accelerators
    assert card.uuid_hash is not None
    assert len(card.uuid_hash) == 16
    assert card.uuid_hash == prefixed.accelerators[0].uuid_hash
    assert UUID[:8] not in msgspec.json.encode(found).decode()
    assert found.variables["CUDA_VISIBLE_DEVICES"] == f"GPU-{card.uuid_hash},MIG-{card.uuid_hash}"
    assert (card.name, card.memory_bytes, card.multiprocessors, card.capability) == (
        "NVIDIA H200", 141 * 2**30, 132, "9.0",
    )  # fmt: skip


def test_a_card_without_nvidias_library_says_why_for_each_field(tmp_path: Path) -> None:
    found = gather(["cuda:0", "cuda:1"], tmp_path)
    for device in ("cuda:0", "cuda:1"):
        assert "nvidia-ml-py" in found.unknown[f"accelerators.{device}.power_limit_watts"]


def test_conditions_that_no_measurement_will_have_are_explained(tmp_path: Path) -> None:
    found = gather(["cpu"], tmp_path).unknown
    assert found["conditions.steal_share"] == found["conditions.stolen_seconds"]
    assert found["conditions.steal_share"].endswith("proc/stat is not there")
    assert found["conditions.cpu_frequency_hertz"].endswith("thread-self/stat is not there")
    assert found["conditions.thread_waiting_share"].endswith("schedstat is not there")
    assert "conditions.busy_seconds" not in found  # not a condition


def test_an_accelerator_of_another_maker_is_not_looked_for_in_nvidias_library(tmp_path: Path) -> None:
    def untouchable() -> Any:
        raise AssertionError

    facts = DeviceFacts("mps", None, None, None, None)
    found = gather(["mps:0"], tmp_path, describe=lambda name: facts, library=untouchable)
    assert found.accelerators[0].name == "mps"
    assert found.unknown["accelerators.mps:0.ecc"] == "only NVIDIA's library is asked, and mps is not its"
    assert found.unknown["accelerators.mps:0.memory_bytes"] == (
        "torch does not tell it for this kind of device"
    )


def test_a_device_that_torch_can_not_describe_keeps_its_name_and_the_error(tmp_path: Path) -> None:
    def lost(name: str) -> DeviceFacts:
        raise RuntimeError("CUDA error: device is lost\nsome advice")

    found = gather(["cuda:0"], tmp_path, describe=lost)
    assert found.accelerators[0].name == "cuda:0"
    assert found.unknown["accelerators.cuda:0.name"] == "RuntimeError: CUDA error: device is lost"
    assert found.unknown["accelerators.cuda:0.memory_bytes"] == "RuntimeError: CUDA error: device is lost"


def test_without_an_accelerator_nvidias_library_is_left_alone(tmp_path: Path) -> None:
    def untouchable() -> Any:
        raise AssertionError

    gather(["cpu"], tmp_path, library=untouchable)


# --- variables ---


def test_only_variables_that_change_speed_are_kept(tmp_path: Path) -> None:
    kept = {
        "OMP_NUM_THREADS": "4",
        "MKL_DYNAMIC": "FALSE",
        "OPENBLAS_NUM_THREADS": "1",
        "KMP_AFFINITY": "compact",
        "GOMP_CPU_AFFINITY": "0-3",
        "MALLOC_ARENA_MAX": "1",
        "LD_PRELOAD": "libtcmalloc.so",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "PYTORCH_ALLOC_CONF": "x",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "NVIDIA_TF32_OVERRIDE": "0",
        "CUDA_LAUNCH_BLOCKING": "1",
        "ATEN_CPU_CAPABILITY": "avx2",
        "PYTHONHASHSEED": "0",
        "PYTHONMALLOC": "malloc",
    }
    left = {
        "PATH": os.environ["PATH"],
        "HOME": "/home/me",
        "TORCH_HOME": "/home/me/.cache",
        "TORCH_HUB_TOKEN": "secret",
        "PYTHONPATH": "/home/me/src",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "CUDA_HOME": "/usr/local/cuda",
        "omp_num_threads": "4",
    }
    found = gather(["cpu"], tmp_path, variables=left | kept)
    assert found.variables == kept
    assert list(found.variables) == sorted(kept)
    assert "secret" not in msgspec.json.encode(found).decode()


def test_an_undecodable_variable_can_be_written(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.so")
    found = gather(["cpu"], tmp_path, variables={"LD_PRELOAD": odd})
    assert found.variables == {"LD_PRELOAD": r"caf\udce9.so"}
    msgspec.json.encode(found)


def test_a_variable_that_is_set_changes_the_fingerprint_but_not_the_machine(tmp_path: Path) -> None:
    plain = gather(["cpu"], tmp_path)
    slowed = gather(["cpu"], tmp_path, variables={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"})
    assert plain.fingerprint != slowed.fingerprint
    assert plain.machine_key == slowed.machine_key
