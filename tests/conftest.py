"""A warning fails a test. Not so a benchmark: another torch may well warn of what still works."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "error")
