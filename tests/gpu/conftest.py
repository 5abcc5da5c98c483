"""Tests that need a card: each is marked `gpu`, and skipped with the reason where torch sees none."""

from __future__ import annotations

import pytest
import torch

from torchgauge.measure.instruments import Visit

DEVICE = "cuda:0"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "gpu":
            item.add_marker(pytest.mark.gpu)
            item.add_marker(
                pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
            )


@pytest.fixture
def visit() -> Visit:
    """One look at a case on the card."""
    return Visit("group/case[cuda:0]", DEVICE, first=True, seconds=0.2)
