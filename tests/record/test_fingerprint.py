from __future__ import annotations

import copy
import random
import re
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchgauge.record import Environment
from torchgauge.record.fingerprint import fingerprint, hardware_facts, machine_key, speed_facts

HARDWARE = [
    "machine.cpu",
    "machine.cores_logical",
    "machine.cores_physical",
    "machine.cache_bytes",
    "accelerators.0.name",
    "accelerators.0.capability",
    "accelerators.0.multiprocessors",
]
SPEED = [
    *HARDWARE,
    "machine.affinity",
    "machine.cpu_limit",
    "machine.governor",
    "machine.virtualization",
    "machine.python",
    "accelerators.0.driver",
    "accelerators.0.power_limit_watts",
    "accelerators.0.ecc",
    "accelerators.0.mig",
    "accelerators.0.pcie_generation",
    "accelerators.0.pcie_width",
    "torch.version",
    "torch.git",
    "torch.debug",
    "torch.cuda",
    "torch.cudnn",
    "torch.blas",
    "torch.mkldnn",
    "torch.cpu_capability",
    "torch.threads",
    "torch.interop_threads",
    "torch.float32_matmul_precision",
    "torch.tf32_matmul",
    "torch.tf32_cudnn",
    "torch.deterministic",
    "torch.cudnn_benchmark",
    "packages.numpy",
    "variables.OMP_NUM_THREADS",
]
INDIFFERENT = [
    "machine.host",
    "machine.system",
    "machine.frequency_hertz",
    "machine.memory_bytes",
    "machine.memory_available_bytes",
    "machine.load_1min",
    "accelerators.0.device",
    "accelerators.0.uuid_hash",
    "accelerators.0.memory_bytes",
    "accelerators.0.clock_hertz",
    "accelerators.0.clock_max_hertz",
    "accelerators.0.memory_clock_hertz",
    "accelerators.0.temperature_celsius",
    "accelerators.0.persistence",
    "torch.compiler",
    "git.commit",
    "git.branch",
    "git.dirty",
    "packages.pytest",
    "variables.CUDA_VISIBLE_DEVICES",
    "unknown",
    "fingerprint",
    "machine_key",
]


def leaves(environment: Environment) -> set[str]:
    """Name all fields of an environment with dots."""
    plain = msgspec.to_builtins(environment)
    plain["accelerators"] = dict(enumerate(plain["accelerators"]))

    def walk(value: Any, name: str) -> set[str]:
        if not isinstance(value, dict) or not value:
            return {name}
        return set().union(
            *(walk(inner, f"{name}.{key}" if name else str(key)) for key, inner in value.items())
        )

    return walk(plain, "")


def replaced(environment: Environment, name: str, value: Any) -> Environment:
    """Give an environment with one field changed."""
    plain = msgspec.to_builtins(environment)
    *way, last = name.split(".")
    place: Any = plain
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = value
    return msgspec.convert(plain, Environment)


def other_values(environment: Environment, name: str) -> list[Any]:
    """Give values that a field could have instead; None too where the field may be unknown."""
    place: Any = msgspec.to_builtins(environment)
    for step in name.split("."):
        place = place[int(step)] if step.isdigit() else place[step]
    match place:
        case bool():
            others: list[Any] = [not place]
        case int() | float():
            others = [place + 1, place * 2]
        case list():
            others = [place[:1], [*place, 99]]
        case dict():
            others = [{**place, "x": "y"}]
        case str():
            others = ["CPython 3.13.1", "PyPy 3.12.3"] if name == "machine.python" else [f"{place}1", "other"]
        case _:
            raise AssertionError(name)
    required = name.split(".")[-1] in ("name", "device", "version", "threads", "interop_threads", "host")
    optional = not (required or name in ("machine.python", "machine.system") or "." not in name)
    in_mapping = name.startswith(("packages", "variables"))
    return [*others, None] if optional and not in_mapping else others


def test_every_field_is_either_covered_or_not(environment: Environment) -> None:
    assert leaves(environment) == {*SPEED, *INDIFFERENT}
    assert not set(SPEED) & set(INDIFFERENT)


