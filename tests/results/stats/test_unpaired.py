"""Independent trials: values of the table, and what the libraries get wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import barnard_exact, binom, fisher_exact, norm
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.proportion import test_proportions_2indep as score_of_statsmodels

from vla_bench.results.stats import unpaired
from vla_bench.results.stats.unpaired import (
    independent_interval,
    independent_p,
    noninferior_independent,
    score_interval,
    score_z,
)

TABLE = [
    (25, 29, 50, 0.547465, 0.530949, 0.467499, (-0.111804, 0.263782)),
    (45, 49, 50, 0.204402, 0.119862, 0.144864, (-0.022040, 0.194789)),
    (40, 47, 50, 0.071308, 0.041685, 0.053551, (0.005441, 0.276190)),
    (2, 9, 10, 0.005477, 0.002577, 0.002577, (0.265827, 0.865179)),
]
arms = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(("k_base", "k_new", "n", "fisher", "barnard", "boschloo", "interval"), TABLE)
def test_small_arms_have_the_values_of_the_table(k_base, k_new, n, fisher, barnard, boschloo, interval) -> None:
    table = [[k_new, k_base], [n - k_new, n - k_base]]
    assert independent_p(k_new, n, k_base, n) == pytest.approx(boschloo, abs=2e-6)
    assert fisher_exact(table).pvalue == pytest.approx(fisher, abs=2e-6)
    assert barnard_exact(table).pvalue == pytest.approx(barnard, abs=2e-6)
    found = independent_interval(k_new, n, k_base, n)
    assert (found.low, found.high) == pytest.approx(interval, abs=2e-6)


def test_large_arms_take_the_score_test() -> None:
    assert independent_p(470, 500, 450, 500) == pytest.approx(0.019801, abs=1e-6)
    assert independent_p(1800, 2000, 1760, 2000) == pytest.approx(0.043271, abs=1e-6)
    found = independent_interval(470, 500, 450, 500)
    assert (found.low, found.high) == pytest.approx((0.006275, 0.074311), abs=1e-6)


def test_the_switch_lies_where_the_exact_test_becomes_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = independent_p(19, 20, 15, 20)
    monkeypatch.setattr(unpaired, "EXACT_UP_TO", 10)
    independent_p.cache_clear()
    assert independent_p(19, 20, 15, 20) != exact
    independent_p.cache_clear()


@pytest.mark.parametrize("counts", [(49, 50, 45, 50), (47, 50, 40, 50), (9, 10, 2, 10)])
def test_score_limits_are_found_where_statsmodels_finds_none(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="different signs"):
        confint_proportions_2indep(*counts, method="score")
    found = score_interval(*counts)
    assert -1 < found.low < counts[0] / counts[1] - counts[2] / counts[3] < found.high <= 1


def likeliest(new: tuple[int, int], base: tuple[int, int], delta: float) -> float:
    """The score statistic at rates found by maximising the likelihood numerically."""
    (k1, n1), (k0, n0) = new, base

    def loss(rate: float) -> float:
        other = rate + delta
        return -float(xlogy(k1, other) + xlogy(n1 - k1, 1 - other) + xlogy(k0, rate) + xlogy(n0 - k0, 1 - rate))

    low, high = max(0.0, -delta), min(1.0, 1 - delta)
    rate = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    other = rate + delta
    variance = (other * (1 - other) / n1 + rate * (1 - rate) / n0) * (n1 + n0) / (n1 + n0 - 1)
    return (k1 / n1 - k0 / n0 - delta) / np.sqrt(variance)


@given(arms, arms, st.floats(-0.5, 0.5))
def test_the_statistic_is_that_of_the_likeliest_rates(new, base, delta: float) -> None:
    ours, theirs = score_z(*new, *base, delta), likeliest(new, base, delta)
    assert not np.isnan(ours)
    if abs(theirs) < 50:
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)


def test_statsmodels_agrees_for_equal_rates_and_not_for_a_margin() -> None:
    assert score_z(470, 500, 450, 500, 0.0) == pytest.approx(2.330096, abs=1e-6)
    assert score_of_statsmodels(470, 500, 450, 500, method="score").statistic == pytest.approx(2.330096, abs=1e-6)
    # The library's p-value at a margin of 2 points is .000302; that of the likeliest rates is .000297.
    theirs = score_of_statsmodels(470, 500, 450, 500, value=-0.02, alternative="larger", method="score").pvalue
    assert theirs == pytest.approx(0.000302, abs=1e-6)
    right = norm.sf(likeliest((470, 500), (450, 500), -0.02))
    assert noninferior_independent(470, 500, 450, 500, 0.02).p_pass == pytest.approx(right, rel=1e-5)
    assert right == pytest.approx(0.000297, abs=1e-6)


@given(arms, arms)
def test_intervals_hold_the_difference_and_mirror(new: tuple[int, int], base: tuple[int, int]) -> None:
    difference = new[0] / new[1] - base[0] / base[1]
    for method in (independent_interval, score_interval):
        found, mirror = method(*new, *base), method(*base, *new)
        assert -1 <= found.low <= difference + 1e-9
        assert difference - 1e-9 <= found.high <= 1
        assert (found.low, found.high) == pytest.approx((-mirror.high, -mirror.low), abs=1e-6)


@given(arms, arms, st.floats(0.01, 0.3))
def test_a_verdict_has_numbers(new: tuple[int, int], base: tuple[int, int], margin: float) -> None:
    found = noninferior_independent(*new, *base, margin)
    assert 0 <= found.p_pass <= 1
    assert 0 <= found.p_fail <= 1
    assert found.low <= found.difference + 1e-9


@pytest.mark.parametrize("p", [0.5, 0.9, 0.97])
def test_exact_size_of_boschloo(p: float) -> None:
    n = 8
    weights = binom.pmf(np.arange(n + 1), n, p)
    rejected = np.array([[independent_p(i, n, j, n) <= 0.05 for j in range(n + 1)] for i in range(n + 1)])
    assert float(weights @ rejected @ weights) <= 0.05


def test_an_empty_arm_has_no_interval_and_no_evidence() -> None:
    assert independent_interval(0, 0, 3, 5) is None
    assert score_interval(0, 0, 3, 5) is None
    assert noninferior_independent(3, 5, 0, 0, 0.1) is None
    assert independent_p(0, 0, 3, 5) == independent_p(5, 5, 7, 7) == independent_p(0, 5, 0, 7) == 1.0


def test_jeffreys_is_as_on_the_sheet_and_not_used() -> None:
    table = {(0, 50): (0.000010, 0.048758), (45, 50): (0.794645, 0.960806), (485, 500): (0.952232, 0.982360)}
    for (k, n), interval in table.items():
        assert proportion_confint(k, n, method="jeffreys") == pytest.approx(interval, abs=1e-6)
