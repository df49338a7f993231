"""`compare`: two or more policies on one or more suites, against the first of them and all pairs with one another."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.comparison.differences import (
    SuiteDifference,
    adjusted,
    suite_difference,
    unpaired_difference,
    unpaired_suite_difference,
    whole_difference,
)
from vla_bench.results.comparison.pairing import check_same_suite, pair_runs, shared_episodes
from vla_bench.results.comparison.sides import Side
from vla_bench.results.comparison.vectors import RunVector
from vla_bench.results.stats.chains import MeanLength, counted, mean_length
from vla_bench.results.stats.ranks import RankRange, group_letters, holm_matrix, rank_ranges
from vla_bench.results.stats.rates import Interval
from vla_bench.results.stats.suites import ClusterInterval, mean_rate, tasks_like_these, these_tasks
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.errors import PlanMismatch, UsageError

__all__ = ["Comparison", "Pairing", "PolicyRow", "SuiteTable", "compare"]

ALPHA = 0.05
"""Level at which two policies count as told apart, over all pairs of a table (Holm)."""


class Pairing(enum.StrEnum):
    """How episodes belong together."""

    PLAN = "plan"
    """complete runs of one plan"""
    INTERSECTION = "intersection"
    """the episodes that all plans hold and all runs judged"""
    UNPAIRED = "unpaired"
    """independent trials"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRow:
    """One policy on one suite.

    Attributes:
        side: as named in the command.
        run, policy, policy_version, policy_kind: what it is.
        n, n_success: judged episodes, and successful ones.
        rate: unweighted mean of task rates.
        these_tasks, tasks_like_these: its two intervals.
        length: average chain length; None where tasks have no stages.
        letters: policies that share a letter cannot be told apart.
        rank: the best and the worst rank that the tests leave open.
    """

    side: str
    run: str
    policy: str
    policy_version: str
    policy_kind: str
    n: int
    n_success: int
    rate: float
    these_tasks: Interval
    tasks_like_these: ClusterInterval | None
    length: MeanLength | None
    letters: str
    rank: RankRange


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteTable:
    """All policies on one suite.

    Attributes:
        suite, protocol: of all runs.
        n_compared, n_planned: episodes compared, and those of the largest plan.
        pairing: how episodes belong together.
        policies: in the order of the command.
        differences: every policy but the first, minus the first.
        p_adjusted: `[M, M]`, all pairs, Holm over them.
    """

    suite: str
    protocol: str
    n_compared: int
    n_planned: int
    pairing: Pairing
    policies: tuple[PolicyRow, ...]
    differences: tuple[SuiteDifference, ...]
    p_adjusted: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What `vla-bench compare` found.

    Attributes:
        sides: what was compared; the first is the reference.
        suites: one table each.
        notes: what a reader should know beside the numbers.
    """

    sides: tuple[str, ...]
    suites: tuple[SuiteTable, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain: dict[str, Any] = {"schema": "vla-bench/comparison/1", **to_plain(self)}
        return plain


def compare(sides: Sequence[Side], *, pairing: Pairing = Pairing.PLAN) -> Comparison:
    """Compare two or more sides on the suites that they share.

    Args:
        sides: the first is what the others are compared with.
        pairing: which episodes belong together.

    Raises:
        UsageError: fewer than two sides, two of one name, or sides of different suites.
        PlanMismatch: plans differ.
        IncompleteRun: an episode lacks a judged outcome.
    """
    if len(sides) < 2:
        raise UsageError("a comparison wants two runs or more: vla-bench compare RUN RUN")
    names = [side.name for side in sides]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"{', '.join(sorted(twice))} is named twice; a run compared with itself says nothing")
    suites = _shared_suites(sides)
    tables = [_table(sides, suite, pairing) for suite in suites]
    return Comparison(sides=tuple(names), suites=_across_suites(tables), notes=tuple(_notes(sides, suites)))


def _shared_suites(sides: Sequence[Side]) -> list[tuple[str, str]]:
    shared = [suite for suite in sides[0].by_suite if all(suite in side.by_suite for side in sides)]
    if not shared:
        if all(len(side.by_suite) == 1 for side in sides):
            for side in sides[1:]:
                check_same_suite(side.vectors[0], sides[0].vectors[0])
        has = "; ".join(f"{side.name}: {', '.join(' '.join(suite) for suite in side.by_suite)}" for side in sides)
        raise PlanMismatch(f"no suite and protocol is in all of them ({has}): nothing can be compared")
    return shared


def _table(sides: Sequence[Side], suite: tuple[str, str], pairing: Pairing) -> SuiteTable:
    whole = [side.by_suite[suite] for side in sides]
    vectors = shared_episodes(whole) if pairing is Pairing.INTERSECTION else whole
    if pairing is Pairing.UNPAIRED:
        differences = [unpaired_suite_difference(vector, vectors[0]) for vector in vectors[1:]]
    else:
        differences = [suite_difference(pair_runs(vector, vectors[0])) for vector in vectors[1:]]
    p_values = _all_pairs(vectors, differences, pairing)
    rates = [_rate(vector) for vector in vectors]
    apart = holm_matrix(p_values)
    letters, ranks = group_letters(rates, apart <= ALPHA), rank_ranges(rates, p_values, ALPHA)
    rows = [
        _row(side, vector, letter, rank)
        for side, vector, letter, rank in zip(sides, vectors, letters, ranks, strict=True)
    ]
    return SuiteTable(
        suite=suite[0],
        protocol=suite[1],
        n_compared=max(len(vector.plan) for vector in vectors),
        n_planned=max(len(vector.plan) for vector in whole),
        pairing=pairing,
        policies=tuple(rows),
        differences=tuple(differences),
        p_adjusted=tuple(tuple(float(p) for p in row) for row in apart),
    )


def _all_pairs(
    vectors: Sequence[RunVector], against_first: Sequence[SuiteDifference], pairing: Pairing
) -> NDArray[np.float64]:
    """`[M, M]` two-sided p-values; those against the first are there already."""
    n = len(vectors)
    found = np.ones((n, n))
    for i in range(n):
        for j in range(i + 1, n):
            if i == 0:
                p = against_first[j - 1].whole.p
            elif pairing is Pairing.UNPAIRED:
                p = unpaired_difference(vectors[j].outcomes, vectors[i].outcomes).p
            else:
                p = whole_difference(pair_runs(vectors[j], vectors[i])).p
            found[i, j] = found[j, i] = p
    return found


def _across_suites(tables: Sequence[SuiteTable]) -> tuple[SuiteTable, ...]:
    """Holm over everything that is said of whole suites: each policy against the first, on each suite."""
    flat = adjusted([difference.whole for table in tables for difference in table.differences])
    wholes = iter(flat)
    return tuple(
        replace(table, differences=tuple(replace(each, whole=next(wholes)) for each in table.differences))
        for table in tables
    )


def _rate(vector: RunVector) -> float:
    counts = vector.counts()
    rate = None if counts is None else mean_rate(counts)
    assert rate is not None
    return rate


def _row(side: Side, vector: RunVector, letters: str, rank: RankRange) -> PolicyRow:
    counts = vector.counts()
    assert counts is not None
    interval = these_tasks(counts)
    assert interval is not None
    return PolicyRow(
        side=side.name,
        run=vector.name,
        policy=vector.policy,
        policy_version=vector.policy_version,
        policy_kind=vector.policy_kind,
        n=vector.n_judged,
        n_success=vector.n_success,
        rate=_rate(vector),
        these_tasks=interval,
        tasks_like_these=tasks_like_these(counts),
        length=None if vector.lengths is None else mean_length(counted(vector.lengths)),
        letters=letters,
        rank=rank,
    )


def _notes(sides: Sequence[Side], suites: Sequence[tuple[str, str]]) -> list[str]:
    notes = []
    for suite in suites:
        vectors = [side.by_suite[suite] for side in sides]
        if len({vector.suite_digest for vector in vectors}) > 1:
            notes.append(f"{suite[0]}: the suite itself changed between the runs; see `vla-bench diff`")
        kinds = {vector.policy_kind for vector in vectors}
        if len(kinds) > 1 and "oracle" in kinds:
            notes.append(f"{suite[0]}: an oracle reads privileged state; it is not ranked with the others")
        if len({vector.eval_hash for vector in vectors}) > 1:
            notes.append(f"{suite[0]}: the runs have different evaluation settings; see `vla-bench diff`")
        if len({vector.policy_digest for vector in vectors}) == 1:
            notes.append(f"{suite[0]}: all runs are of one and the same policy")
    left_out = {suite for side in sides for suite in side.by_suite} - set(suites)
    notes += [f"left out, because not all of them ran it: {' '.join(suite)}" for suite in sorted(left_out)]
    return notes
