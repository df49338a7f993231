"""Two spreads, told apart: between evaluations of the same weights, and between trainings.

A balanced one-way layout: `n` units (trainings), each evaluated equally often. Few values say little of a spread, so a
standard deviation comes with its interval (chi-square, for normal scores) and its degrees of freedom: from three
trainings it reaches from half of what is seen to six times that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_bench.results.stats.suites import ClusterInterval

__all__ = ["ROUGH_BELOW", "Spread", "between", "mean_of_units", "training_component", "within"]

ROUGH_BELOW = 5
"""With fewer units than this an interval over them is shown as rough: it leans on normal scores alone."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The standard deviation of scores: of rates as a fraction (0.02 = 2 points), of lengths of chains in stages.

    Attributes:
        sd: as seen, with `degrees` in the denominator.
        low, high: its 95 % interval; None where all scores are equal, which bounds nothing.
        n: scores it rests on.
        degrees: degrees of freedom.
    """

    sd: float
    low: float | None
    high: float | None
    n: int
    degrees: int


def within(units: Sequence[Sequence[float]]) -> Spread | None:
    """The spread between evaluations of the same weights, pooled over units; None without a repeated evaluation."""
    degrees = sum(len(scores) - 1 for scores in units)
    if degrees < 1:
        return None
    squares = sum(float(np.var(scores)) * len(scores) for scores in units)
    return _spread(math.sqrt(squares / degrees), sum(len(scores) for scores in units), degrees)


def between(units: Sequence[Sequence[float]]) -> Spread | None:
    """The spread of the units' mean scores, evaluation noise included; None for fewer than two units."""
    if len(units) < 2:
        return None
    means = [float(np.mean(scores)) for scores in units]
    return _spread(float(np.std(means, ddof=1)), len(means), len(means) - 1)


def training_component(units: Sequence[Sequence[float]]) -> float | None:
    """The standard deviation between trainings once the noise of their evaluations is taken out, at least 0.

    The moment estimate of a balanced one-way random-effects layout: `s_between² - s_within² / evaluations`.

    Returns:
        None where nothing tells the two apart: one unit, or one evaluation of each.
    """
    noise, seen = within(units), between(units)
    if noise is None or seen is None:
        return None
    return math.sqrt(max(0.0, seen.sd**2 - noise.sd**2 / len(units[0])))


def mean_of_units(
    units: Sequence[Sequence[float]], level: float = 0.95, highest: float = 1.0
) -> ClusterInterval | None:
    """Where the score of further trainings of this recipe lies on average: Student t over the units' means.

    Args:
        units: scores of each, between 0 and `highest`.
        level: of the interval.
        highest: score that there can be: 1 for rates, the number of stages for lengths of chains.

    Returns:
        None for fewer than two units, or where all of them scored alike, which bounds nothing.
    """
    from scipy.stats import t

    seen = between(units)
    if seen is None or seen.sd == 0:
        return None
    mean = float(np.mean([np.mean(scores) for scores in units]))
    half = float(t.isf((1 - level) / 2, seen.degrees)) * seen.sd / math.sqrt(seen.n)
    return ClusterInterval(
        max(0.0, mean - half), min(highest, mean + half), seen.n, is_rough=seen.n < ROUGH_BELOW, method="student_t"
    )


def _spread(sd: float, n: int, degrees: int, level: float = 0.95) -> Spread:
    from scipy.stats import chi2

    # Rounding leaves 1e-17 where scores are equal.
    if sd < 1e-12:
        return Spread(0.0, None, None, n, degrees)
    low, high = (
        sd * math.sqrt(degrees / float(chi2.isf(tail, degrees))) for tail in ((1 - level) / 2, (1 + level) / 2)
    )
    return Spread(sd, low, high, n, degrees)
