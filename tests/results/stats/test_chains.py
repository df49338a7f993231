"""CALVIN's chains: the vector of the sheet, and what happens where nothing varies."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.results.stats.chains import (
    counted,
    independent_lengths,
    mean_length,
    noninferior_independent_lengths,
    noninferior_lengths,
    stage_rates,
)
from vla_bench.results.stats.noninferiority import Verdict

LENGTHS = dict(zip(range(6), (20, 40, 60, 80, 150, 650), strict=True))
lengths = st.lists(st.integers(0, 5), min_size=1, max_size=40)


def test_vector_of_a_thousand_chains() -> None:
    found = mean_length(LENGTHS)
    assert (found.mean, found.n) == (pytest.approx(4.25), 1000)
    assert found.error == pytest.approx(0.039863, abs=1e-6)
    assert (found.interval.low, found.interval.high) == pytest.approx((4.17195, 4.3270), abs=1e-9)
    normal = 4.25 - 1.959964 * found.error, 4.25 + 1.959964 * found.error
    assert normal == pytest.approx((4.171869, 4.328131), abs=1e-6)
    assert (found.interval.low, found.interval.high) == pytest.approx((4.1690, 4.3258), abs=0.003)  # BCa
    assert [rate.rate for rate in stage_rates(LENGTHS, 5)] == pytest.approx([0.98, 0.94, 0.88, 0.80, 0.65])


@given(lengths)
def test_the_average_length_is_the_sum_of_its_stages(found: list[int]) -> None:
    rates = stage_rates(counted(found), 5)
    assert sum(rate.rate for rate in rates) == pytest.approx(np.mean(found))
    assert all(one.rate >= other.rate for one, other in pairwise(rates))
    assert all(rate.interval.low <= rate.rate <= rate.interval.high for rate in rates)


def test_constant_lengths_have_no_interval_and_are_no_certainty() -> None:
    found = mean_length({5: 1000})
    assert (found.mean, found.error, found.interval) == (5.0, 0.0, None)
    assert mean_length({}) is None
    assert stage_rates({}, 5) == []


def test_few_chains_are_rough() -> None:
    assert mean_length({5: 30, 4: 19}).is_rough
    assert not mean_length({5: 30, 4: 20}).is_rough


def test_the_order_of_chains_does_not_matter() -> None:
    assert mean_length(counted([5, 0, 3, 5])) == mean_length({0: 1, 3: 1, 5: 2}) == mean_length({5: 2, 3: 1, 0: 1})


def test_noninferiority_of_lengths() -> None:
    equal = noninferior_lengths({0: 900, 1: 50, -1: 50}, 0.1)
    assert (equal.verdict, equal.difference) == (Verdict.PASS, 0.0)
    worse = noninferior_lengths({0: 600, -2: 300, 1: 100}, 0.25)
    assert (worse.verdict, worse.difference) == (Verdict.FAIL, pytest.approx(-0.5))
    assert noninferior_lengths({0: 8, -2: 1, 2: 1}, 0.25).verdict is Verdict.INCONCLUSIVE
    assert noninferior_lengths({}, 0.25) is None


def test_chains_that_never_differ_pass_only_where_there_are_enough() -> None:
    # At most a share 1 - 0.05^(1/n) of all chains can differ, by five subtasks each: 59 chains for a quarter.
    assert noninferior_lengths({0: 58}, 0.25).verdict is Verdict.INCONCLUSIVE
    assert noninferior_lengths({0: 59}, 0.25).verdict is Verdict.PASS
    assert noninferior_lengths({-1: 500}, 0.25).verdict is Verdict.FAIL
    assert noninferior_lengths({-1: 2}, 0.25).verdict is Verdict.INCONCLUSIVE


def test_lengths_against_a_published_distribution() -> None:
    same = noninferior_independent_lengths(LENGTHS, LENGTHS, 0.25)
    assert (same.verdict, same.difference) == (Verdict.PASS, 0.0)
    assert noninferior_independent_lengths({5: 20}, {5: 20}, 0.01).verdict is Verdict.INCONCLUSIVE
    assert noninferior_independent_lengths({3: 1000}, LENGTHS, 0.25).verdict is Verdict.FAIL
    assert noninferior_independent_lengths({}, LENGTHS, 0.25) is None


def test_two_average_lengths_of_independent_chains_are_what_statsmodels_says() -> None:
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    a = np.repeat(list(LENGTHS), list(LENGTHS.values())).astype(float)
    b = np.repeat([0.0, 3.0, 5.0], [60, 120, 300])
    found = independent_lengths(a.mean(), a.var(ddof=1), len(a), b.mean(), b.var(ddof=1), len(b))
    assert found is not None
    both = CompareMeans(DescrStatsW(a), DescrStatsW(b))
    assert found.p == pytest.approx(both.ztest_ind(usevar="unequal")[1], rel=1e-9)
    assert (found.interval.low, found.interval.high) == pytest.approx(both.zconfint_diff(usevar="unequal"), rel=1e-9)
    assert found.difference == a.mean() - b.mean()
    assert independent_lengths(5.0, 0.0, 100, 4.0, 0.0, 100) is None
    assert independent_lengths(5.0, 1.0, 0, 4.0, 1.0, 100) is None


@pytest.mark.slow
def test_type_one_error_of_lengths_at_the_margin() -> None:
    # Differences of -2 with probability .15 and of +1 with .05: the mean is exactly the margin of a quarter.
    rng, n_runs, passed = np.random.default_rng(3), 1500, 0
    for _ in range(n_runs):
        drawn = rng.choice([-2, 0, 1], size=300, p=[0.15, 0.80, 0.05])
        passed += noninferior_lengths(counted(drawn), 0.25).verdict is Verdict.PASS
    assert passed / n_runs <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / n_runs)
