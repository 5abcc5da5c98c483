"""A warning fails a test. Not so a benchmark: another torch may well warn of what still works.

A test may run beside others, in a worker of pytest-xdist; the pytest sessions that it starts are none of it.
"""

from __future__ import annotations

import os

import pytest

os.environ.pop("PYTEST_XDIST_WORKER", None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "error")
