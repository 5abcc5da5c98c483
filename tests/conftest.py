"""A warning fails a test. Not so a benchmark: another torch may well warn of what still works.

A test may run beside others, in a worker of pytest-xdist; the pytest sessions that it starts are none of it.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# a busy machine is no failure
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")
os.environ.pop("PYTEST_XDIST_WORKER", None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "error")
