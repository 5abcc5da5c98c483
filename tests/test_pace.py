"""What counts as undisturbed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgauge.pace import DISTURBED, LEAST_PACES, Paces, calm_samples, is_disturbed

PACES = st.lists(st.floats(1e-6, 1e-3), min_size=1, max_size=60)


def test_the_undisturbed_pace_is_near_the_fast_end_and_a_lone_fast_reading_does_not_make_it():
    paces = Paces([10e-6] + [16e-6] * 50 + [27e-6] * 50)
    assert paces.undisturbed == 16e-6


def test_a_few_readings_do_not_say_how_fast_the_machine_can_be():
    paces = Paces([16e-6] * (LEAST_PACES - 1))
    assert paces.undisturbed is None
    assert not is_disturbed(1.0, paces.undisturbed)
    paces.add([16e-6])
    assert paces.undisturbed == pytest.approx(16e-6)


@given(PACES, st.randoms())
def test_whether_a_sample_counts_depends_on_its_pace_and_never_on_its_value(paces, random):
    undisturbed = min(paces)
    values = [random.random() for _ in paces]
    counting = set(calm_samples(range(len(paces)), paces, undisturbed))
    assert calm_samples(values, paces, undisturbed) == [values[place] for place in sorted(counting)]
    assert counting == {place for place, pace in enumerate(paces) if pace <= DISTURBED * undisturbed}


def test_samples_without_paces_all_count():
    assert calm_samples([1.0, 2.0], [], 16e-6) == [1.0, 2.0]
    assert calm_samples([1.0, 2.0], [99e-6], 16e-6) == [1.0, 2.0]  # a damaged line
