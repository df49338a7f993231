"""One success rate. Tables of inputs and values: computed with SciPy 1.17.1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from vla_bench.results.stats.rates import clopper_pearson, rate_bounds, wilson, wilson_of_mean

INTERVALS = [
    (0, 50, 0.000000, 0.071348, 0.000000, 0.071122),
    (25, 50, 0.366445, 0.633555, 0.355273, 0.644727),
    (45, 50, 0.786398, 0.956524, 0.781865, 0.966725),
    (49, 50, 0.895046, 0.996461, 0.893530, 0.999494),
    (50, 50, 0.928652, 1.000000, 0.928878, 1.000000),
    (9, 10, 0.595850, 0.982124, 0.554984, 0.997471),
    (485, 500, 0.951096, 0.981737, 0.951002, 0.983114),
]
# n, method, coverage at p = .50 .90 .95 .97 .99, mean over p, mean width at p = .97, as on the statistics sheet.
COVERAGE = [
    (50, wilson, (0.9351, 0.9703, 0.9622, 0.9372, 0.9106), 0.9517, 0.1093),
    (50, clopper_pearson, (0.9672, 0.9703, 0.9882, 0.9832, 0.9862), 0.9693, 0.1154),
    (500, wilson, (0.9456, 0.9563, 0.9499, 0.9526, 0.9623), 0.9500, 0.0304),
    (500, clopper_pearson, (0.9559, 0.9634, 0.9605, 0.9653, 0.9802), 0.9572, 0.0319),
    (10, wilson, (0.9785, 0.9298, 0.9139, 0.9655, 0.9044), 0.9542, 0.3085),
]
counts = st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(("k", "n", "low", "high", "exact_low", "exact_high"), INTERVALS)
def test_intervals_have_the_values_of_the_table(
    k: int, n: int, low: float, high: float, exact_low: float, exact_high: float
) -> None:
    found, exact = wilson(k, n), clopper_pearson(k, n)
    assert found is not None
    assert exact is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-7)
    assert (exact.low, exact.high) == pytest.approx((exact_low, exact_high), abs=5e-7)
    assert (found.method, exact.method) == ("wilson", "clopper_pearson")


@pytest.mark.parametrize(("n", "method", "coverages", "mean", "width"), COVERAGE)
def test_intervals_cover_as_often_as_the_table_says(n: int, method, coverages, mean: float, width: float) -> None:
    intervals = [method(k, n) for k in range(n + 1)]
    low, high = np.array([i.low for i in intervals]), np.array([i.high for i in intervals])
    for p, expected in zip((0.5, 0.9, 0.95, 0.97, 0.99), coverages, strict=True):
        weights = binom.pmf(np.arange(n + 1), n, p)
        assert float(weights[(low <= p) & (p <= high)].sum()) == pytest.approx(expected, abs=6e-5)
    # The integral over p; the sheet's mean was taken over a grid.
    hits = np.arange(1, n + 2), np.arange(n + 1, 0, -1)
    assert float((beta.cdf(high, *hits) - beta.cdf(low, *hits)).mean()) == pytest.approx(mean, abs=5e-4)
    assert float(binom.pmf(np.arange(n + 1), n, 0.97) @ (high - low)) == pytest.approx(width, abs=6e-5)


def test_no_episodes_have_no_interval() -> None:
    assert wilson(0, 0) is None
    assert clopper_pearson(0, 0) is None


def test_more_successes_than_episodes_are_a_mistake() -> None:
    with pytest.raises(ValueError):
        wilson(3, 2)


@given(counts)
def test_an_interval_holds_its_rate_and_stays_within_0_and_1(count: tuple[int, int]) -> None:
    for method in (wilson, clopper_pearson):
        found = method(*count)
        if found is not None:
            assert 0 <= found.low <= count[0] / count[1] <= found.high <= 1


@given(counts.filter(lambda count: count[1] > 0))
def test_the_formula_for_means_equals_the_library_where_both_apply(count: tuple[int, int]) -> None:
    k, n = count
    found, of_mean = wilson(k, n), wilson_of_mean(k / n, n)
    assert found is not None
    assert (of_mean.low, of_mean.high) == pytest.approx((found.low, found.high), abs=1e-12)


@given(counts)
def test_mirrored_counts_have_mirrored_intervals(count: tuple[int, int]) -> None:
    k, n = count
    found, mirror = wilson(k, n), wilson(n - k, n)
    if found is not None and mirror is not None:
        assert found.low == pytest.approx(1 - mirror.high, abs=1e-12)


def test_bounds_of_an_incomplete_run() -> None:
    assert rate_bounds(430, 460, 500) == pytest.approx((0.86, 0.94))
    assert rate_bounds(0, 0, 20) == (0.0, 1.0)
    assert rate_bounds(0, 0, 0) is None


@given(counts, st.integers(0, 100), st.data())
def test_bounds_hold_every_possible_rate(count: tuple[int, int], n_lost: int, data: st.DataObject) -> None:
    k, n = count
    if bounds := rate_bounds(k, n, n + n_lost):
        further = data.draw(st.integers(0, n_lost))
        assert bounds[0] <= (k + further) / (n + n_lost) <= bounds[1]
