"""One question of a gate and its answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.comparison.differences import paired_difference
from vla_bench.results.comparison.pairing import PairedRuns
from vla_bench.results.comparison.vectors import RunVector
from vla_bench.results.gate.published import PublishedScore
from vla_bench.results.gate.thresholds import AVERAGE_LENGTH, Criterion
from vla_bench.results.stats.chains import counted, noninferior_independent_lengths, noninferior_lengths
from vla_bench.results.stats.noninferiority import (
    NonInferiority,
    Verdict,
    noninferior_paired,
    size_to_settle,
    verdict_of,
)
from vla_bench.results.stats.paired import Pairs, clustered_difference
from vla_bench.results.stats.power import noninferior_power
from vla_bench.results.stats.rates import clopper_pearson
from vla_bench.results.stats.unpaired import noninferior_independent
from vla_bench.spec.errors import UsageError

__all__ = ["LEAST_POWER", "Decision", "decide_against_published", "decide_floor", "decide_paired"]

LEAST_POWER = 0.5
"""A gate that equal policies pass less often than this decides next to nothing: said loudly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to one criterion.

    Attributes:
        criterion: the question; a criterion with a margin and a floor gives two decisions.
        kind: `noninferior` or `floor`.
        verdict: of this criterion alone.
        n: episodes (pairs, chains) that it rests on.
        new, base: rate or average length of either; `base` is None for a floor.
        difference: new minus baseline; None for a floor.
        low, high: one-sided bounds at level 1 - alpha: of the difference, or of the value where it is a floor.
        bar: what `low` must reach: minus the margin, or the floor.
        p_pass, p_fail: of the two tests.
        p_fail_adjusted: after Holm over the gate's criteria.
        test: how: `tango`, `clustered`, `score`, `bootstrap`, `clopper_pearson`.
        pairs: the four cells where episodes are paired and counted.
        power: chance that an equal policy passes on as many episodes; None for a floor.
        n_to_settle: episodes that would give an answer with 80 % power if things are as they look; None where there is
            one already, or where no number would.
        remark: what a reader must know besides; may be empty.
    """

    criterion: Criterion
    kind: str
    verdict: Verdict
    n: int
    new: float
    base: float | None
    difference: float | None
    low: float
    high: float
    bar: float
    p_pass: float
    p_fail: float
    p_fail_adjusted: float
    test: str
    pairs: Pairs | None = None
    power: float | None = None
    n_to_settle: int | None = None
    remark: str = ""

    @property
    def is_weak(self) -> bool:
        """Whether equal policies would pass less often than every second time."""
        return self.power is not None and self.power < LEAST_POWER

    @property
    def is_length(self) -> bool:
        """Whether the numbers are subtasks and not fractions."""
        return self.criterion.measure == AVERAGE_LENGTH


def decide_paired(criterion: Criterion, paired: PairedRuns) -> Decision:
    """Non-inferiority on pairs of one plan.

    Raises:
        UsageError: the criterion's task has no pair.
    """
    rows = _rows(criterion, paired)
    if criterion.measure == AVERAGE_LENGTH:
        return _decide_lengths(criterion, paired, rows)
    new, base = _successes(criterion, paired, rows)
    margin, alpha = _margin(criterion), criterion.alpha
    pairs, n_units, clustered = Pairs.of(new, base), len(new), None
    if paired.new.plan.is_repeated:
        clustered, n_units = (
            _clustered(new, base, paired.state[rows], margin, alpha),
            len(np.unique(paired.state[rows])),
        )
    found = clustered or noninferior_paired(pairs.new_only, pairs.base_only, pairs.n, margin, alpha)
    assert found is not None
    return _decision(
        criterion,
        found,
        n=pairs.n,
        new=float(new.mean()),
        base=float(base.mean()),
        pairs=pairs,
        power=noninferior_power(n_units, margin, pairs.discordance or 0.0, alpha),
        remark=_within_margin(new, base, found),
    )


def decide_against_published(criterion: Criterion, vector: RunVector, score: PublishedScore) -> Decision:
    """Non-inferiority on independent trials, against a published number.

    Raises:
        UsageError: the criterion is of a task, or the source has no chain lengths.
    """
    if criterion.task:
        raise UsageError(
            f"{criterion.name}: a published number is of a whole suite; take the task out of the thresholds"
        )
    margin, alpha = _margin(criterion), criterion.alpha
    remark = "not paired: a published number wants more episodes than a baseline run does"
    wants_stages = criterion.measure == AVERAGE_LENGTH or criterion.k is not None
    if wants_stages and (vector.lengths is None or not score.reached):
        raise UsageError(f"{criterion.name}: the published source wants `sr`, the rates of chains by stage")
    if criterion.measure == AVERAGE_LENGTH:
        assert vector.lengths is not None
        lengths, published = counted(vector.lengths), score.length_counts
        found = noninferior_independent_lengths(lengths, published, margin, alpha, n_stages=vector.plan.n_stages)
        assert found is not None
        base = sum(length * count for length, count in published.items()) / score.n
        spread = _spread(published, score.n) / score.n + float(vector.lengths.var()) / len(vector.lengths)
        new = float(vector.lengths.mean())
        power = _normal_power(margin, math.sqrt(spread), alpha)
        return _decision(criterion, found, n=len(vector.plan), new=new, base=base, power=power, remark=remark)
    k_base = score.n_success if criterion.k is None else score.reached[criterion.k - 1]
    successes = vector.outcomes == 1 if criterion.k is None else _reached(vector, criterion.k)
    k_new, n_new = int(successes.sum()), len(vector.plan)
    found = noninferior_independent(k_new, n_new, k_base, score.n, margin, alpha)
    assert found is not None
    rate = k_base / score.n
    power = _normal_power(margin, math.sqrt(rate * (1 - rate) * (1 / n_new + 1 / score.n)), alpha)
    return _decision(criterion, found, n=n_new, new=k_new / n_new, base=rate, power=power, remark=remark)


def decide_floor(criterion: Criterion, vector: RunVector) -> Decision:
    """Whether the value itself is shown to reach the floor: Clopper-Pearson for a rate, the bootstrap for lengths."""
    assert criterion.at_least is not None
    floor, alpha = criterion.at_least, criterion.alpha
    mine = np.ones(len(vector.plan), bool)
    if criterion.task:
        mine = vector.plan.task == (vector.task_index(criterion.task) or 0)
    if criterion.measure == AVERAGE_LENGTH:
        assert vector.lengths is not None
        # A floor for lengths is non-inferiority against a constant.
        lengths = counted(vector.lengths[mine])
        found = noninferior_lengths(lengths, -floor, alpha, n_stages=vector.plan.n_stages)
        assert found is not None
        low, high = max(0.0, found.low), min(float(vector.plan.n_stages), found.high)
        p_pass, p_fail, test, value = found.p_pass, found.p_fail, found.method, found.difference
    else:
        from scipy.stats import binom

        successes = (vector.outcomes == 1 if criterion.k is None else _reached(vector, criterion.k))[mine]
        k, n = int(successes.sum()), len(successes)
        interval = clopper_pearson(k, n, 1 - 2 * alpha)
        assert interval is not None
        p_pass, p_fail = float(binom.sf(k - 1, n, floor)), float(binom.cdf(k, n, floor))
        low, high, test, value = interval.low, interval.high, interval.method, k / n
    verdict = verdict_of(p_pass, p_fail, alpha)
    return Decision(
        criterion=criterion, kind="floor", verdict=verdict, n=int(mine.sum()), new=value, base=None, difference=None,
        low=low, high=high, bar=floor, p_pass=p_pass, p_fail=p_fail, p_fail_adjusted=p_fail, test=test,
        n_to_settle=None if verdict is not Verdict.INCONCLUSIVE else size_to_settle(int(mine.sum()), p_pass, alpha),
    )  # fmt: skip


def _decide_lengths(criterion: Criterion, paired: PairedRuns, rows: NDArray[np.bool_]) -> Decision:
    gained = paired.gained_lengths
    assert gained is not None
    assert paired.new.lengths is not None
    assert paired.base.lengths is not None
    margin, alpha, gained = _margin(criterion), criterion.alpha, gained[rows]
    found = noninferior_lengths(counted(gained), margin, alpha, n_stages=paired.new.plan.n_stages)
    assert found is not None
    error = float(gained.std()) / math.sqrt(len(gained))
    return _decision(
        criterion,
        found,
        n=len(gained),
        new=float(paired.new.lengths[paired.at_new][rows].mean()),
        base=float(paired.base.lengths[paired.at_base][rows].mean()),
        power=_normal_power(margin, error, alpha) if error else None,
    )


def _decision(
    criterion: Criterion,
    found: NonInferiority,
    *,
    n: int,
    new: float,
    base: float,
    pairs: Pairs | None = None,
    power: float | None = None,
    remark: str = "",
) -> Decision:
    is_open = found.verdict is Verdict.INCONCLUSIVE
    return Decision(
        criterion=criterion, kind="noninferior", verdict=found.verdict, n=n, new=new, base=base,
        difference=found.difference, low=found.low, high=found.high, bar=-_margin(criterion), p_pass=found.p_pass,
        p_fail=found.p_fail, p_fail_adjusted=found.p_fail, test=found.method, pairs=pairs, power=power,
        n_to_settle=size_to_settle(n, found.p_pass, criterion.alpha) if is_open else None, remark=remark,
    )  # fmt: skip


def _clustered(
    new: NDArray[np.bool_], base: NDArray[np.bool_], state: NDArray[np.int64], margin: float, alpha: float
) -> NonInferiority | None:
    """Student's t over initial states, where they were rolled out repeatedly; None where states do not differ."""
    found = clustered_difference(new.astype(float) - base.astype(float), state, 1 - 2 * alpha)
    if found is None:
        return None
    from scipy.stats import t

    statistic, degrees = (found.mean + margin) / found.error, found.n_clusters - 1
    p_pass, p_fail = float(t.sf(statistic, degrees)), float(t.cdf(statistic, degrees))
    verdict = verdict_of(p_pass, p_fail, alpha)
    return NonInferiority(
        verdict, found.mean, found.interval.low, found.interval.high, p_pass, p_fail, found.interval.method
    )


