"""`RunVector`: a run as columns in plan order, which is what every comparison is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.stats.suites import StateCounts
from vla_bench.spec.canonical import content_id
from vla_bench.spec.errors import IncompleteRun
from vla_bench.spec.names import near_matches

__all__ = ["NOT_JUDGED", "PlanColumns", "RunVector", "TaskGroups", "plan_columns", "task_groups"]

NOT_JUDGED = -1
"""In a column of outcomes or lengths: lost, or never reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGroups:
    """The tasks of a plan by the value of one tag.

    Attributes:
        values: of the tag, in order of appearance; empty for tasks that lack it.
        of_task: int64 `[T]`, index into `values`.
    """

    values: tuple[str, ...]
    of_task: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class PlanColumns:
    """The episodes of a plan as columns of equal length N, in plan order; T tasks in order of appearance.

    Attributes:
        plan_hash: of the plan.
        tasks: their ids.
        task: int64 `[N]`, index into `tasks`.
        trial, repeat: int64 `[N]`.
        cluster: int64 `[T]`, equal for variants of one base task.
        groups: tag → groups, for the tags that the suite reports by.
        n_stages: of every task; 1 where tasks have no stages, or different numbers of them.
        make_ids: gives the episode ids in order; asked only where plans differ or episodes are named.
    """

    plan_hash: str
    tasks: tuple[str, ...]
    task: NDArray[np.int64]
    trial: NDArray[np.int64]
    repeat: NDArray[np.int64]
    cluster: NDArray[np.int64]
    groups: Mapping[str, TaskGroups] = field(default_factory=dict)
    n_stages: int = 1
    make_ids: Callable[[], tuple[str, ...]] = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.task)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Episode ids in plan order."""
        return self.make_ids()

    @cached_property
    def state(self) -> NDArray[np.int64]:
        """Index of the initial state, `[N]`: rollouts of one state under several policy seeds share it."""
        n_trials = int(self.trial.max()) + 1 if len(self) else 1
        _, index = np.unique(self.task * n_trials + self.trial, return_inverse=True)
        return np.asarray(index, np.int64)

    @property
    def is_repeated(self) -> bool:
        """Whether an initial state is rolled out more than once."""
        return bool(len(self) and int(self.state.max()) + 1 < len(self))

    @property
    def is_even(self) -> bool:
        """Whether every task has the same number of episodes."""
        return bool(np.ptp(np.bincount(self.task, minlength=len(self.tasks))) == 0) if len(self) else True


@dataclass(frozen=True, kw_only=True)
class RunVector:
    """One run: its columns and what it is.

    Attributes:
        name: of the run.
        suite, protocol: `metaworld_mt10`, `standard/1`.
        policy, policy_version, policy_kind, policy_digest: of the policy.
        eval_hash, suite_digest: of its settings and of the suite as it was run.
        plan: the columns of its plan; one object for runs of equal plans that were loaded together.
        outcomes: int8 `[N]`: 1, 0, or `NOT_JUDGED`.
        lengths: int8 `[N]`, stages reached to their end, or `NOT_JUDGED`; None where tasks have no stages.
        command: as typed; empty for a run that is not in this database.
        source: `run`, or the path of the baseline file.
    """

    name: str
    suite: str
    protocol: str
    policy: str
    policy_version: str = ""
    policy_kind: str = "policy"
    policy_digest: str
    eval_hash: str
    suite_digest: str
    plan: PlanColumns
    outcomes: NDArray[np.int8]
    lengths: NDArray[np.int8] | None = None
    command: str = ""
    source: str = "run"

    @property
    def n_judged(self) -> int:
        """Episodes with a judged outcome."""
        return int((self.outcomes != NOT_JUDGED).sum())

    @property
    def n_success(self) -> int:
        """Successful episodes."""
        return int((self.outcomes == 1).sum())

    @property
    def is_complete(self) -> bool:
        """Whether every planned episode is judged, and there is one."""
        return len(self.plan) > 0 and self.n_judged == len(self.plan)

    def check_complete(self, what: str) -> None:
        """Raise where episodes lack a judged outcome.

        Args:
            what: what wants a complete run, as the subject of the message.

        Raises:
            IncompleteRun: with the command that completes it.
        """
        if self.is_complete:
            return
        n_missing = len(self.plan) - self.n_judged
        way_out = f"Complete it: {self.command}" if self.command else "Run it to its end."
        raise IncompleteRun(
            f"{what} wants a complete run, and {self.name!r} lacks {n_missing} of {len(self.plan)} episodes. {way_out}"
        )

    def counts(self) -> StateCounts | None:
        """What rates and intervals are made of; None unless the run is complete."""
        if not self.is_complete:
            return None
        plan, successes = self.plan, (self.outcomes == 1).astype(np.int64)
        weight = np.ones(len(plan.tasks))
        if not plan.is_repeated:
            return StateCounts(successes, np.ones(len(plan), np.int64), plan.task, plan.cluster, weight)
        n_states = int(plan.state.max()) + 1
        task = np.zeros(n_states, np.int64)
        task[plan.state] = plan.task
        n_success = np.bincount(plan.state, weights=successes, minlength=n_states).astype(np.int64)
        return StateCounts(n_success, np.bincount(plan.state, minlength=n_states), task, plan.cluster, weight)

    def task_index(self, task: str) -> int | None:
        """Where a task stands in `plan.tasks`; None where it is not in the plan."""
        return self.plan.tasks.index(task) if task in self.plan.tasks else None

    def near_tasks(self, task: str) -> list[str]:
        """The tasks that are written most like this one."""
        return near_matches(task, self.plan.tasks)


def plan_columns(plan_hash: str, episodes: Sequence[Mapping[str, Any]], suite: Mapping[str, Any]) -> PlanColumns:
    """Columns of a stored plan.

    Args:
        plan_hash: of the plan.
        episodes: plain content, in plan order.
        suite: plain content of the suite as it was run.
    """
    names = [episode["task"] for episode in episodes]
    index = {task: i for i, task in enumerate(dict.fromkeys(names))}
    content = {task["id"]: task for task in suite["tasks"]}
    tags = [content.get(task, {}).get("tags", {}) for task in index]
    bases = [str(tag.get("base_task") or task) for task, tag in zip(index, tags, strict=True)]
    base_index = {base: i for i, base in enumerate(dict.fromkeys(bases))}
    stages = {max(1, len(content.get(task, {}).get("stages", ()))) for task in index}
    return PlanColumns(
        plan_hash=plan_hash,
        tasks=tuple(index),
        task=np.array([index[name] for name in names], np.int64),
        trial=np.array([episode["trial"] for episode in episodes], np.int64),
        repeat=np.array([episode["repeat"] for episode in episodes], np.int64),
        cluster=np.array([base_index[base] for base in bases], np.int64),
        groups={tag: task_groups([_written(each.get(tag)) for each in tags]) for tag in suite["group_by"]},
        n_stages=stages.pop() if len(stages) == 1 else 1,
        make_ids=lambda: tuple(content_id(episode) for episode in episodes),
    )


def task_groups(values: Sequence[str]) -> TaskGroups:
    """Groups of tasks by the value that each has."""
    index = {value: i for i, value in enumerate(dict.fromkeys(values))}
    return TaskGroups(values=tuple(index), of_task=np.array([index[value] for value in values], np.int64))


def _written(value: Any) -> str:
    return "" if value is None else str(value)
