"""The hot paths of the package under validation, timed by pytest-benchmark."""

import pytest
from calls import calls

CALLS = calls()


@pytest.mark.parametrize("name", CALLS)
def test_hot_path(benchmark, name):
    """Time one as pytest-benchmark does."""
    fn, args = CALLS[name]
    benchmark(fn, *args)
