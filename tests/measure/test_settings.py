"""torch's settings: put back after a case, whatever it did to them."""

from __future__ import annotations

import contextlib

import pytest
import torch

from torchgauge.measure import settings


def switches() -> list[object]:
    """How products, convolutions and recurrent layers compute in float32."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(matmul, "fp32_precision"):
        return [part.fp32_precision for part in (matmul, cudnn.conv, cudnn.rnn)]
    return [part.allow_tf32 for part in (matmul, cudnn)]


@pytest.mark.parametrize(("dtype", "values"), [("tf32", {"tf32", True}), ("float32", {"ieee", False})])
def test_the_precision_of_float32_is_set_for_a_case_and_then_put_back(dtype: str, values: set) -> None:
    before = switches()
    with settings.precision("cuda:0", dtype):
        assert set(switches()) <= values
    assert switches() == before


@pytest.mark.parametrize(("place", "dtype"), [("cpu", "float32"), ("cuda:0", "bfloat16")])
def test_precision_is_left_alone_where_it_means_nothing(place: str, dtype: str) -> None:
    before = switches()
    assert "ieee" not in before  # else this shows nothing
    with settings.precision(place, dtype):
        assert switches() == before


def test_convolutions_that_torch_computes_in_tf32_are_told_so() -> None:
    assert settings.flags()["tf32_cudnn"] is True  # torch's default


def test_what_a_case_changes_for_the_whole_process_is_put_back() -> None:
    cudnn = torch.backends.cudnn

    def state() -> list[object]:
        made = torch.ones(1)
        return [
            torch.get_num_threads(),
            made.dtype,
            made.device,
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            cudnn.benchmark,
        ]

    before = state()
    with contextlib.suppress(ZeroDivisionError), settings.kept():
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)
        cudnn.benchmark = True
        changed = state()
        _ = 1 / 0
    assert [a != b for a, b in zip(before, changed, strict=True)] == [True] * len(before)
    assert state() == before


def precisions() -> list[object]:
    """All that decides how float32 and half products are computed, on any device."""
    backends = torch.backends
    found: list[object] = [torch.get_float32_matmul_precision(), *switches()]
    found += [getattr(backends.cuda.matmul, f"allow_{name}", None) for name in settings._REDUCED]
    if hasattr(backends.mkldnn, "matmul"):
        found += [backends.mkldnn.matmul.fp32_precision]
    return found


def test_the_precision_that_a_case_sets_is_not_the_next_ones() -> None:
    before = precisions()
    with settings.kept():
        torch.set_float32_matmul_precision("high")
        for name in settings._REDUCED:
            switch = f"allow_{name}"
            if hasattr(torch.backends.cuda.matmul, switch):
                setattr(torch.backends.cuda.matmul, switch, not getattr(torch.backends.cuda.matmul, switch))
        changed = precisions()
    assert changed[0] == "high"
    assert sum(a != b for a, b in zip(before, changed, strict=True)) >= 4
    assert precisions() == before


def test_tf32_that_a_case_sets_by_itself_is_put_back_inside_the_precision_of_its_dtype() -> None:
    before = switches()
    with settings.kept(), settings.precision("cuda:0", "float32"):
        torch.set_float32_matmul_precision("high")
    assert switches() == before
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("kernel", ["flash", "mem_efficient", "math", "cudnn"])
def test_kernels_for_attention_that_a_case_switches_off_are_on_again(kernel: str) -> None:
    enabled = getattr(torch.backends.cuda, f"{kernel}_sdp_enabled")
    assert enabled()
    with settings.kept():
        getattr(torch.backends.cuda, f"enable_{kernel}_sdp")(False)
        assert not enabled()
    assert enabled()


def test_cudnns_switches_are_put_back() -> None:
    cudnn = torch.backends.cudnn
    before = (cudnn.enabled, cudnn.benchmark, cudnn.deterministic)
    with settings.kept():
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = (not value for value in before)
    assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic) == before


def test_what_a_case_leaves_alone_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    kept = [(read, lambda value: written.append(str(value))) for read, _ in settings._KEPT]
    monkeypatch.setattr(settings, "_KEPT", kept)
    with settings.kept():
        pass
    assert written == []


def test_what_a_fixture_has_set_stays_for_the_cases_under_it() -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with settings.kept():
            pass
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(before)


def test_threads_are_set_for_all_that_follows() -> None:
    before = torch.get_num_threads()
    try:
        settings.use_threads(1)
        assert settings.torch.get_num_threads() == 1
    finally:
        settings.use_threads(before)
    assert torch.get_num_threads() == before
