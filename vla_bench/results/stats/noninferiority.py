"""May it land? Non-inferiority: three answers, and how many pairs would turn "inconclusive" into one of the others.

"No significant difference" is never a pass: few episodes show no difference whatever the policies are.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from functools import lru_cache

from vla_bench.results.stats.paired import tango_interval, tango_z

__all__ = [
    "NonInferiority", "Verdict", "noninferior_paired", "pairs_without_discord", "size_to_settle", "verdict_of",
]  # fmt: skip


class Verdict(enum.StrEnum):
    """The three answers of a gate."""

    PASS = "pass"
    """shown to be no worse than the margin allows"""
    FAIL = "fail"
    """shown to be worse than the margin allows"""
    INCONCLUSIVE = "inconclusive"
    """neither is shown"""


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """The answer to "is the new policy worse by more than the margin?".

    Attributes:
        verdict: `pass` where `p_pass <= alpha`, `fail` where `p_fail <= alpha`.
        difference: new minus baseline.
        low, high: one-sided bounds at level `1 - alpha`: together an interval at `1 - 2 alpha`.
        p_pass: of "worse by the margin or more".
        p_fail: of "worse by the margin at most".
        method: `tango`, `score`, `bootstrap`, `clustered`.
    """

    verdict: Verdict
    difference: float
    low: float
    high: float
    p_pass: float
    p_fail: float
    method: str


def verdict_of(p_pass: float, p_fail: float, alpha: float) -> Verdict:
    """`pass`, `fail` or `inconclusive`; both cannot be at or below `alpha < 0.5`."""
    if p_pass <= alpha:
        return Verdict.PASS
    return Verdict.FAIL if p_fail <= alpha else Verdict.INCONCLUSIVE


@lru_cache(maxsize=65536)
def noninferior_paired(
    new_only: int, base_only: int, n: int, margin: float, alpha: float = 0.05
) -> NonInferiority | None:
    """Tango's score test at minus the margin, both ways, on the discordant pairs of `n`; None for `n = 0`.

    Reference: Tango 1998; as a test of non-inferiority Liu, Hsueh, Hsieh and Chen 2002, Statistics in Medicine 21.
    """
    interval = tango_interval(new_only, base_only, n, 1 - 2 * alpha)
    if interval is None:
        return None
    from scipy.stats import norm

    z = tango_z(new_only, base_only, n, -margin)
    p_pass, p_fail = float(norm.sf(z)), float(norm.cdf(z))
    verdict = verdict_of(p_pass, p_fail, alpha)
    return NonInferiority(
        verdict, (new_only - base_only) / n, interval.low, interval.high, p_pass, p_fail, interval.method
    )


def pairs_without_discord(margin: float, alpha: float = 0.05) -> int:
    """The fewest pairs that pass where no outcome differs: `n >= z² (1 - m) / m`."""
    from scipy.stats import norm

    return math.ceil(float(norm.isf(alpha)) ** 2 * (1 - margin) / margin)


def size_to_settle(n: int, p_pass: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """How many pairs in all would give an answer, if the difference is what `n` of them show.

    The statistic grows with the root of the number of pairs. None where it sits on the margin itself, so that no
    number of pairs within a million would do.

    Args:
        n: pairs so far.
        p_pass: of the test on them.
        alpha: of the test.
        power: chance that so many pairs give the answer; 0.5 is the number at which the present rates just do.
    """
    from scipy.stats import norm

    z = abs(float(norm.isf(min(max(p_pass, 1e-300), 1 - 1e-16))))
    wanted = float(norm.isf(alpha) + norm.isf(1 - power))
    if z < 1e-9 or (size := n * (wanted / z) ** 2) > 1e6:
        return None
    return max(n, math.ceil(size - 1e-9))