@pytest.mark.parametrize("name", SPEED)
def test_a_change_of_what_changes_speed_changes_the_fingerprint(environment: Environment, name: str) -> None:
    others = other_values(environment, name)
    seen = {fingerprint(environment)} | {fingerprint(replaced(environment, name, value)) for value in others}
    assert len(seen) == len(others) + 1


@pytest.mark.parametrize("name", INDIFFERENT)
def test_a_change_of_anything_else_leaves_the_fingerprint(environment: Environment, name: str) -> None:
    for value in other_values(environment, name):
        assert fingerprint(replaced(environment, name, value)) == fingerprint(environment)


@pytest.mark.parametrize("name", HARDWARE)
def test_a_change_of_the_hardware_changes_the_machine_key(environment: Environment, name: str) -> None:
    for value in other_values(environment, name):
        assert machine_key(replaced(environment, name, value)) != machine_key(environment)


@pytest.mark.parametrize("name", sorted({*SPEED, *INDIFFERENT} - {*HARDWARE}))
def test_a_change_of_anything_but_hardware_leaves_the_machine_key(
    environment: Environment, name: str
) -> None:
    for value in other_values(environment, name):
        assert machine_key(replaced(environment, name, value)) == machine_key(environment)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    value=st.dictionaries(st.text(), st.text(), max_size=6),
    more=st.tuples(st.text(min_size=1).map("X".__add__), st.text()),
    seed=st.integers(),
)
def test_the_order_of_variables_is_nothing_and_each_of_them_counts(
    environment: Environment, value: dict[str, str], more: tuple[str, str], seed: int
) -> None:
    shuffled = list(value.items())
    random.Random(seed).shuffle(shuffled)
    one = msgspec.structs.replace(environment, variables=value)
    two = msgspec.structs.replace(environment, variables=dict(shuffled))
    assert fingerprint(one) == fingerprint(two)
    if more[0] not in value:
        three = msgspec.structs.replace(environment, variables=value | dict([more]))
        assert fingerprint(three) != fingerprint(one)


def test_which_cores_are_used_is_nothing_but_how_many_counts(environment: Environment) -> None:
    assert fingerprint(replaced(environment, "machine.affinity", [4, 5, 6, 7])) == fingerprint(environment)
    assert fingerprint(replaced(environment, "machine.affinity", [4, 5])) != fingerprint(environment)


def test_a_bug_fix_release_of_python_is_nothing_but_a_minor_one_counts(environment: Environment) -> None:
    def with_python(version: str) -> str:
        return fingerprint(replaced(environment, "machine.python", version))

    assert with_python("CPython 3.12.3") == with_python("CPython 3.12.11") == with_python("CPython 3.12.0rc1")
    versions = ["CPython 3.12.3", "CPython 3.13.3", "CPython 3.13.3 free-threaded", "PyPy 3.12.3"]
    assert len(set(map(with_python, versions))) == len(versions)


def test_a_second_card_counts_and_so_does_the_order_of_two(environment: Environment) -> None:
    first = environment.accelerators[0]
    second = msgspec.structs.replace(first, device="cuda:1", name="NVIDIA H100")
    both = msgspec.structs.replace(environment, accelerators=[first, second])
    turned = msgspec.structs.replace(environment, accelerators=[second, first])
    assert len({fingerprint(environment), fingerprint(both), fingerprint(turned)}) == 3


def test_the_fingerprint_of_a_run_read_from_a_file_is_what_it_was(environment: Environment) -> None:
    again = msgspec.json.decode(msgspec.json.encode(environment), type=Environment)
    assert fingerprint(again) == fingerprint(environment)
    assert machine_key(again) == machine_key(environment)
    assert re.fullmatch(r"[0-9a-f]{16}", fingerprint(environment))
    assert fingerprint(copy.deepcopy(environment)) == fingerprint(environment)


def test_fingerprints_of_files_that_exist_stay_as_they_are(environment: Environment) -> None:
    assert (fingerprint(environment), machine_key(environment)) == ("31775030366ce620", "de99debc9836d3bd")


def test_the_facts_are_named_so_that_a_difference_can_be_told(environment: Environment) -> None:
    here, there = (
        speed_facts(environment),
        speed_facts(replaced(environment, "machine.governor", "powersave")),
    )
    assert {name for name in here if here[name] != there[name]} == {"machine.governor"}
    assert hardware_facts(environment).items() <= here.items()
