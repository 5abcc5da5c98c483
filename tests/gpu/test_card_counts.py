"""What real calls do on the card, counted: kernels, launches, copies, waits, memory; and their energy."""

from __future__ import annotations

import torch

from torchgauge.measure import device, nvml
from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.instruments.energy import Energy
from torchgauge.measure.instruments.memory import Memory
from torchgauge.measure.instruments.profile import Profile
from torchgauge.measure.reasons import Reasons
from torchgauge.measure.subject import Subject

DEVICE = "cuda:0"
COUNTS = ("kernels", "launches", "copies", "synchronizations")


def observed(instrument, subject: Subject, visit: Visit) -> dict[str, Observation]:
    return {one.metric: one for one in instrument.observe(subject, visit)[1]}


def counted(subject: Subject, visit: Visit) -> dict[str, float]:
    seen = observed(Profile(), subject, visit)
    return {metric: seen[metric].samples[-1] for metric in COUNTS}


def test_an_addition_is_one_kernel_by_one_launch(visit: Visit) -> None:
    x = torch.randn(1000, device=DEVICE)
    assert counted(Subject(torch.add, (x, x)), visit) == {
        "kernels": 1, "launches": 1, "copies": 0, "synchronizations": 0,
    }  # fmt: skip


def test_a_copy_to_the_host_is_one_copy_and_a_wait(visit: Visit) -> None:
    x = torch.randn(1000, device=DEVICE)
    seen = observed(Profile(), Subject(x.cpu), visit)
    assert seen["kernels"].samples[-1] == 0
    assert [part.value for part in seen["copies"].parts] == [1.0]
    assert "DtoH" in seen["copies"].parts[0].name
    assert seen["synchronizations"].samples[-1] >= 1


def test_a_graph_of_three_kernels_is_one_launch(visit: Visit) -> None:
    x = torch.randn(1000, device=DEVICE)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = x * 2
        z = y + 1
        z.sqrt_()
    seen = counted(Subject(graph.replay), visit)
    assert (seen["launches"], seen["kernels"]) == (1, 3)


def test_the_memory_of_a_call_on_the_card_is_that_of_its_result_and_what_is_between(visit: Visit) -> None:
    x = torch.randn(2**18, device=DEVICE)  # 1 MiB
    seen = observed(Memory(), Subject(lambda: (x + 1) * 2), visit)
    assert seen["allocated_bytes"].samples[-1] == 2 * 2**20
    assert seen["peak_bytes"].samples[-1] == 2 * 2**20
    assert seen["left_bytes"].samples[-1] == 0


def test_a_large_product_takes_more_power_than_resting_and_no_more_than_the_card_may(visit: Visit) -> None:
    card = nvml.read_card(device.describe(DEVICE).uuid, Reasons("card", {}))
    x = torch.randn(4096, 4096, device=DEVICE)
    seen = observed(Energy(), Subject(torch.matmul, (x, x)), visit)
    assert seen["energy"].samples[-1] > 0
    assert seen["energy"].warnings == []
    idle = float(seen["power"].conditions["idle_watts"] or 0)
    assert 0 < idle < seen["power"].samples[-1] < 1.1 * card["power_limit_watts"]


def test_the_card_that_is_asked_is_the_one_that_torch_computes_on() -> None:
    facts = device.describe(DEVICE)
    found = nvml.read_card(facts.uuid, Reasons("card", {}))
    assert found["clock_max_hertz"] > 500e6
    assert found["driver"]
    held = torch.ones(2**20, device=DEVICE)
    state = nvml.Card(facts.uuid).state()
    assert held.sum().item() == 2**20
    assert 0 < state["clock_hertz"] <= found["clock_max_hertz"]
    assert state["power_watts"] > 10
    assert state["other_processes"] == 0
