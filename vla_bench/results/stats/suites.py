"""A suite's score and its two uncertainties: "on these tasks" and "on tasks like these".

The score is the unweighted mean of task rates. A benchmark's tasks are fixed, so the default question is the first one;
the second treats the tasks as a sample and clusters by task. Read as the answer to the other question, either is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.stats.rates import Interval, wilson, wilson_of_mean

__all__ = [
    "ROUGH_BELOW", "ClusterInterval", "StateCounts", "TaskCounts", "mean_rate", "tasks_like_these", "these_tasks",
]  # fmt: skip

ROUGH_BELOW = 20
"""With fewer clusters than this, a clustered interval undercovers noticeably: it is shown as rough."""
STRATUM_FLOOR = 10
"""With fewer states than this in a stratum, its variance is too often seen as 0: 0/2, 0/2 and 13/14 give ±5 points."""


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """The judged episodes of one task.

    Attributes:
        task: its id.
        states: `(successes, judged)` of each initial state, one entry per state. Further rollouts of one state under
            other policy seeds are no independent trials, so they stay together.
        cluster: what the task is a variant of (`base_task`), the task itself where it is none.
        weight: share of the task in the mean, relative to the other tasks.
    """

    task: str
    states: tuple[tuple[int, int], ...]
    cluster: str = ""
    weight: float = 1.0

    @property
    def n_success(self) -> int:
        """Successes over all states."""
        return sum(successes for successes, _ in self.states)

    @property
    def n(self) -> int:
        """Judged episodes over all states."""
        return sum(judged for _, judged in self.states)

    @property
    def rate(self) -> float:
        """Mean of the success rates of the initial states; wants at least one judged episode in each."""
        return sum(successes / judged for successes, judged in self.states) / len(self.states)

    @property
    def is_repeated(self) -> bool:
        """Whether an initial state was rolled out more than once."""
        return any(judged > 1 for _, judged in self.states)


@dataclass(frozen=True, slots=True)
class StateCounts:
    """The judged episodes of many tasks as columns: what `TaskCounts` holds, for runs of ten thousand tasks.

    Attributes:
        n_success, n: int64 `[S]`, per initial state.
        task: int64 `[S]`, index of the state's task, `0 <= task < T`; every task has a state.
        cluster: int64 `[T]`, equal numbers for variants of one base task.
        weight: float64 `[T]`, share of each task in the mean, relative to the others.
    """

    n_success: NDArray[np.int64]
    n: NDArray[np.int64]
    task: NDArray[np.int64]
    cluster: NDArray[np.int64]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, tasks: Sequence[TaskCounts]) -> StateCounts:
        """The same as columns."""
        states = [state for task in tasks for state in task.states]
        names = {name: index for index, name in enumerate(dict.fromkeys(task.cluster or task.task for task in tasks))}
        return cls(
            n_success=np.array([successes for successes, _ in states], np.int64),
            n=np.array([judged for _, judged in states], np.int64),
            task=np.repeat(np.arange(len(tasks)), [len(task.states) for task in tasks]),
            cluster=np.array([names[task.cluster or task.task] for task in tasks], np.int64),
            weight=np.array([task.weight for task in tasks], np.float64),
        )

    @property
    def is_usable(self) -> bool:
        """Whether there are tasks, each with states, and every state has a judged episode."""
        n_states = self._per_task(np.ones(len(self.n)))
        return bool(len(self.weight) and len(self.n) and self.n.min() > 0 and n_states.min() > 0)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The weights, adding up to 1."""
        return np.asarray(self.weight / self.weight.sum(), np.float64)

    @property
    def n_states(self) -> NDArray[np.float64]:
        """Initial states per task."""
        return self._per_task(np.ones(len(self.n)))

    @property
    def rates(self) -> NDArray[np.float64]:
        """Mean of the success rates of the initial states, per task."""
        return self._per_task(self.n_success / self.n) / self.n_states

    @property
    def mean(self) -> float:
        """Weighted mean of the task rates, within 0 and 1 whatever the rounding."""
        # Not `@`: BLAS wakes its threads for ten thousand products, which takes longer than the products.
        return min(1.0, float((self.weight * self.rates).sum() / self.weight.sum()))

    @property
    def is_even(self) -> bool:
        """Whether all tasks weigh the same, have the same number of episodes, and no state is rolled out twice."""
        per_task = self._per_task(self.n)
        return bool(self.n.max() == 1 and np.ptp(self.weight) == 0 and np.ptp(per_task) == 0)

    @property
    def variances(self) -> NDArray[np.float64]:
        """Variance of each task's rate, from the scatter of its states; wants two states in every task."""
        deviations = (self.n_success / self.n - self.rates[self.task]) ** 2
        return self._per_task(deviations) / (self.n_states - 1) / self.n_states

    def _per_task(self, values: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(self.task, weights=values, minlength=len(self.weight)).astype(np.float64)


@dataclass(frozen=True, slots=True)
class ClusterInterval:
    """An interval for tasks like these.

    Attributes:
        low, high: `0 <= low <= high <= 1`.
        n_clusters: tasks (or base tasks) that it rests on.
        is_rough: fewer than `ROUGH_BELOW` clusters.
        method: `clustered`, or `wilson` over clusters where they do not differ at all.
    """

    low: float
    high: float
    n_clusters: int
    is_rough: bool
    method: str = "clustered"


def mean_rate(tasks: Sequence[TaskCounts] | StateCounts) -> float | None:
    """Weighted mean of task rates; None without tasks, or where a task has a state without a judged episode."""
    counts = _columns(tasks)
    return counts.mean if counts.is_usable else None


def these_tasks(tasks: Sequence[TaskCounts] | StateCounts, level: float = 0.95) -> Interval | None:
    """The uncertainty of `mean_rate` on exactly these tasks.

    Equal trials and weights, every state rolled out once: Wilson on the pooled counts, which is conservative because
    tasks differ. Otherwise stratified by task over the rates of the initial states, Student t. Where strata do not vary
    or one has fewer than `STRATUM_FLOOR` states, Wilson at the effective number of states (Kish): all episodes where
    trials and weights are equal.

    Returns:
        None where `mean_rate` is None.

    Reference: Brown, Cai and DasGupta 2001 for Wilson; Cochran 1977, chapter 5, for strata.
    """
    counts = _columns(tasks)
    if not counts.is_usable:
        return None
    if counts.is_even:
        return wilson(int(counts.n_success.sum()), int(counts.n.sum()), level)
    mean, shares, n_states = counts.mean, counts.shares, counts.n_states
    if n_states.min() >= STRATUM_FLOOR:
        error = math.sqrt(float(np.sum(shares**2 * counts.variances)))
        if error > 1e-12:
            return Interval(*_student(mean, error, int(np.sum(n_states - 1)), level), "stratified")
    return wilson_of_mean(mean, 1 / float(np.sum(shares**2 / n_states)), level)


def tasks_like_these(tasks: Sequence[TaskCounts] | StateCounts, level: float = 0.95) -> ClusterInterval | None:
    """The uncertainty of `mean_rate` on new tasks of this kind: clustered by task, Student t.

    Variants of one base task are one cluster. Where no cluster differs from another, the formula's error is 0, which
    is no answer: then Wilson with every cluster counted as one observation.

    Returns:
        None where `mean_rate` is None or there are fewer than two clusters.

    Reference: Miller 2024, arXiv 2411.00640; equal to the cluster-robust error of statsmodels' `OLS(y, 1)`.
    """
    counts = _columns(tasks)
    if not counts.is_usable:
        return None
    mean = counts.mean
    sums = np.bincount(counts.cluster, weights=counts.shares * (counts.rates - mean))
    n_clusters = len(np.unique(counts.cluster))
    if n_clusters < 2:
        return None
    error = math.sqrt(n_clusters / (n_clusters - 1) * float(sums @ sums))
    is_rough = n_clusters < ROUGH_BELOW
    if error > 1e-12:
        return ClusterInterval(*_student(mean, error, n_clusters - 1, level), n_clusters, is_rough)
    flat = wilson_of_mean(mean, n_clusters, level)
    return ClusterInterval(flat.low, flat.high, n_clusters, is_rough, "wilson")


def _columns(tasks: Sequence[TaskCounts] | StateCounts) -> StateCounts:
    return tasks if isinstance(tasks, StateCounts) else StateCounts.of(tasks)


def _student(mean: float, error: float, degrees: int, level: float) -> tuple[float, float]:
    half = _student_quantile(degrees, level) * error
    return max(0.0, mean - half), min(1.0, mean + half)


@lru_cache(maxsize=1024)
def _student_quantile(degrees: int, level: float) -> float:
    from scipy.stats import t

    return float(t.isf((1 - level) / 2, degrees))
