"""One success rate: Wilson's interval for display, Clopper-Pearson's for a guarantee, bounds where some are lost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Interval", "clopper_pearson", "rate_bounds", "wilson", "wilson_of_mean"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of a success rate (0 to 1), of the difference of two (-1 to 1), or of a mean length.

    Attributes:
        low, high: `low <= high`, within the range of what it belongs to.
        method: how it was computed: `wilson`, `clopper_pearson`, `stratified`, `clustered`, `tango`, `newcombe`,
            `score`, `bootstrap`.
    """

    low: float
    high: float
    method: str = "wilson"


# `binomtest` costs about half a millisecond a call, and ten thousand one-trial tasks know two counts only.
@lru_cache(maxsize=4096)
def wilson(n_success: int, n: int, level: float = 0.95) -> Interval | None:
    """Wilson's score interval of `n_success` of `n`; None for `n = 0`, where there is nothing to say."""
    return _binomial(n_success, n, level, "wilson", "wilson")


@lru_cache(maxsize=4096)
def clopper_pearson(n_success: int, n: int, level: float = 0.95) -> Interval | None:
    """The exact interval, which never covers less than `level`: for audits and "at least". None for `n = 0`."""
    return _binomial(n_success, n, level, "exact", "clopper_pearson")


def _binomial(n_success: int, n: int, level: float, scipy_method: str, method: str) -> Interval | None:
    if not 0 <= n_success <= n:
        raise ValueError(f"{n_success} successes of {n}")
    if n == 0:
        return None
    from scipy.stats import binomtest

    found = binomtest(n_success, n).proportion_ci(level, method=scipy_method)
    # Rounding may leave 1e-17 where the formula gives 0, or put a limit past the rate it belongs to.
    rate = n_success / n
    return Interval(max(0.0, min(float(found.low), rate)), min(1.0, max(float(found.high), rate)), method)


def wilson_of_mean(mean: float, n_effective: float, level: float = 0.95) -> Interval:
    """Wilson's formula for a mean of rates worth `n_effective` episodes, which need not be a whole number.

    Raises:
        ValueError: the mean is no rate, or `n_effective` is not positive.
    """
    if not 0 <= mean <= 1 or n_effective <= 0:
        raise ValueError(f"a mean of {mean} over {n_effective} episodes")
    from scipy.stats import norm

    z2 = float(norm.isf((1 - level) / 2)) ** 2
    centre = (mean + z2 / (2 * n_effective)) / (1 + z2 / n_effective)
    half = math.sqrt(z2 * mean * (1 - mean) / n_effective + (z2 / (2 * n_effective)) ** 2) / (1 + z2 / n_effective)
    return Interval(max(0.0, min(centre - half, mean)), min(1.0, max(centre + half, mean)), "wilson")


def rate_bounds(n_success: int, n_judged: int, n_planned: int) -> tuple[float, float] | None:
    """Where the rate can lie once the lost episodes are judged: all fail … all succeed. None for an empty plan."""
    if not 0 <= n_success <= n_judged <= n_planned:
        raise ValueError(f"{n_success} successes of {n_judged} judged of {n_planned} planned")
    if n_planned == 0:
        return None
    return n_success / n_planned, (n_success + n_planned - n_judged) / n_planned
