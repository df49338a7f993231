"""What the replay of a sample says about all episodes: how many can deviate where none of those drawn did.

Holds for a sample that was drawn after the results were fixed.
"""

from __future__ import annotations

import math

__all__ = ["chance_to_catch", "deviating_at_most", "sample_for"]


def deviating_at_most(n_sampled: int, confidence: float = 0.95) -> float:
    """The largest share of deviating episodes that a sample without any leaves possible: `1 - (1 - confidence)^(1/s)`.

    Clopper-Pearson, one-sided: exact for drawing with replacement, and on the safe side without.

    Reference: Clopper and Pearson 1934.

    Raises:
        ValueError: nothing was drawn.
    """
    if n_sampled < 1:
        raise ValueError("nothing was drawn")
    return float(-math.expm1(math.log1p(-confidence) / n_sampled))


def sample_for(share: float, confidence: float = 0.95) -> int:
    """The smallest sample that, without a deviating episode in it, leaves at most `share` of them possible."""
    if not 0 < share < 1:
        raise ValueError(f"a share is between 0 and 1, got {share}")
    return math.ceil(math.log1p(-confidence) / math.log1p(-share))


def chance_to_catch(n_episodes: int, n_deviating: int, n_sampled: int) -> float:
    """The chance that a uniform sample holds at least one of the deviating episodes (hypergeometric).

    Args:
        n_episodes: of the run.
        n_deviating: of them, with an outcome that a replay does not give.
        n_sampled: drawn for the replay, without replacement.
    """
    from scipy.stats import hypergeom

    return float(1 - hypergeom.pmf(0, n_episodes, n_deviating, n_sampled))
