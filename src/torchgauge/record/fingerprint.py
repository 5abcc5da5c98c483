"""What of an environment changes speed, and the hashes over it that say what may be compared."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from torchgauge.record.schema import Environment

# They choose among the cards, and the cards themselves are covered; a scheduler gives each job another.
CHOOSERS = (
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
)


def fingerprint(environment: Environment) -> str:
    """Hash all that changes speed: the times of two runs may be compared only where it is the same."""
    return _hash(speed_facts(environment))


def machine_key(environment: Environment) -> str:
    """Hash the hardware alone: it joins the history of one machine, or of several that are alike."""
    return _hash(hardware_facts(environment))


def hardware_facts(environment: Environment) -> dict[str, Any]:
    """Give the hardware by dotted names: processor, cores, cache, accelerators."""
    machine = environment.machine
    return {
        "machine.cpu": machine.cpu,
        "machine.cores_logical": machine.cores_logical,
        "machine.cores_physical": machine.cores_physical,
        "machine.cache_bytes": machine.cache_bytes,
        "accelerators": [
            [card.name, card.capability, card.multiprocessors] for card in environment.accelerators
        ],
    }


def speed_facts(environment: Environment) -> dict[str, Any]:
    """Give all that the fingerprint covers, by dotted names.

    Left out: what wanders (load, free memory, clocks, temperature), what names but does not change
    (host, commit, folders, which of several equal cards), and what only some cases could feel
    (compiler, kernel, other packages).
    """
    machine, torch = environment.machine, environment.torch
    facts = hardware_facts(environment) | {
        "machine.affinity": None if machine.affinity is None else len(machine.affinity),
        "machine.cpu_limit": machine.cpu_limit,
        "machine.governor": machine.governor,
        "machine.virtualization": machine.virtualization,
        "machine.python": re.sub(r"(\d+\.\d+)\.\d\S*", r"\1", machine.python),
        "packages.numpy": environment.packages.get("numpy"),
    }
    facts |= {f"torch.{name}": getattr(torch, name) for name in torch.__struct_fields__ if name != "compiler"}
    facts |= {
        f"variables.{name}": value for name, value in environment.variables.items() if name not in CHOOSERS
    }
    for place, card in enumerate(environment.accelerators):
        facts |= {
            f"accelerators.{place}.{name}": getattr(card, name)
            for name in ("driver", "power_limit_watts", "ecc", "mig", "pcie_generation", "pcie_width")
        }
    return facts


def _hash(facts: dict[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
