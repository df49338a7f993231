"""Two policies on the same initial states: the exact McNemar test, Tango's score interval, Newcombe's as a cross-check.

Pairs of one plan are counted in four cells; only the discordant ones, where one policy alone succeeded, tell the two
apart. Whether they tell is the test's question, by how much the interval's.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import overload

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.stats.rates import Interval, wilson

__all__ = [
    "LEAST_DISCORDANT", "MeanDifference", "Pairs", "clustered_difference", "mcnemar_mid_p", "mcnemar_p",
    "newcombe_paired", "tango_interval", "tango_z",
]  # fmt: skip

LEAST_DISCORDANT = 6
"""With fewer discordant pairs no split of them is significant at 5 %, two-sided: 5 to 0 has p = 0.0625."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Judged pairs of one plan, counted.

    Attributes:
        both: both policies succeeded.
        new_only: only the new one did.
        base_only: only the baseline did.
        neither: both failed.
    """

    both: int
    new_only: int
    base_only: int
    neither: int

    @property
    def n(self) -> int:
        """All pairs."""
        return self.both + self.new_only + self.base_only + self.neither

    @property
    def n_discordant(self) -> int:
        """Pairs with different outcomes."""
        return self.new_only + self.base_only

    @property
    def difference(self) -> float | None:
        """Rate of the new policy minus that of the baseline; None without pairs."""
        return (self.new_only - self.base_only) / self.n if self.n else None

    @property
    def discordance(self) -> float | None:
        """Share of discordant pairs; None without pairs."""
        return self.n_discordant / self.n if self.n else None

    def __add__(self, other: Pairs) -> Pairs:
        """The pairs of both."""
        return Pairs(
            self.both + other.both,
            self.new_only + other.new_only,
            self.base_only + other.base_only,
            self.neither + other.neither,
        )

    @classmethod
    def of(cls, new: NDArray[np.bool_], base: NDArray[np.bool_]) -> Pairs:
        """Count pairs of outcomes, both `[n]`, in the same order."""
        n_both, n_new, n_base = int((new & base).sum()), int(new.sum()), int(base.sum())
        return cls(n_both, n_new - n_both, n_base - n_both, len(new) - n_new - n_base + n_both)


# `binomtest` costs about half a millisecond a call: ten thousand one-trial tasks know three pairs of counts.
@lru_cache(maxsize=65536)
def mcnemar_p(new_only: int, base_only: int) -> float:
    """Two-sided p-value of the exact McNemar test: under equality each discordant pair is a fair coin.

    1 without discordant pairs, for which SciPy's `binomtest` has no answer. Valid whatever the tasks.

    Reference: McNemar 1947; the exact form as `statsmodels.stats.contingency_tables.mcnemar(exact=True)`.
    """
    if new_only + base_only == 0:
        return 1.0
    from scipy.stats import binomtest

    return min(1.0, float(binomtest(min(new_only, base_only), new_only + base_only).pvalue))


def mcnemar_mid_p(new_only: int, base_only: int) -> float:
    """The mid-p variant: half the probability of the observed split. Less conservative, and no longer a guarantee.

    Reference: Fagerland, Lydersen and Laake 2013.
    """
    if new_only + base_only == 0:
        return 1.0
    from scipy.stats import binom

    observed = float(binom.pmf(min(new_only, base_only), new_only + base_only, 0.5))
    # Equal counts: the two-sided exact p is 1 and its middle is what is left of the observed split.
    return 1 - observed / 2 if new_only == base_only else mcnemar_p(new_only, base_only) - observed


@overload
def tango_z(new_only: int, base_only: int, n: int, delta: float) -> float: ...
@overload
def tango_z(new_only: NDArray[np.int_], base_only: NDArray[np.int_], n: int, delta: float) -> NDArray[np.float64]: ...
def tango_z(
    new_only: int | NDArray[np.int_], base_only: int | NDArray[np.int_], n: int, delta: float
) -> float | NDArray[np.float64]:
    """Score statistic of the hypothesis that the difference of the two rates is `delta`.

    Args:
        new_only: pairs in which only the new policy succeeded, a number or an array.
        base_only: pairs in which only the baseline did, of the same shape.
        n: all pairs, at least 1.
        delta: `-1 <= delta <= 1`.

    Returns:
        Approximately standard normal under the hypothesis; 0 where both numerator and variance are 0.

    Reference: Tango 1998, Statistics in Medicine 17, 891-908.
    """
    b, c = np.asarray(new_only, float), np.asarray(base_only, float)
    linear = (2 * n + c - b) * delta - (b + c)
    # The maximum-likelihood probability of "only the baseline" where the difference is `delta`.
    q = (np.sqrt(np.maximum(linear**2 + 8 * n * c * delta * (1 - delta), 0)) - linear) / (4 * n)
    variance, excess = n * (2 * q + delta * (1 - delta)), b - c - n * delta
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(variance > 1e-12, excess / np.sqrt(np.maximum(variance, 1e-300)), np.copysign(np.inf, excess))
    z = np.where((variance <= 1e-12) & (np.abs(excess) < 1e-9), 0.0, z)
    return float(z) if z.ndim == 0 else z


@lru_cache(maxsize=65536)
def tango_interval(new_only: int, base_only: int, n: int, level: float = 0.95) -> Interval | None:
    """Tango's score interval of the difference of two paired rates; None for `n = 0`.

    The ends are where `tango_z` reaches the normal quantile. A one-sided bound at level 0.95 is the end of the
    two-sided interval at level 0.90. Neither SciPy nor statsmodels has it.

    Reference: Tango 1998.
    """
    if not (new_only >= 0 <= base_only and new_only + base_only <= n):
        raise ValueError(f"{new_only} and {base_only} discordant pairs of {n}")
    if n == 0:
        return None
    from scipy.optimize import brentq
    from scipy.stats import norm

    quantile, found = float(norm.isf((1 - level) / 2)), (new_only - base_only) / n

    def beyond(delta: float, target: float) -> float:
        return max(-1e6, min(1e6, tango_z(new_only, base_only, n, delta))) - target

    low = brentq(beyond, -1, found, args=(quantile,), xtol=1e-12) if beyond(-1, quantile) > 0 else -1.0
    high = brentq(beyond, found, 1, args=(-quantile,), xtol=1e-12) if beyond(1, -quantile) < 0 else 1.0
    return Interval(float(low), float(high), "tango")


@lru_cache(maxsize=65536)
def newcombe_paired(both: int, new_only: int, base_only: int, neither: int, level: float = 0.95) -> Interval | None:
    """Newcombe's hybrid score interval of the difference of two paired rates; None without pairs.

    Two Wilson intervals joined with the correlation of the pairs. Closed, and slightly wider than Tango's: a
    cross-check.

    Reference: Newcombe 1998, Statistics in Medicine 17, 2635-2650, method 10.
    """
    n = both + new_only + base_only + neither
    one, other = wilson(both + new_only, n, level), wilson(both + base_only, n, level)
    if one is None or other is None:
        return None
    p1, p2 = (both + new_only) / n, (both + base_only) / n
    margins = (both + new_only) * (base_only + neither) * (both + base_only) * (new_only + neither)
    cross = both * neither - new_only * base_only
    # The continuity correction takes n / 2 from a positive association, down to none.
    phi = (max(cross - n / 2, 0) if cross > 0 else cross) / math.sqrt(margins) if margins else 0.0

    def half(near: float, far: float) -> float:
        return math.sqrt(max(0.0, near**2 - 2 * phi * near * far + far**2))

    low = p1 - p2 - half(p1 - one.low, other.high - p2)
    return Interval(max(-1.0, low), min(1.0, p1 - p2 + half(one.high - p1, p2 - other.low)), "newcombe")


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """A mean of paired differences that are not independent, with its error from clusters of them.

    Attributes:
        mean: over all pairs.
        error: standard error, clusters as the independent units.
        interval: Student t with one degree of freedom less than clusters.
        p: two-sided, of a mean of 0.
        n_clusters: independent units.
    """

    mean: float
    error: float
    interval: Interval
    p: float
    n_clusters: int


def clustered_difference(
    differences: Sequence[float] | NDArray[np.float64],
    clusters: Sequence[Hashable] | NDArray[np.int_],
    level: float = 0.95,
    *,
    limit: float = 1.0,
) -> MeanDifference | None:
    """The mean of paired differences where pairs of one cluster are alike: one task, or one initial state.

    Equal to `statsmodels.api.OLS(d, 1).fit(cov_type="cluster", use_t=True)` without its second finite-sample factor.

    Args:
        differences: outcome of the new policy minus that of the baseline, per pair.
        clusters: which cluster each pair belongs to.
        level: of the interval.
        limit: the interval is cut at minus and plus this.

    Returns:
        None for fewer than two clusters, or where the clusters do not differ at all: then there is no error to see.

    Reference: Miller 2024, arXiv 2411.00640, section 2.2.
    """
    d = np.asarray(differences, float)
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    n_clusters = int(index.max()) + 1 if len(d) else 0
    if n_clusters < 2:
        return None
    from scipy.stats import t

    mean = float(d.mean())
    sums = np.bincount(index, weights=d - mean)
    error = math.sqrt(n_clusters / (n_clusters - 1) * float(sums @ sums)) / len(d)
    if error < 1e-12:
        return None
    half = float(t.isf((1 - level) / 2, n_clusters - 1)) * error
    interval = Interval(max(-limit, mean - half), min(limit, mean + half), "clustered")
    return MeanDifference(mean, error, interval, float(2 * t.sf(abs(mean) / error, n_clusters - 1)), n_clusters)
