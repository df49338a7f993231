"""Aggregates over tasks beside the mean, after rliable, for scores that vary within a task.

On outcomes of 0 and 1 the interquartile mean over episodes says nothing (it is 1 wherever three quarters succeed): it
is for task rates and for chain lengths, and never a headline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_bench.results.stats.rates import Interval

__all__ = ["interquartile_mean", "performance_profile", "probability_of_improvement", "stratified_bootstrap"]


def interquartile_mean(scores: ArrayLike) -> float | None:
    """The mean of the middle half; None without scores.

    Reference: Agarwal et al. 2021 (rliable), arXiv 2108.13264.
    """
    from scipy.stats import trim_mean

    values = np.asarray(scores, float).ravel()
    return float(trim_mean(values, 0.25)) if len(values) else None


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> NDArray[np.float64]:
    """Share of scores above each threshold, float64 of the thresholds' shape; 0 without scores.

    Reference: Agarwal et al. 2021.
    """
    values, limits = np.asarray(scores, float).ravel(), np.asarray(thresholds, float)
    above = (values[:, None] > limits.ravel()).sum(axis=0) / max(1, len(values))
    return np.asarray(above.reshape(limits.shape), float)


def probability_of_improvement(new: ArrayLike, base: ArrayLike) -> float | None:
    """Chance that a score of the new policy beats one of the baseline, ties half; None where one has none.

    For outcomes of 0 and 1 this is `1/2 + (p_new - p_base) / 2`: then the difference itself says it better.

    Reference: Mann and Whitney 1947; Agarwal et al. 2021.
    """
    from scipy.stats import mannwhitneyu

    x, y = np.asarray(new, float).ravel(), np.asarray(base, float).ravel()
    if not (len(x) and len(y)):
        return None
    return float(mannwhitneyu(x, y).statistic) / (len(x) * len(y))


def stratified_bootstrap(
    scores: Sequence[ArrayLike],
    statistic: Callable[[list[NDArray[np.float64]]], float],
    rng: np.random.Generator,
    *,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> Interval | None:
    """Percentile interval of a statistic over tasks, runs resampled within each task.

    Args:
        scores: per task its scores, one per run, of any number.
        statistic: of a list of such arrays.
        rng: every draw comes from it (rliable's own resampler draws from NumPy's global one).
        n_resamples: how many.
        level: of the interval.

    Returns:
        None without tasks, or where one has no score.

    Reference: Agarwal et al. 2021.
    """
    tasks = [np.asarray(task, float).ravel() for task in scores]
    if not tasks or not all(len(task) for task in tasks):
        return None
    draws = [statistic([task[rng.integers(0, len(task), len(task))] for task in tasks]) for _ in range(n_resamples)]
    low, high = np.quantile(draws, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(low), float(high), "bootstrap")
