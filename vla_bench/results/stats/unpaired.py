"""Two policies on independent trials: Boschloo's exact test, above a size the score test, and Newcombe's interval.

Pairs on one plan say more with the same episodes (`paired`): these are for different plans and for published numbers.
"""

from __future__ import annotations

import math
from functools import lru_cache

from vla_bench.results.stats.noninferiority import NonInferiority, verdict_of
from vla_bench.results.stats.rates import Interval

__all__ = [
    "EXACT_UP_TO",
    "independent_interval",
    "independent_p",
    "noninferior_independent",
    "score_interval",
    "score_z",
]

EXACT_UP_TO = 200
"""Trials per arm up to which the exact test is used: at 500 it takes 20 s, at 50 a tenth of one."""


@lru_cache(maxsize=4096)
def independent_p(k_new: int, n_new: int, k_base: int, n_base: int) -> float:
    """Two-sided p-value of equal rates: Boschloo's exact test, above `EXACT_UP_TO` trials the score test.

    1 where there is nothing to compare. Boschloo has the exact size of Fisher's test and more power.

    Reference: Boschloo 1970, Statistica Neerlandica 24; Miettinen and Nurminen 1985 for the score test.
    """
    _check(k_new, n_new, k_base, n_base)
    if 0 in (n_new, n_base) or k_new + k_base in (0, n_new + n_base):
        return 1.0
    if max(n_new, n_base) > EXACT_UP_TO:
        from scipy.stats import norm

        return float(2 * norm.sf(abs(score_z(k_new, n_new, k_base, n_base, 0.0))))
    from scipy.stats import boschloo_exact

    table = [[k_new, k_base], [n_new - k_new, n_base - k_base]]
    return min(1.0, float(boschloo_exact(table).pvalue))


@lru_cache(maxsize=4096)
def independent_interval(k_new: int, n_new: int, k_base: int, n_base: int, level: float = 0.95) -> Interval | None:
    """Newcombe's hybrid score interval of the difference of two independent rates; None where an arm is empty.

    Reference: Newcombe 1998, Statistics in Medicine 17, 873-890, method 10; statsmodels' `newcomb`.
    """
    _check(k_new, n_new, k_base, n_base)
    if 0 in (n_new, n_base):
        return None
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(k_new, n_new, k_base, n_base, method="newcomb", alpha=1 - level)
    found = k_new / n_new - k_base / n_base
    return Interval(max(-1.0, min(float(low), found)), min(1.0, max(float(high), found)), "newcombe")


def score_z(k_new: int, n_new: int, k_base: int, n_base: int, delta: float) -> float:
    """Score statistic of the hypothesis that the difference of two independent rates is `delta`, arms not empty.

    The closed form of the restricted maximum-likelihood rates; a test holds them to a numerical maximisation. Written
    out, because `test_proportions_2indep` of statsmodels 0.15.0 takes `count0 * diff` for `n0 * diff` in the cubic's
    linear coefficient: with a margin its rates are not the likeliest ones, and near the corners it gives NaN.

    Reference: Miettinen and Nurminen 1985, Statistics in Medicine 4, 213-226, appendix I.
    """
    n, k = n_new + n_base, k_new + k_base
    c2 = (n_new + 2 * n_base) * delta - n - k
    c1 = (n_base * delta - n - 2 * k_base) * delta + k
    c0 = k_base * delta * (1 - delta)
    q = (c2 / (3 * n)) ** 3 - c1 * c2 / (6 * n**2) + c0 / (2 * n)
    p = math.copysign(math.sqrt(max(0.0, (c2 / (3 * n)) ** 2 - c1 / (3 * n))), q)
    angle = math.acos(max(-1.0, min(1.0, q / p**3))) if p else 0.0
    base = max(0.0, -delta, min(1.0, 1 - delta, 2 * p * math.cos((math.pi + angle) / 3) - c2 / (3 * n)))
    new = base + delta
    variance = (new * (1 - new) / n_new + base * (1 - base) / n_base) * n / max(1, n - 1)
    excess = k_new / n_new - k_base / n_base - delta
    if variance > 1e-15:
        return excess / math.sqrt(variance)
    return 0.0 if abs(excess) < 1e-9 else math.copysign(math.inf, excess)


@lru_cache(maxsize=4096)
def score_interval(k_new: int, n_new: int, k_base: int, n_base: int, level: float = 0.95) -> Interval | None:
    """The differences that the score test does not refuse; None where an arm is empty.

    Solved here: statsmodels' search for the ends fails on small arms (45 v 49 of 50).

    Reference: Miettinen and Nurminen 1985, Statistics in Medicine 4, 213-226.
    """
    _check(k_new, n_new, k_base, n_base)
    if 0 in (n_new, n_base):
        return None
    from scipy.optimize import brentq
    from scipy.stats import norm

    quantile, found = float(norm.isf((1 - level) / 2)), k_new / n_new - k_base / n_base

    def beyond(delta: float, target: float) -> float:
        return max(-1e6, min(1e6, score_z(k_new, n_new, k_base, n_base, delta))) - target

    low = brentq(beyond, -1, found, args=(quantile,), xtol=1e-12) if beyond(-1, quantile) > 0 else -1.0
    high = brentq(beyond, found, 1, args=(-quantile,), xtol=1e-12) if beyond(1, -quantile) < 0 else 1.0
    return Interval(min(float(low), found), max(float(high), found), "score")


@lru_cache(maxsize=4096)
def noninferior_independent(
    k_new: int, n_new: int, k_base: int, n_base: int, margin: float, alpha: float = 0.05
) -> NonInferiority | None:
    """The score test at minus the margin, both ways; None where an arm is empty.

    Reference: Miettinen and Nurminen 1985; Farrington and Manning 1990, Statistics in Medicine 9.
    """
    interval = score_interval(k_new, n_new, k_base, n_base, 1 - 2 * alpha)
    if interval is None:
        return None
    from scipy.stats import norm

    counts = (k_new, n_new, k_base, n_base)
    z = score_z(*counts, -margin)
    p_pass, p_fail = float(norm.sf(z)), float(norm.cdf(z))
    verdict = verdict_of(p_pass, p_fail, alpha)
    difference = k_new / n_new - k_base / n_base
    return NonInferiority(verdict, difference, interval.low, interval.high, p_pass, p_fail, interval.method)


def _check(k_new: int, n_new: int, k_base: int, n_base: int) -> None:
    if not (0 <= k_new <= n_new and 0 <= k_base <= n_base):
        raise ValueError(f"{k_new} of {n_new} against {k_base} of {n_base}")
