"""A suite's score and its two uncertainties: "on these tasks" and "on tasks like these".

The score is the unweighted mean of task rates. A benchmark's tasks are fixed, so the default question is the first one;
the second treats the tasks as a sample and clusters by task. Read as the answer to the other question, either is wrong.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_bench.results.stats.rates import Interval, wilson, wilson_of_mean

__all__ = ["ROUGH_BELOW", "ClusterInterval", "TaskCounts", "mean_rate", "tasks_like_these", "these_tasks"]

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


def mean_rate(tasks: Sequence[TaskCounts]) -> float | None:
    """Weighted mean of task rates; None without tasks, or where a task has a state without a judged episode."""
    if not _is_usable(tasks):
        return None
    return sum(task.weight * task.rate for task in tasks) / sum(task.weight for task in tasks)


def these_tasks(tasks: Sequence[TaskCounts], level: float = 0.95) -> Interval | None:
    """The uncertainty of `mean_rate` on exactly these tasks.

    Equal trials and weights, every state rolled out once: Wilson on the pooled counts, which is conservative because
    tasks differ. Otherwise stratified by task over the rates of the initial states, Student t. Where strata do not vary
    or one has fewer than `STRATUM_FLOOR` states, Wilson at the effective number of states (Kish): all episodes where
    trials and weights are equal.

    Returns:
        None where `mean_rate` is None.
    """
    mean = mean_rate(tasks)
    if mean is None:
        return None
    is_even = len({(task.weight, task.n) for task in tasks}) == 1
    if is_even and not any(task.is_repeated for task in tasks):
        return wilson(sum(task.n_success for task in tasks), sum(task.n for task in tasks), level)
    weights = np.array([task.weight for task in tasks]) / sum(task.weight for task in tasks)
    n_states = np.array([len(task.states) for task in tasks])
    if n_states.min() >= STRATUM_FLOOR:
        variances = [np.var([k / n for k, n in task.states], ddof=1) / len(task.states) for task in tasks]
        error = math.sqrt(float(np.sum(weights**2 * np.array(variances))))
        if error > 1e-12:
            return Interval(*_student(mean, error, int(np.sum(n_states - 1)), level), "stratified")
    return wilson_of_mean(mean, 1 / float(np.sum(weights**2 / n_states)), level)


def tasks_like_these(tasks: Sequence[TaskCounts], level: float = 0.95) -> ClusterInterval | None:
    """The uncertainty of `mean_rate` on new tasks of this kind: clustered by task, Student t.

    Variants of one base task are one cluster. Where no cluster differs from another, the formula's error is 0, which
    is no answer: then Wilson with every cluster counted as one observation.

    Returns:
        None where `mean_rate` is None or there are fewer than two clusters.
    """
    mean = mean_rate(tasks)
    if mean is None:
        return None
    total = sum(task.weight for task in tasks)
    residuals: defaultdict[str, float] = defaultdict(float)
    for task in tasks:
        residuals[task.cluster or task.task] += task.weight / total * (task.rate - mean)
    n_clusters = len(residuals)
    if n_clusters < 2:
        return None
    error = math.sqrt(n_clusters / (n_clusters - 1) * sum(residual**2 for residual in residuals.values()))
    is_rough = n_clusters < ROUGH_BELOW
    if error > 1e-12:
        return ClusterInterval(*_student(mean, error, n_clusters - 1, level), n_clusters, is_rough)
    flat = wilson_of_mean(mean, n_clusters, level)
    return ClusterInterval(flat.low, flat.high, n_clusters, is_rough, "wilson")


def _is_usable(tasks: Sequence[TaskCounts]) -> bool:
    return bool(tasks) and all(task.states and all(judged > 0 for _, judged in task.states) for task in tasks)


def _student(mean: float, error: float, degrees: int, level: float) -> tuple[float, float]:
    from scipy.stats import t

    half = float(t.isf((1 - level) / 2, degrees)) * error
    return max(0.0, mean - half), min(1.0, mean + half)
