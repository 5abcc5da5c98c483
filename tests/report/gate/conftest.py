from __future__ import annotations

import pytest

from compared import made
from torchgauge.record.ab import AbRun, Verdict


@pytest.fixture
def compared() -> AbRun:
    """A comparison that holds every verdict of a case."""
    return made()


@pytest.fixture
def invalid() -> AbRun:
    """The same, but nothing of it counts."""
    return made(verdict=Verdict.INVALID, disturbed="the canary differs")
