"""CALVIN's chains: the average length and its bootstrap. The unit of resampling is the chain, never the subtask."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from vla_bench.results.stats.noninferiority import NonInferiority, verdict_of
from vla_bench.results.stats.rates import Interval, wilson

__all__ = [
    "ROUGH_BELOW_CHAINS", "LengthDifference", "MeanLength", "StageRate", "counted", "independent_lengths",
    "mean_length", "noninferior_independent_lengths", "noninferior_lengths", "stage_rates",
]  # fmt: skip

N_RESAMPLES = 9999
ROUGH_BELOW_CHAINS = 50
"""With fewer chains than this the percentile bootstrap undercovers noticeably: it is shown as rough."""

Counts = tuple[tuple[int, int], ...]
"""`(value, how often)`, ascending: chain lengths, or differences of the lengths of two policies on one chain."""


@dataclass(frozen=True, slots=True)
class MeanLength:
    """A mean over chains.

    Attributes:
        mean: of the lengths, or of their paired differences.
        error: standard error; 0 where nothing varies.
        interval: percentile bootstrap over chains; None where nothing varies, which is no certainty.
        n: chains.
    """

    mean: float
    error: float
    interval: Interval | None
    n: int

    @property
    def is_rough(self) -> bool:
        """Whether there are too few chains for the interval to be taken at its word."""
        return self.n < ROUGH_BELOW_CHAINS


@dataclass(frozen=True, slots=True)
class LengthDifference:
    """A difference of two average lengths with its interval and the two-sided p-value of none."""

    difference: float
    interval: Interval
    p: float


@dataclass(frozen=True, slots=True)
class StageRate:
    """How many chains reached the end of stage `k`, counted from 1 (CALVIN's SR@k), with Wilson's interval."""

    k: int
    n_success: int
    n: int
    rate: float
    interval: Interval


def counted(values: ArrayLike) -> Counts:
    """Count equal values: the key under which results are remembered."""
    found, counts = np.unique(np.asarray(values, dtype=np.int64), return_counts=True)
    return tuple((int(value), int(count)) for value, count in zip(found, counts, strict=True))


def mean_length(counts: Counts | Mapping[int, int], level: float = 0.95) -> MeanLength | None:
    """Mean and percentile bootstrap of lengths, or of paired differences of lengths; None without chains.

    Percentile, because at a thousand chains BCa and the normal interval agree with it to 0.003.

    Args:
        counts: value → how often; `counted` makes them. Differences of pairs resample pairs, as they must.
        level: of the interval.

    Reference: Efron and Tibshirani 1993, chapter 13; `scipy.stats.bootstrap`.
    """
    return _mean_length(_sorted(counts), level)


@lru_cache(maxsize=4096)
def _mean_length(counts: Counts, level: float) -> MeanLength | None:
    data = np.repeat([value for value, _ in counts], [count for _, count in counts]).astype(float)
    if not len(data):
        return None
    mean = float(data.mean())
    if data.min() == data.max():
        return MeanLength(mean, 0.0, None, len(data))
    from scipy.stats import bootstrap

    found = bootstrap(
        (data,), np.mean, n_resamples=N_RESAMPLES, confidence_level=level, method="percentile", batch=500,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    low, high = found.confidence_interval
    interval = Interval(min(float(low), mean), max(float(high), mean), "bootstrap")
    return MeanLength(mean, float(data.std(ddof=1) / np.sqrt(len(data))), interval, len(data))


def stage_rates(lengths: Counts | Mapping[int, int], n_stages: int) -> list[StageRate]:
    """The share of chains of at least k stages for k = 1 … `n_stages`; empty without chains. Their sum is the mean."""
    counts = _sorted(lengths)
    n = sum(count for _, count in counts)
    rates = []
    for k in range(1, n_stages + 1):
        n_success = sum(count for length, count in counts if length >= k)
        if (interval := wilson(n_success, n)) is not None:
            rates.append(StageRate(k, n_success, n, n_success / n, interval))
    return rates


def noninferior_lengths(
    differences: Counts | Mapping[int, int], margin: float, alpha: float = 0.05, *, n_stages: int = 5
) -> NonInferiority | None:
    """Whether the average length fell by more than `margin` subtasks: one-sided ends of the paired bootstrap.

    Where no chain differs, the bootstrap has nothing to resample. Then at most a share `1 - alpha^(1/n)` of all chains
    can differ, each by `n_stages` at worst, and that bounds the loss.

    Args:
        differences: length under the new policy minus that under the baseline → how many chains.
        margin: tolerated loss, subtasks.
        alpha: of the test, one-sided.
        n_stages: the longest possible chain.

    Returns:
        None without chains. The p-values are shares of resamples beyond the margin, never below 1 / 10,000.
    """
    return _noninferior_lengths(_sorted(differences), margin, alpha, n_stages)


@lru_cache(maxsize=4096)
def _noninferior_lengths(counts: Counts, margin: float, alpha: float, n_stages: int) -> NonInferiority | None:
    n = sum(count for _, count in counts)
    if n == 0:
        return None
    mean = sum(value * count for value, count in counts) / n
    if len(counts) == 1:
        bound = n_stages * (1 - alpha ** (1 / n))
        # Solved for alpha: the level at which the bound just reaches the margin.
        p = max(0.0, 1 - min(1.0, abs(mean + margin) / n_stages)) ** n
        p_pass, p_fail = (p, 1.0) if mean > -margin else (1.0, p)
        low, high = max(-float(n_stages), mean - bound), min(float(n_stages), mean + bound)
    else:
        means = _resampled_means(counts, n)
        low, high = (float(end) for end in np.quantile(means, (alpha, 1 - alpha)))
        p_pass = (1 + int((means <= -margin).sum())) / (N_RESAMPLES + 1)
        p_fail = (1 + int((means >= -margin).sum())) / (N_RESAMPLES + 1)
    return NonInferiority(verdict_of(p_pass, p_fail, alpha), mean, low, high, p_pass, p_fail, "bootstrap")


def noninferior_independent_lengths(
    new: Counts | Mapping[int, int],
    base: Counts | Mapping[int, int],
    margin: float,
    alpha: float = 0.05,
    *,
    n_stages: int = 5,
) -> NonInferiority | None:
    """The same against chains that are not paired with these: a published distribution of lengths.

    Either sample is resampled by itself, with one chain of length 0 and one of the longest length added to it: a sample
    without variation must not look certain.

    Args:
        new: length under the new policy → how many chains.
        base: the same of the published ones.
        margin: tolerated loss, subtasks.
        alpha: of the test, one-sided.
        n_stages: the longest possible chain.

    Returns:
        None where either has no chains.
    """
    one, other = dict(_sorted(new)), dict(_sorted(base))
    n_new, n_base = sum(one.values()), sum(other.values())
    if 0 in (n_new, n_base):
        return None
    difference = sum(v * c for v, c in one.items()) / n_new - sum(v * c for v, c in other.items()) / n_base
    means = [
        _resampled_means(_sorted({**counts, **{end: counts.get(end, 0) + 1 for end in (0, n_stages)}}), n, seed=seed)
        for seed, (counts, n) in enumerate(((one, n_new), (other, n_base)))
    ]
    gaps = means[0] - means[1]
    # Centred on what was found: the added chains widen the interval and must not move it.
    gaps += difference - gaps.mean()
    low, high = (float(end) for end in np.quantile(gaps, (alpha, 1 - alpha)))
    p_pass = (1 + int((gaps <= -margin).sum())) / (N_RESAMPLES + 1)
    p_fail = (1 + int((gaps >= -margin).sum())) / (N_RESAMPLES + 1)
    return NonInferiority(verdict_of(p_pass, p_fail, alpha), difference, low, high, p_pass, p_fail, "bootstrap")


def independent_lengths(
    mean_a: float, variance_a: float, n_a: int, mean_b: float, variance_b: float, n_b: int, level: float = 0.95
) -> LengthDifference | None:
    """Welch's z-test of two average lengths on independent chains, from what a paper's shares per stage still tell.

    The variances are those of the samples. With CALVIN's hundreds of chains the normal distribution is near enough.

    Returns:
        None where an arm is empty or neither varies: there is no error to see.

    Reference: Welch 1938, Biometrika 29, 350-362.
    """
    error = math.sqrt(variance_a / n_a + variance_b / n_b) if n_a and n_b else 0.0
    if error < 1e-12:
        return None
    from scipy.stats import norm

    difference = mean_a - mean_b
    half = float(norm.isf((1 - level) / 2)) * error
    interval = Interval(difference - half, difference + half, "normal")
    return LengthDifference(difference, interval, float(2 * norm.sf(abs(difference) / error)))


def _resampled_means(counts: Counts, n: int, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Means of `N_RESAMPLES` resamples of `n` chains: how often each value is drawn is multinomial."""
    values = np.array([value for value, _ in counts], float)
    shares = np.array([count for _, count in counts], float)
    shares /= shares.sum()
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=N_RESAMPLES)
    means: np.ndarray[tuple[int], np.dtype[np.float64]] = drawn @ values / n
    return means


def _sorted(counts: Counts | Mapping[int, int]) -> Counts:
    pairs = counts.items() if isinstance(counts, Mapping) else counts
    return tuple(sorted((int(value), int(count)) for value, count in pairs if count))
