"""The answer of a sequential gate: after every pair, at any time, as often as one likes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_bench.results.comparison.vectors import NOT_JUDGED
from vla_bench.results.gate.decision import Decision
from vla_bench.results.gate.thresholds import AVERAGE_LENGTH, Criterion
from vla_bench.results.stats.noninferiority import Verdict
from vla_bench.results.stats.paired import Pairs
from vla_bench.results.stats.sequential import (
    SequentialAnswer,
    anytime_bounds,
    permuted_plan,
    sequential_verdict,
)

__all__ = ["SequentialTest", "contest_order"]


def contest_order(trial: NDArray[np.int64], n_trials: int, seed: int) -> NDArray[np.int64]:
    """Positions of a plan in the order of a sequential gate.

    First a uniform permutation of the trials that the gate was planned with, then one of those that extend it.

    Args:
        trial: int64 `[N]`, of each episode.
        n_trials: trials per task that the gate was planned with.
        seed: of the order.
    """
    parts = (np.flatnonzero(trial < n_trials), np.flatnonzero(trial >= n_trials))
    return np.concatenate([part[permuted_plan(len(part), seed + index)] for index, part in enumerate(parts)])


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialTest:
    """One question that is asked after every pair.

    Attributes:
        criterion: a margin on a whole suite.
        n_stages: of its tasks.
    """

    criterion: Criterion
    n_stages: int = 1

    def differences(self, new: ArrayLike, base: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Differences in [-1, 1], and which pairs lack an outcome of either side.

        Args:
            new: int `[n]`, outcomes, or lengths where the criterion is about lengths or a stage; `NOT_JUDGED` if lost.
            base: the same of the baseline.
        """
        one, other = np.asarray(new, np.int64), np.asarray(base, np.int64)
        is_lost = (one == NOT_JUDGED) | (other == NOT_JUDGED)
        if self.criterion.measure == AVERAGE_LENGTH:
            d = (one - other) / self.n_stages
        elif self.criterion.k is not None:
            d = (one >= self.criterion.k).astype(float) - (other >= self.criterion.k)
        else:
            d = (one - other).astype(float)
        return np.where(is_lost, 0.0, d), is_lost

    @property
    def margin(self) -> float:
        """Tolerated loss as a fraction of the largest possible one."""
        assert self.criterion.margin is not None
        is_length = self.criterion.measure == AVERAGE_LENGTH
        return self.criterion.margin / (self.n_stages if is_length else 1)

    def look(self, new: ArrayLike, base: ArrayLike) -> SequentialAnswer:
        """The answer so far. What was lost speaks for neither side: it counts against a pass and against a fail."""
        d, is_lost = self.differences(new, base)
        worst, best = np.where(is_lost, -1.0, d), np.where(is_lost, 1.0, d)
        return sequential_verdict(d, self.margin, self.criterion.alpha, worst=worst, best=best)

    def decision(self, new: ArrayLike, base: ArrayLike, answer: SequentialAnswer) -> Decision:
        """The answer with its numbers, on the pairs up to it."""
        d, is_lost = self.differences(new, base)
        d, is_lost = d[: answer.n_used], is_lost[: answer.n_used]
        scale = self.n_stages if self.criterion.measure == AVERAGE_LENGTH else 1
        low, high = anytime_bounds(d[~is_lost], self.criterion.alpha)
        one, other = self._values(new, answer.n_used, is_lost), self._values(base, answer.n_used, is_lost)
        pairs = None
        if scale == 1:
            pairs = Pairs.of(one.astype(bool), other.astype(bool))
        return Decision(
            criterion=self.criterion,
            kind="noninferior",
            verdict=answer.verdict,
            n=int((~is_lost).sum()),
            new=float(one.mean()) if len(one) else 0.0,
            base=float(other.mean()) if len(other) else 0.0,
            difference=scale * float(d[~is_lost].mean()) if len(one) else 0.0,
            low=scale * low,
            high=scale * high,
            bar=-(self.criterion.margin or 0.0),
            p_pass=min(1.0, float(np.exp(-answer.log_e_pass))),
            p_fail=min(1.0, float(np.exp(-answer.log_e_fail))),
            p_fail_adjusted=min(1.0, float(np.exp(-answer.log_e_fail))),
            test="e_process",
            pairs=pairs,
            n_to_settle=self._size(answer),
        )

    def _size(self, answer: SequentialAnswer) -> int | None:
        """Pairs at which the better of the two would get there, if evidence goes on growing as it did."""
        most = max(answer.log_e_pass, answer.log_e_fail)
        if answer.verdict is not Verdict.INCONCLUSIVE or most <= 0:
            return None
        return math.ceil(answer.n_used * -math.log(self.criterion.alpha) / most)

    def _values(self, values: ArrayLike, n: int, is_lost: NDArray[np.bool_]) -> NDArray[np.float64]:
        kept = np.asarray(values, np.int64)[:n][~is_lost]
        if self.criterion.k is not None:
            return (kept >= self.criterion.k).astype(float)
        return kept.astype(float)
