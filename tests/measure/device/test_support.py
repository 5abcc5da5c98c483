"""What devices can do, and which errors say that they can't."""

from __future__ import annotations

import pytest
import torch

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import device


@pytest.mark.parametrize("name", device.DTYPES)
def test_every_dtype_that_is_offered_is_one_of_torchs(name: str) -> None:
    assert isinstance(device.torch_dtype(name), torch.dtype)


@pytest.mark.parametrize("name", ["float31", "nn", "Tensor", ""])
def test_what_is_no_dtype_is_refused(name: str) -> None:
    with pytest.raises(TorchgaugeError, match=r"unknown dtype"):
        device.torch_dtype(name)


def test_the_cpu_does_float32_and_has_no_tf32() -> None:
    assert device.why_not("cpu", "float32") is None
    assert "tf32" in str(device.why_not("cpu", "tf32"))


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.matmul(torch.ones(2, 2, dtype=torch.bool), torch.ones(2, 2, dtype=torch.bool)),
        lambda: torch.randn(2, dtype=torch.int32),
        lambda: torch.linalg.inv(torch.ones(2, 2, dtype=torch.float16)),
    ],
)
def test_what_torch_lacks_is_told_from_a_mistake_by_its_words(call) -> None:
    with pytest.raises(RuntimeError) as raised:
        call()
    reason = device.unsupported(raised.value)
    assert reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("cumsum_cuda_kernel does not have a deterministic implementation, but you set …"),
        RuntimeError("Deterministic behavior was enabled …, but this operation is not deterministic because"),
        RuntimeError("self.size(1) needs to be greater than 16 and a multiple of 8, but got 8191"),
        RuntimeError(
            "`fused=True` requires all the params to be floating point Tensors of supported devices"
        ),
        TypeError(
            "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
        ),
    ],
)
def test_what_torch_says_on_other_devices_is_a_reason_to_skip(error: Exception) -> None:
    assert device.unsupported(error)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has …"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."),
        MemoryError("Unable to allocate 7.28 TiB for an array"),
    ],
)
def test_running_out_of_memory_is_a_reason_to_skip(error: Exception) -> None:
    assert str(device.unsupported(error)).startswith("out of memory: ")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"),
        RuntimeError("The size of tensor a (3) must match the size of tensor b (2)"),
        ValueError("loss is 3.2"),
        AssertionError("not implemented for 'Int'"),
        ZeroDivisionError("not supported"),
        TypeError("'tuple' object does not support item assignment"),
        TypeError("'<' not supported between instances of 'str' and 'int'"),
        ValueError("this file is not supported"),
        RuntimeError("the batch must be a multiple of 8"),
        TypeError("unsupported operand type(s) for +: 'int' and 'str'"),
    ],
)
def test_a_mistake_is_never_a_reason_to_skip(error: Exception) -> None:
    assert device.unsupported(error) is None


def test_an_error_without_words_is_named_by_its_type() -> None:
    assert device.first_line(ValueError()) == "ValueError"
    assert device.first_line(ValueError("\n\n  one\ntwo")) == "one"
    assert len(device.first_line(ValueError("x" * 1000))) == 300