def _rows(criterion: Criterion, paired: PairedRuns) -> NDArray[np.bool_]:
    if not criterion.task:
        return np.ones(len(paired), bool)
    rows = np.asarray(paired.task == paired.new.task_index(criterion.task))
    if not rows.any():
        raise UsageError(f"{criterion.name}: no pair of this task is left")
    return rows


def _successes(
    criterion: Criterion, paired: PairedRuns, rows: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if criterion.k is None:
        return paired.new_success[rows], paired.base_success[rows]
    new, base = _reached(paired.new, criterion.k), _reached(paired.base, criterion.k)
    return new[paired.at_new][rows], base[paired.at_base][rows]


def _reached(vector: RunVector, k: int) -> NDArray[np.bool_]:
    assert vector.lengths is not None
    return np.asarray(vector.lengths >= k)


def _within_margin(new: NDArray[np.bool_], base: NDArray[np.bool_], found: NonInferiority) -> str:
    """A pass may hide a loss that is real and small: both are said."""
    if found.verdict is Verdict.PASS and found.difference < 0:
        p = paired_difference(new, base).p
        if p <= 0.05:
            return f"a loss within the margin, and a real one (McNemar p = {p:.2g})"
    return ""


def _spread(counts: dict[int, int], n: int) -> float:
    mean = sum(value * count for value, count in counts.items()) / n
    return sum(count * (value - mean) ** 2 for value, count in counts.items()) / n


def _normal_power(margin: float, error: float, alpha: float) -> float:
    from scipy.stats import norm

    return float(norm.sf(norm.isf(alpha) - margin / error)) if error > 0 else 1.0


def _margin(criterion: Criterion) -> float:
    assert criterion.margin is not None
    return criterion.margin
