"""Times of real kernels: one instrument is held against another, on the same card in the same moment."""

from __future__ import annotations

import warnings
from functools import partial
from statistics import median

import pytest
import torch

from torchgauge.measure import device
from torchgauge.measure.clock import EventClock
from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.instruments.profile import Profile
from torchgauge.measure.instruments.time import Time
from torchgauge.measure.reasons import Unknown
from torchgauge.measure.subject import Subject

DEVICE = "cuda:0"


def times(subject: Subject, visit: Visit) -> dict[str, Observation]:
    return {one.metric: one for one in Time().observe(subject, visit)[1]}


def seconds(one: Observation) -> float:
    return median(one.samples)


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, device=DEVICE).to(dtype)


def test_the_events_of_a_large_product_tell_what_the_profiler_tells_of_its_kernels(visit: Visit) -> None:
    subject = Subject(torch.matmul, (random(4096, 4096), random(4096, 4096)))
    timed = seconds(times(subject, visit)["device_time"])
    profiled = {one.metric: one for one in Profile().observe(subject, visit)[1]}["self_device_time"]
    assert timed == pytest.approx(seconds(profiled), rel=0.15)


def test_a_sleep_lasts_about_as_long_as_it_was_told_to() -> None:
    queue = device.queue(DEVICE)
    queue.sleep(1e-3)
    begin, end = queue.event(), queue.event()
    begin.record()
    queue.sleep(5e-3)
    end.record()
    end.synchronize()
    assert 3.5 < begin.elapsed_time(end) < 7.5


def test_small_calls_run_without_gaps_though_they_take_the_host_longer(visit: Visit) -> None:
    x = random(64)
    seen = times(Subject(torch.add, (x, x)), visit)
    assert seen["device_time"].method == "device-events"
    assert not any("launch-bound" in warning for warning in seen["device_time"].warnings)
    assert seconds(seen["device_time"]) < seconds(seen["submit_time"])


def test_without_a_sleep_before_it_the_same_block_is_seen_to_starve() -> None:
    x = random(64)
    clock = EventClock(device.queue(DEVICE))
    clock.waits = True  # takes no sleep
    block = Subject(torch.add, (x, x)).block(200)
    block()
    blocks = [clock.time(block) for _ in range(20)]
    assert sum(block.starved for block in blocks) > 15


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda _: torch.cuda.synchronize(),
    ],
    ids=["item", "cpu", "nonzero", "synchronize"],
)
def test_a_call_that_waits_for_the_card_is_known_as_one(call, visit: Visit) -> None:
    seen = times(Subject(call, (random(1000),)), visit)
    first = next(iter(seen.values()))
    assert first.conditions["synchronizes"] is True
    assert first.method == "host-clock-synchronized" or any("waits" in one for one in first.warnings)


def test_a_call_that_only_queues_is_not_taken_for_one_that_waits() -> None:
    x = random(1000)
    assert not device.synchronizes(DEVICE, lambda: x + 1)
    host = torch.zeros(1000).pin_memory()
    assert not device.synchronizes(DEVICE, lambda: x.copy_(host, non_blocking=True))


def test_with_a_cold_cache_what_would_lie_in_it_takes_longer(visit: Visit) -> None:
    x, target = random(2**21), random(2**21)  # 8 MiB each
    seen = times(Subject(partial(torch.add, x, 1.0, out=target)), visit)
    assert seconds(seen["device_time_cold"]) > 1.1 * seconds(seen["device_time"])


def test_a_graph_of_small_calls_takes_no_longer_than_they_do(visit: Visit) -> None:
    x = random(64)
    seen = times(Subject(torch.add, (x, x)), visit)
    assert 0 < seconds(seen["graph_time"]) < 1.1 * seconds(seen["device_time"])


def test_what_can_not_be_captured_says_so_and_leaves_the_card_and_its_generator_as_they_were() -> None:
    x = random(100)
    queue = device.queue(DEVICE)
    stream = torch.cuda.current_stream(DEVICE)
    with pytest.raises(Unknown, match="captur"):
        queue.capture(lambda: x.sum().item())
    with pytest.raises(Unknown):
        queue.capture(lambda: (x.uniform_(), x.cpu()))
    assert torch.cuda.current_stream(DEVICE) == stream
    assert (random(1000) @ torch.ones(1000, device=DEVICE)).isfinite()
    replay = queue.capture(lambda: x.fill_(3.0))
    x.zero_()
    replay()
    assert x.sum().item() == 300.0


def test_random_numbers_are_as_they_would_be_had_nothing_been_captured() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3, device=DEVICE)
    queue = device.queue(DEVICE)
    with pytest.raises(Unknown):
        queue.capture(lambda: torch.rand(3, device=DEVICE).cpu())
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3, device=DEVICE), expected)


def test_a_call_that_gives_the_card_nothing_to_do_is_timed_by_the_host(visit: Visit) -> None:
    x = random(100)
    for call in (lambda: torch.empty(1000, device=DEVICE), x.detach, lambda: x[2:]):
        assert list(times(Subject(call), visit)) == ["time", "submit_time", "first_call"]


def test_the_step_and_the_cost_of_events_are_those_of_this_card() -> None:
    queue = device.queue(DEVICE)
    assert 0 < queue.event_resolution <= 0.5e-6
    assert 0.2e-6 < queue.event_overhead < 10e-6


def test_why_a_step_can_not_be_captured_is_what_the_optimizer_says() -> None:
    weight = torch.nn.Parameter(random(10))
    weight.grad = random(10)
    optimizer = torch.optim.Adam([weight])
    optimizer.step()
    with pytest.raises(Unknown, match="capturable"):
        device.queue(DEVICE).capture(lambda: optimizer.step() and None)


def test_the_memory_of_captures_that_fail_comes_back() -> None:
    queue = device.queue(DEVICE)
    x = random(100)
    torch.cuda.empty_cache()
    before = torch.cuda.mem_get_info(DEVICE)[0]
    breaks, forbidden = x.sum().item, x.cpu  # the first makes CUDA end the capture, the second torch refuses
    for call in (breaks, forbidden, breaks, forbidden):
        with pytest.raises(Unknown):
            queue.capture(lambda call=call: (torch.empty(2**28, device=DEVICE), call()))
    torch.cuda.empty_cache()
    assert before - torch.cuda.mem_get_info(DEVICE)[0] < 2**29  # of 4 GiB


def test_a_step_that_could_not_be_captured_trains_on_as_before() -> None:
    net = torch.nn.Linear(10, 1).to(DEVICE)
    optimizer = torch.optim.Adam(net.parameters())
    x = random(32, 10)

    def step() -> None:
        net(x).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    with pytest.raises(Unknown):
        device.queue(DEVICE).capture(step)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step()
