"""What a replay of some episodes says about all of them."""

from __future__ import annotations

from vla_bench.results.stats.rates import clopper_pearson

__all__ = ["chance_of_catching", "deviating_at_most"]


def deviating_at_most(n_sampled: int, n_deviating: int = 0, level: float = 0.95) -> float | None:
    """The largest share of deviating episodes that the sample leaves possible: 1 - 0.05^(1/s) where none deviated.

    Clopper-Pearson, one-sided; None without a sample. Holds for a sample drawn after the results were fixed.

    Reference: Clopper and Pearson 1934.
    """
    interval = clopper_pearson(n_deviating, n_sampled, 2 * level - 1)
    return None if interval is None else interval.high


def chance_of_catching(n: int, n_forged: int, n_sampled: int) -> float:
    """Chance that at least one of the forged episodes is among those drawn, without replacement.

    Args:
        n: episodes of the run.
        n_forged: of them, with an outcome that a replay does not give.
        n_sampled: drawn for the replay.
    """
    from scipy.stats import hypergeom

    return float(1 - hypergeom.pmf(0, n, n_forged, n_sampled))
