"""What carries over from rliable, and where it does not."""

from __future__ import annotations

import numpy as np
import pytest

from vla_bench.results.stats.aggregates import (
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    stratified_bootstrap,
)

SUCCESSES = [50, 49, 48, 50, 45, 40, 47, 50, 44, 37]


def test_the_interquartile_mean_over_episodes_says_nothing() -> None:
    cells = np.concatenate([[1] * k + [0] * (50 - k) for k in SUCCESSES])
    assert interquartile_mean(cells) == 1.0
    assert interquartile_mean(np.array(SUCCESSES) / 50) == pytest.approx(0.943333, abs=1e-6)
    assert interquartile_mean([]) is None


def test_probability_of_improvement_of_outcomes_is_their_difference() -> None:
    assert probability_of_improvement([1] * 45 + [0] * 5, [1] * 40 + [0] * 10) == pytest.approx(0.55)
    assert probability_of_improvement([], [1]) is None


def test_profile() -> None:
    assert performance_profile([0.2, 0.5, 0.9], [0.0, 0.5, 0.95]).tolist() == pytest.approx([1, 1 / 3, 0])


def test_the_resampler_draws_from_its_own_generator() -> None:
    scores = [np.array([0.2, 0.4, 0.9]), np.array([0.1, 0.8])]

    def mean(tasks: list[np.ndarray]) -> float:
        return float(np.mean([task.mean() for task in tasks]))

    one = stratified_bootstrap(scores, mean, np.random.default_rng(1), n_resamples=200)
    again = stratified_bootstrap(scores, mean, np.random.default_rng(1), n_resamples=200)
    assert one == again
    assert one.low < mean(scores) < one.high
    assert stratified_bootstrap([], mean, np.random.default_rng(1)) is None
    assert stratified_bootstrap([np.array([])], mean, np.random.default_rng(1)) is None
