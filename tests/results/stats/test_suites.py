"""A suite's score and its two uncertainties. The vectors were computed with SciPy 1.17.1 and statsmodels 0.15.0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from tests.results.samples import counts
from vla_bench.results.stats.rates import wilson
from vla_bench.results.stats.suites import TaskCounts, mean_rate, tasks_like_these, these_tasks

SUCCESSES = [50, 49, 48, 50, 45, 40, 47, 50, 44, 37]
T9 = 2.262157
tasks = st.lists(
    st.integers(1, 12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=12
)


def of(pairs: list[tuple[int, int]]) -> list[TaskCounts]:
    return counts([k for k, _ in pairs], [n for _, n in pairs])


def test_equal_trials_are_pooled() -> None:
    found = these_tasks(counts(SUCCESSES, 50))
    assert mean_rate(counts(SUCCESSES, 50)) == pytest.approx(0.92)
    assert found is not None
    assert (found.low, found.high, found.method) == (
        pytest.approx(0.892894, abs=5e-7), pytest.approx(0.940702, abs=5e-7), "wilson"
    )  # fmt: skip


def test_tasks_like_these_are_clustered_by_task() -> None:
    found = tasks_like_these(counts(SUCCESSES, 50))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.855310, 0.984690), abs=1e-6)
    assert (found.high - found.low) / 2 / T9 == pytest.approx(0.028597, abs=1e-6)
    assert (found.n_clusters, found.is_rough, found.method) == (10, True, "clustered")


def test_twenty_tasks_are_not_rough() -> None:
    nineteen, twenty = tasks_like_these(counts([1, 2] * 9 + [1], 3)), tasks_like_these(counts([1, 2] * 10, 3))
    assert nineteen is not None
    assert twenty is not None
    assert (nineteen.is_rough, twenty.is_rough) == (True, False)


def test_unequal_weights_are_stratified() -> None:
    even = counts(SUCCESSES, 50)
    # Two equal weights that differ in the last place: the formula for strata on the vector for equal ones.
    found = these_tasks([replace(even[0], weight=1 + 1e-9), *even[1:]])
    assert found is not None
    assert found.method == "stratified"
    half = (found.high - found.low) / 2
    assert half / float(t.isf(0.025, 490)) == pytest.approx(0.011627, abs=1e-6)


def test_unequal_trials_are_stratified_and_tasks_weigh_the_same() -> None:
    uneven = counts([8, 30], [10, 40])
    assert mean_rate(uneven) == pytest.approx((0.8 + 0.75) / 2)
    found = these_tasks(uneven)
    assert found is not None
    error = np.sqrt((0.8 * 0.2 / 9 + 0.75 * 0.25 / 39) / 4)
    assert (found.high - found.low) / 2 == pytest.approx(error * float(t.isf(0.025, 9 + 39)))


def test_strata_without_variation_fall_back_to_wilson() -> None:
    same = these_tasks([*counts([10], 10), replace(counts([10], 10)[0], task="other", weight=1 + 1e-12)])
    assert same is not None
    assert (same.low, same.high, same.method) == (pytest.approx(wilson(20, 20).low), 1.0, "wilson")  # type: ignore[union-attr]
    uneven = these_tasks(counts([10, 40], [10, 40]))
    assert uneven is not None
    assert uneven.method == "wilson"
    # A mean of two task rates of which one rests on 10 episodes is not as sure as 50 episodes of one task.
    assert wilson(10, 10).low < uneven.low < wilson(50, 50).low  # type: ignore[union-attr]


def test_one_trial_tasks_have_an_interval() -> None:
    found = these_tasks([replace(task, weight=1 + i % 2) for i, task in enumerate(counts([1, 0, 1, 1], 1))])
    assert found is not None
    assert 0 < found.low < found.high < 1


def test_repeats_of_one_initial_state_are_no_further_trials() -> None:
    once = [TaskCounts(task=f"t{i}", states=((1, 1), (0, 1), (1, 1), (1, 1)) * 3) for i in range(5)]
    ten_times = [TaskCounts(task=f"t{i}", states=((10, 10), (0, 10), (10, 10), (10, 10)) * 3) for i in range(5)]
    single, repeated = these_tasks(once), these_tasks(ten_times)
    assert single is not None
    assert repeated is not None
    assert mean_rate(ten_times) == mean_rate(once) == 0.75
    # The state decides everything here: ten rollouts of it say as much as one.
    assert repeated.method == "stratified"
    assert repeated.high - repeated.low > 0.9 * (single.high - single.low)


def test_repeats_that_scatter_within_their_states_count_for_more() -> None:
    scattered = [TaskCounts(task=f"t{i}", states=((7, 10), (8, 10), (8, 10), (7, 10)) * 3) for i in range(5)]
    found, once = these_tasks(scattered), these_tasks(counts([9] * 5, 12))
    assert found is not None
    assert once is not None
    assert found.high - found.low < 0.5 * (once.high - once.low)


def test_few_trials_in_a_group_never_look_certain() -> None:
    # A mean over three difficulty groups: 13/14, 0/4 and 0/2. Strata of two trials all at 0 show no variance.
    easy = [TaskCounts(task=f"e{i}", states=((1, 1), (int(i > 0), 1)), weight=1 / 7) for i in range(7)]
    hard = [TaskCounts(task=f"h{i}", states=((0, 1), (0, 1)), weight=1 / 2) for i in range(2)]
    medium = [TaskCounts(task="m", states=((0, 1), (0, 1)))]
    found = these_tasks([*easy, *hard, *medium])
    assert found is not None
    assert found.low < 0.2
    assert found.high > 0.5


def test_repeats_of_a_single_state_count_as_one() -> None:
    found = these_tasks([TaskCounts(task="t", states=((10, 10),))])
    assert found == wilson(1, 1)


def test_variants_of_one_base_task_are_one_cluster() -> None:
    variants = [replace(task, cluster=f"base{i // 5}") for i, task in enumerate(counts([1, 0] * 10, 1))]
    found = tasks_like_these(variants)
    assert found is not None
    assert found.n_clusters == 4
    alike = [replace(task, cluster=f"base{i // 5}") for i, task in enumerate(counts([1] * 10 + [0] * 10, 1))]
    wider = tasks_like_these(alike)
    assert wider is not None
    assert wider.high - wider.low > found.high - found.low


def test_tasks_that_do_not_differ_still_have_an_uncertainty() -> None:
    found = tasks_like_these(counts([50] * 10, 50))
    assert found is not None
    assert (found.low, found.high, found.method) == (pytest.approx(wilson(10, 10).low), 1.0, "wilson")  # type: ignore[union-attr]


def test_nothing_judged_is_no_number() -> None:
    for nothing in ([], [TaskCounts(task="t", states=())], [TaskCounts(task="t", states=((0, 0),)), *counts([1], 1)]):
        assert mean_rate(nothing) is None
        assert these_tasks(nothing) is None
        assert tasks_like_these(nothing) is None


def test_one_task_says_nothing_about_others() -> None:
    assert tasks_like_these(counts([9], 10)) is None


@given(tasks)
def test_both_intervals_hold_the_score(pairs: list[tuple[int, int]]) -> None:
    mean = mean_rate(of(pairs))
    assert mean is not None
    for found in (these_tasks(of(pairs)), tasks_like_these(of(pairs))):
        if found is not None:
            assert 0 <= found.low <= mean + 1e-12
            assert mean - 1e-12 <= found.high <= 1
            assert found.low < found.high


@given(tasks, st.randoms())
def test_the_order_of_tasks_does_not_matter(pairs: list[tuple[int, int]], random) -> None:
    shuffled = of(pairs)
    random.shuffle(shuffled)
    one, other = these_tasks(of(pairs)), these_tasks(shuffled)
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_tasks", "icc", "pooled", "clustered"),
    [(10, 0.0, 0.951, 0.941), (10, 0.1, 0.586, 0.911), (40, 0.1, 0.589, 0.937), (10, 0.2, 0.446, 0.874)],
)
def test_coverage_of_a_population_of_tasks(n_tasks: int, icc: float, pooled: float, clustered: float) -> None:
    rng, n_runs, hits = np.random.default_rng(1), 3000, np.zeros(2)
    for _ in range(n_runs):
        scale = (1 - icc) / icc if icc else 0.0
        rates = rng.beta(0.9 * scale, 0.1 * scale, n_tasks) if icc else np.full(n_tasks, 0.9)
        made = counts([int(k) for k in rng.binomial(50, rates)], 50)
        found = these_tasks(made), tasks_like_these(made)
        hits += [interval is not None and interval.low <= 0.9 <= interval.high for interval in found]
    # Two sigma of 3000 runs is .018 at worst; the values were simulated too.
    assert hits / n_runs == pytest.approx((pooled, clustered), abs=0.025)
