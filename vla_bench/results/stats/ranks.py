"""Ranks with their uncertainty, and groups of policies that cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.stats.several import holm

__all__ = ["RankRange", "group_letters", "holm_matrix", "rank_ranges"]


class RankRange(NamedTuple):
    """The best and the worst rank that the tests leave open, counted from 1."""

    best: int
    worst: int


def rank_ranges(
    rates: Sequence[float], p_values: NDArray[np.float64], alpha: float = 0.05, *, jointly: bool = False
) -> list[RankRange]:
    """A rank range per policy: 1 + those significantly better … M - those significantly worse.

    Args:
        rates: of the policies; only their order counts.
        p_values: `[M, M]` pairwise two-sided p-values, symmetric.
        alpha: chance that a policy's range misses its rank.
        jointly: Holm over all pairs, so that all ranges hold at once; else over a policy's own M - 1 comparisons
            (its marginal range). Over all pairs of 200 policies nearly all would share one band.

    Reference: Mogstad, Romano, Shaikh and Wilhelm 2024, Review of Economic Studies 91.
    """
    n = len(rates)
    adjusted = holm_matrix(p_values) if jointly else None
    ranges = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        own = adjusted[i, others] if adjusted is not None else holm([float(p_values[i, j]) for j in others])
        apart = [j for j, p in zip(others, own, strict=True) if p <= alpha]
        n_better = sum(rates[j] > rates[i] for j in apart)
        n_worse = sum(rates[j] < rates[i] for j in apart)
        ranges.append(RankRange(1 + n_better, n - n_worse))
    return ranges


def holm_matrix(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm over all pairs of a symmetric matrix `[M, M]`; the diagonal is 1."""
    n = len(p_values)
    rows, columns = np.triu_indices(n, 1)
    adjusted = np.ones((n, n))
    adjusted[rows, columns] = holm([float(p) for p in p_values[rows, columns]])
    adjusted[columns, rows] = adjusted[rows, columns]
    return adjusted


def group_letters(rates: Sequence[float], is_apart: NDArray[np.bool_]) -> list[str]:
    """A compact letter display: two policies share a letter exactly where they cannot be told apart.

    `a` belongs to a group with the best policy. Beyond `z` letters go on as `aa`, `ab`, ….

    Args:
        rates: of the policies; they decide the order of the letters.
        is_apart: `[M, M]` whether a pair is told apart, symmetric.

    Reference: Piepho 2004, Journal of Computational and Graphical Statistics 13 (insert and absorb).
    """
    n = len(rates)
    groups: list[frozenset[int]] = [frozenset(range(n))] if n else []
    for i in range(n):
        for j in range(i + 1, n):
            if is_apart[i, j]:
                split = [part for group in groups for part in _without_pair(group, i, j)]
                groups = [group for group in dict.fromkeys(split) if not any(group < other for other in split)]
    order = sorted(range(n), key=lambda i: -rates[i])
    place = {policy: position for position, policy in enumerate(order)}
    groups.sort(key=lambda group: sorted(place[policy] for policy in group))
    names = [_letters(index) for index in range(len(groups))]
    return ["".join(name for name, group in zip(names, groups, strict=True) if i in group) for i in range(n)]


def _without_pair(group: frozenset[int], i: int, j: int) -> list[frozenset[int]]:
    return [group - {i}, group - {j}] if {i, j} <= group else [group]


def _letters(index: int) -> str:
    first, last = divmod(index, 26)
    return (chr(96 + first) if first else "") + chr(97 + last)
