"""What the replay of a sample says about all episodes: the numbers of the design sheet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.results.stats.audit import chance_to_catch, deviating_at_most, sample_for
from vla_bench.results.stats.rates import clopper_pearson


@pytest.mark.parametrize(("n", "share"), [(10, 0.259), (30, 0.095), (59, 0.050), (100, 0.030), (299, 0.010)])
def test_a_clean_sample_leaves_at_most_so_many_deviating(n: int, share: float) -> None:
    assert deviating_at_most(n) == pytest.approx(share, abs=5e-4)


@given(st.integers(1, 2000), st.floats(0.5, 0.999))
def test_the_share_is_the_one_sided_limit_of_clopper_and_pearson(n: int, confidence: float) -> None:
    interval = clopper_pearson(0, n, 2 * confidence - 1)
    assert interval is not None
    assert deviating_at_most(n, confidence) == pytest.approx(interval.high, abs=1e-9)


@pytest.mark.parametrize(
    ("n_deviating", "n_sampled", "chance"),
    [(25, 20, 0.649), (25, 50, 0.933), (25, 100, 0.997), (10, 20, 0.338), (10, 50, 0.655), (10, 100, 0.895)],
)
def test_a_sample_of_500_catches_forgeries_with_this_chance(n_deviating: int, n_sampled: int, chance: float) -> None:
    assert chance_to_catch(500, n_deviating, n_sampled) == pytest.approx(chance, abs=5e-4)


@given(st.integers(1, 200), st.integers(1, 200))
def test_a_larger_sample_catches_more(one: int, other: int) -> None:
    assert chance_to_catch(500, 10, min(one, other)) <= chance_to_catch(500, 10, max(one, other)) + 1e-12


@pytest.mark.parametrize(("share", "n"), [(0.05, 59), (0.01, 299), (0.03, 99)])
def test_the_sample_for_a_share_is_the_smallest_that_is_enough(share: float, n: int) -> None:
    assert sample_for(share) == n
    assert deviating_at_most(n) <= share < deviating_at_most(n - 1)


def test_an_empty_sample_says_nothing() -> None:
    with pytest.raises(ValueError, match="nothing was drawn"):
        deviating_at_most(0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        sample_for(0.0)
    assert chance_to_catch(500, 0, 100) == 0.0
