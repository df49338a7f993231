"""Two policies on independent trials: Boschloo's exact test, above a size the score test, and Newcombe's interval.

Pairs on one plan say more with the same episodes (`paired`): these are for different plans and for published numbers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vla_bench.results.stats.noninferiority import NonInferiority, verdict_of
from vla_bench.results.stats.rates import Interval

__all__ = ["EXACT_UP_TO", "independent_interval", "independent_p", "noninferior_independent", "score_interval"]

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
        return _score_test(k_new, n_new, k_base, n_base, 0.0, "two-sided")[1]
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


@lru_cache(maxsize=4096)
def score_interval(k_new: int, n_new: int, k_base: int, n_base: int, level: float = 0.95) -> Interval | None:
    """The differences that the score test does not refuse; None where an arm is empty.

    Solved here, because statsmodels' own search for the ends fails where one of them is near (45 v 49 of 50).

    Reference: Miettinen and Nurminen 1985, Statistics in Medicine 4, 213-226.
    """
    _check(k_new, n_new, k_base, n_base)
    if 0 in (n_new, n_base):
        return None
    from scipy.stats import norm

    quantile, found = float(norm.isf((1 - level) / 2)), k_new / n_new - k_base / n_base
    counts = (k_new, n_new, k_base, n_base)
    return Interval(_score_end(counts, found, quantile, -1), _score_end(counts, found, quantile, 1), "score")


def _score_end(counts: tuple[int, int, int, int], found: float, quantile: float, side: int) -> float:
    """Where the statistic reaches the quantile, below (-1) or above (1) the difference found."""
    from scipy.optimize import brentq

    def short_of_quantile(distance: float) -> float:
        if distance == 0:
            return quantile
        z = abs(_score_test(*counts, found + side * distance, "two-sided")[0])
        # Close to a difference of 1 the library's root of a rounded 0 is no number: nothing is left there.
        return quantile - z if z == z else -1.0

    room = 1 - side * found
    reach = min(room, 1 / 1024)
    while reach < room and short_of_quantile(reach) > 0:
        reach = min(room, 2 * reach)
    if reach == room and (room < 1e-9 or short_of_quantile(room * (1 - 1e-9)) > 0):
        return float(side)
    return found + side * float(brentq(short_of_quantile, 0, min(reach, room * (1 - 1e-9)), xtol=1e-10))


@lru_cache(maxsize=4096)
def noninferior_independent(
    k_new: int, n_new: int, k_base: int, n_base: int, margin: float, alpha: float = 0.05
) -> NonInferiority | None:
    """The score test at minus the margin, both ways; None where an arm is empty.

    Reference: Farrington and Manning 1990, Statistics in Medicine 9; statsmodels' `test_proportions_2indep`.
    """
    interval = score_interval(k_new, n_new, k_base, n_base, 1 - 2 * alpha)
    if interval is None:
        return None
    counts = (k_new, n_new, k_base, n_base)
    p_pass = _score_test(*counts, -margin, "larger")[1]
    p_fail = _score_test(*counts, -margin, "smaller")[1]
    verdict = verdict_of(p_pass, p_fail, alpha)
    difference = k_new / n_new - k_base / n_base
    return NonInferiority(verdict, difference, interval.low, interval.high, p_pass, p_fail, interval.method)


def _score_test(
    k_new: int, n_new: int, k_base: int, n_base: int, delta: float, alternative: str
) -> tuple[float, float]:
    """Statistic and p-value of the difference `delta`; both arms equal and constant is no evidence."""
    from statsmodels.stats.proportion import test_proportions_2indep

    if delta == 0.0 and k_new + k_base in (0, n_new + n_base):
        return 0.0, 1.0 if alternative == "two-sided" else 0.5
    with np.errstate(invalid="ignore", divide="ignore"):
        found = test_proportions_2indep(
            k_new, n_new, k_base, n_base, value=delta, method="score", compare="diff", alternative=alternative
        )
    return float(found.statistic), float(found.pvalue)


def _check(k_new: int, n_new: int, k_base: int, n_base: int) -> None:
    if not (0 <= k_new <= n_new and 0 <= k_base <= n_base):
        raise ValueError(f"{k_new} of {n_new} against {k_base} of {n_base}")
