"""How many episodes a question needs, and how sure an answer a given number allows."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.stats.paired import tango_z

__all__ = [
    "best_of", "detectable_paired", "detectable_unpaired", "mcnemar_power", "noninferior_arm", "noninferior_pairs",
    "noninferior_power", "paired_size", "smallest_margin", "unpaired_size", "worst_discordance",
]  # fmt: skip


def unpaired_size(base: float, gain: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Episodes per arm at which a difference of two independent rates is found, two-sided.

    Reference: statsmodels' `samplesize_proportions_2indep_onetail`, which is two-sided by default despite its name.
    """
    from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

    return math.ceil(float(samplesize_proportions_2indep_onetail(gain, base, power, alpha=alpha)))


def paired_size(gain: float, discordance: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Pairs at which a difference on equal plans is found, two-sided. The exact test needs 3 to 8 % more.

    Args:
        gain: difference of the rates, not 0.
        discordance: share of pairs with different outcomes, at least `abs(gain)`.
        power: chance to find it.
        alpha: of the test.

    Reference: Connor 1987, Biometrics 43, 207-211.
    """
    if not 0 < abs(gain) <= discordance <= 1:
        raise ValueError(f"a difference of {gain} with a share of {discordance} discordant pairs")
    z_alpha, z_beta = _quantiles(alpha / 2, power)
    wanted = z_alpha * math.sqrt(discordance) + z_beta * math.sqrt(discordance - gain**2)
    return math.ceil((wanted / gain) ** 2)


def noninferior_pairs(margin: float, discordance: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Pairs at which an equal policy passes: `(z_alpha + z_beta)² psi / m²`, and never fewer than pass without discord.

    Reference: Nam 1997, Biometrics 53, in its large-sample form.
    """
    z_alpha, z_beta = _quantiles(alpha, power)
    without = z_alpha**2 * (1 - margin) / margin
    return math.ceil(max((z_alpha + z_beta) ** 2 * discordance / margin**2, without))


def noninferior_arm(margin: float, rate: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Episodes per arm at which an equal policy passes on independent trials."""
    z_alpha, z_beta = _quantiles(alpha, power)
    return math.ceil((z_alpha + z_beta) ** 2 * 2 * rate * (1 - rate) / margin**2)


@lru_cache(maxsize=1024)
def noninferior_power(n: int, margin: float, discordance: float, alpha: float = 0.05, difference: float = 0.0) -> float:
    """Chance that the gate on `n` pairs passes; exact, by enumeration of the discordant pairs.

    Args:
        n: pairs.
        margin: of the gate.
        discordance: share of pairs with different outcomes.
        alpha: of the gate.
        difference: true difference; 0 for equal policies, `-margin` for the size of the test.
    """
    from scipy.stats import norm

    new_only, base_only, weights = _discordant_pairs(n, discordance, difference)
    passed = tango_z(new_only, base_only, n, -margin) >= float(norm.isf(alpha)) - 1e-12
    return float(weights[passed].sum())


@lru_cache(maxsize=1024)
def mcnemar_power(n: int, difference: float, discordance: float, alpha: float = 0.05) -> float:
    """Chance that the exact McNemar test on `n` pairs finds a difference; 0 for its size under equality."""
    from scipy.stats import binom

    new_only, base_only, weights = _discordant_pairs(n, discordance, difference)
    total = new_only + base_only
    # Twice the smaller tail, as in the exact test.
    found = 2 * binom.cdf(np.minimum(new_only, base_only), total, 0.5) <= alpha
    return float(weights[found & (total > 0)].sum())


def detectable_unpaired(n: int, base: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest gain that `n` episodes per arm find."""
    from scipy.optimize import brentq

    z_alpha, z_beta = _quantiles(alpha / 2, power)

    def lacking(gain: float) -> float:
        mean = base + gain / 2
        spread = math.sqrt(base * (1 - base) + (base + gain) * (1 - base - gain))
        return gain * math.sqrt(n) - z_alpha * math.sqrt(2 * mean * (1 - mean)) - z_beta * spread

    room = 1 - base
    return float(brentq(lacking, 0, room)) if room > 0 and lacking(room) > 0 else room


def detectable_paired(n: int, discordance: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest difference that `n` pairs find; at most the discordance itself."""
    from scipy.optimize import brentq

    z_alpha, z_beta = _quantiles(alpha / 2, power)

    def lacking(gain: float) -> float:
        return gain * math.sqrt(n) - z_alpha * math.sqrt(discordance) - z_beta * math.sqrt(discordance - gain**2)

    return float(brentq(lacking, 0, discordance)) if lacking(discordance) > 0 else discordance


def smallest_margin(n: int, discordance: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest margin that a gate on `n` pairs decides for equal policies; 1 where none does."""
    from scipy.optimize import brentq

    def lacking(margin: float) -> float:
        z_alpha, z_beta = _quantiles(alpha, power)
        without = z_alpha**2 * (1 - margin) / margin
        return n - max((z_alpha + z_beta) ** 2 * discordance / margin**2, without)

    return float(brentq(lacking, 1e-6, 1)) if n > 0 and lacking(1) > 0 else 1.0


def worst_discordance(rate: float) -> float:
    """The discordance of two policies of one rate whose outcomes have nothing to do with each other: `2 p (1 - p)`."""
    return 2 * rate * (1 - rate)


def best_of(n_runs: int, rate: float, n: int) -> float:
    """Expected best success rate among runs of one policy: what choosing the best of several looks adds.

    Reference: exact, from the distribution function of the binomial.
    """
    from scipy.stats import binom

    return float((1 - binom.cdf(np.arange(n), n, rate) ** n_runs).sum() / n)


def _quantiles(alpha: float, power: float) -> tuple[float, float]:
    from scipy.stats import norm

    return float(norm.isf(alpha)), float(norm.isf(1 - power))


def _discordant_pairs(
    n: int, discordance: float, difference: float
) -> tuple[NDArray[np.int_], NDArray[np.int_], NDArray[np.float64]]:
    """All likely counts of discordant pairs of either kind, and their probabilities; below 1e-12 is left out."""
    if not abs(difference) <= discordance <= 1:
        raise ValueError(f"a difference of {difference} with a share of {discordance} discordant pairs")
    from scipy.stats import binom

    low, high = int(binom.ppf(1e-13, n, discordance)), int(binom.isf(1e-13, n, discordance))
    totals = np.arange(max(0, low), min(n, high) + 1)
    p_new = (discordance + difference) / 2 / discordance if discordance else 0.5
    wins = np.concatenate([np.arange(total + 1) for total in totals])
    total = np.repeat(totals, totals + 1)
    weights = binom.pmf(total, n, discordance) * binom.pmf(wins, total, p_new)
    return wins, total - wins, weights
