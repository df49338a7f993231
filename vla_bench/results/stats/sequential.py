"""Tests that may be looked at after every pair: e-processes, as logarithms.

Ville: a true hypothesis sees `E >= 1 / alpha` with probability alpha at most, over all time. A p-value that is looked
at repeatedly has no such guarantee.

Pairs come in a seeded uniform permutation of the plan: the hypothesis is about the plan's average, and task by task
the average so far would be that of its first tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_bench.results.stats.noninferiority import Verdict

__all__ = [
    "SequentialAnswer", "anytime_bounds", "anytime_p", "log_e_discordant", "log_e_inferior", "log_e_noninferior",
    "log_e_one_sided", "permuted_plan", "sequential_verdict",
]  # fmt: skip

N_BETS = 20
MOST_STAKED = 0.9
"""Of what the worst outcome could take: a bet never loses everything."""


def log_e_discordant(new_only: int, base_only: int) -> float:
    """E-value against "each discordant pair is a fair coin", two-sided: a Beta(1/2, 1/2) mixture over the coin.

    Needs no permutation where the policies are exchangeable within every pair.

    Reference: Robbins 1970; Ramdas, Grünwald, Vovk and Shafer 2023, Statistical Science 38.
    """
    from scipy.special import betaln

    return float((new_only + base_only) * np.log(2) + betaln(new_only + 0.5, base_only + 0.5) - betaln(0.5, 0.5))


def log_e_one_sided(new_only: int, base_only: int) -> float:
    """The same against "the new policy wins a discordant pair with probability 1/2 at most"."""
    from scipy.special import betainc

    share = 2 * betainc(base_only + 0.5, new_only + 0.5, 0.5)
    return log_e_discordant(new_only, base_only) + float(np.log(max(share, 1e-300)))


def log_e_noninferior(differences: ArrayLike, margin: float, plan_size: int | None = None) -> NDArray[np.float64]:
    """E-values after each pair against "worse by the margin or more": the evidence for a pass.

    A uniform mixture of twenty constant bets: nothing to tune, and faster than the predictable plug-in bets.

    Args:
        differences: new minus baseline per pair, each in [-1, 1], in the permuted order. Fractions are fine
            (chain lengths over their maximum).
        margin: tolerated loss, a fraction.
        plan_size: pairs of the whole plan: then the hypothesis is about exactly this plan, drawn without replacement,
            and a finished plan is a census. None for states like these.

    Returns:
        Float64 `[n]`; infinite once the rest of the plan cannot bring the loss to the margin any more.

    Reference: Waudby-Smith and Ramdas 2024, Journal of the Royal Statistical Society B 86.
    """
    d = np.asarray(differences, float)
    done = np.arange(len(d))
    # What the next pair's mean is under the hypothesis; without replacement it depends on what is used up.
    before = np.cumsum(d) - d
    mean = np.full(len(d), -margin) if plan_size is None else (-margin * plan_size - before) / (plan_size - done)
    bets = np.linspace(1 / N_BETS, 1, N_BETS)[:, None] * MOST_STAKED / np.maximum(1 + mean, 1e-3)
    growth = np.log1p(np.maximum(bets * (d - mean), -1 + 1e-12))
    log_e = np.logaddexp.reduce(np.cumsum(growth, axis=1), axis=0) - np.log(N_BETS)
    return np.where(np.maximum.accumulate(mean < -1), np.inf, log_e) if len(d) else log_e


def log_e_inferior(differences: ArrayLike, margin: float, plan_size: int | None = None) -> NDArray[np.float64]:
    """The mirror: e-values after each pair against "worse by the margin at most", the evidence for a fail."""
    return log_e_noninferior(-np.asarray(differences, float), -margin, plan_size)


def anytime_bounds(differences: ArrayLike, alpha: float = 0.05) -> tuple[float, float]:
    """One-sided bounds of the mean difference that hold whenever one stops, each at level `1 - alpha`.

    The margins at which the two processes just reach `1 / alpha`. (-1, 1) where nothing is excluded yet.

    Reference: Waudby-Smith and Ramdas 2024, confidence sequences by inverting the test.
    """
    d = np.asarray(differences, float)
    return _anytime_low(d, alpha), -_anytime_low(-d, alpha)


def _anytime_low(d: NDArray[np.float64], alpha: float) -> float:
    def is_excluded(low: float) -> bool:
        path = log_e_noninferior(d, -low)
        return bool(len(path) and path.max() >= -np.log(alpha))

    # The larger the margin, the sooner it is excluded that the loss reaches it.
    below, above = -1 + 1e-9, 1.0
    if not is_excluded(below):
        return -1.0
    for _ in range(40):
        middle = (below + above) / 2
        below, above = (middle, above) if is_excluded(middle) else (below, middle)
    return float(below)


def anytime_p(log_e: ArrayLike) -> float:
    """A p-value that holds whenever one stops: one over the largest e-value so far, at most 1."""
    path = np.asarray(log_e, float)
    return min(1.0, float(np.exp(-path.max()))) if path.size else 1.0


def permuted_plan(n: int, seed: int) -> NDArray[np.int64]:
    """Positions of a plan in the seeded order of a sequential test, uniform over all orders."""
    order: NDArray[np.int64] = np.random.default_rng(np.random.SeedSequence([seed, n])).permutation(n)
    return order


@dataclass(frozen=True, slots=True)
class SequentialAnswer:
    """What a sequential test says after the pairs so far.

    Attributes:
        verdict: `pass` or `fail` at the first crossing, else `inconclusive`.
        n_used: pairs up to the crossing, all of them where there is none.
        log_e_pass, log_e_fail: the evidence for either at that point.
    """

    verdict: Verdict
    n_used: int
    log_e_pass: float
    log_e_fail: float


def sequential_verdict(
    differences: ArrayLike,
    margin: float,
    alpha: float = 0.05,
    plan_size: int | None = None,
    *,
    worst: ArrayLike | None = None,
    best: ArrayLike | None = None,
) -> SequentialAnswer:
    """The first of "no worse than the margin" and "worse than the margin" whose e-value reaches `1 / alpha`.

    Args:
        differences: as in `log_e_noninferior`.
        margin: tolerated loss, a fraction.
        alpha: error rate of either answer, over all looks.
        plan_size: as in `log_e_noninferior`.
        worst: `differences` with lost pairs taken as -1, the evidence for a pass; None where nothing was lost.
        best: the same with lost pairs taken as 1, for a fail: what is missing speaks for neither.
    """
    for_pass = log_e_noninferior(differences if worst is None else worst, margin, plan_size)
    for_fail = log_e_inferior(differences if best is None else best, margin, plan_size)
    n = len(for_pass)
    if n == 0:
        return SequentialAnswer(Verdict.INCONCLUSIVE, 0, 0.0, 0.0)
    # Rounding must not turn 20 into less than 20.
    threshold = -np.log(alpha) - 1e-12
    crossed = np.flatnonzero((for_pass >= threshold) | (for_fail >= threshold))
    at = int(crossed[0]) if len(crossed) else n - 1
    verdict = Verdict.INCONCLUSIVE
    if len(crossed):
        verdict = Verdict.PASS if for_pass[at] >= threshold else Verdict.FAIL
    return SequentialAnswer(verdict, at + 1, float(for_pass[at]), float(for_fail[at]))
