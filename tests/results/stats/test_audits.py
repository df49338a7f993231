"""What a replay of a sample says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.results.stats.audits import chance_of_catching, deviating_at_most


@pytest.mark.parametrize(("n", "share"), [(10, 0.259), (30, 0.095), (59, 0.050), (100, 0.030), (299, 0.010)])
def test_a_clean_sample_bounds_the_rest(n: int, share: float) -> None:
    assert deviating_at_most(n) == pytest.approx(share, abs=6e-4)
    assert deviating_at_most(n) == pytest.approx(1 - 0.05 ** (1 / n), abs=1e-9)


@pytest.mark.parametrize(("forged", "chances"), [(25, (0.649, 0.933, 0.997)), (10, (0.338, 0.655, 0.895))])
def test_chances_of_catching(forged: int, chances: tuple[float, ...]) -> None:
    assert [chance_of_catching(500, forged, s) for s in (20, 50, 100)] == pytest.approx(chances, abs=6e-4)


@given(st.integers(1, 200), st.integers(1, 200))
def test_a_larger_sample_catches_more(one: int, other: int) -> None:
    assert chance_of_catching(500, 10, min(one, other)) <= chance_of_catching(500, 10, max(one, other)) + 1e-12


def test_no_sample_says_nothing() -> None:
    assert deviating_at_most(0) is None
    assert chance_of_catching(500, 0, 100) == 0.0
