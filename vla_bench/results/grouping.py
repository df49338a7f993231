"""The groups of a run's tasks: rates by the value of a tag, means over groups, totals under names of their own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vla_bench.results.runs import GroupMean, GroupSummary, TotalSummary
from vla_bench.results.stats.rates import rate_bounds
from vla_bench.results.stats.suites import TaskCounts, mean_rate, these_tasks

__all__ = ["Grouping", "Tally"]


@dataclass(slots=True)
class Tally:
    """Counts of one task: planned rollouts per trial, and successes and judged ones per trial.

    Asked for its `counts`, it has counted to the end.
    """

    planned: Counter[int]
    judged: Counter[int]
    succeeded: Counter[int]
    _states: tuple[tuple[int, int], ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every planned rollout is judged."""
        return self.judged == self.planned

    def counts(self, task: str, *, cluster: str = "", weight: float = 1.0) -> TaskCounts:
        """The same as the statistics take it."""
        if not self._states:  # a task of ten thousand is asked for by every tag of its suite
            self._states = tuple((self.succeeded[trial], self.judged[trial]) for trial in sorted(self.planned))
        return TaskCounts(task=task, states=self._states, cluster=cluster, weight=weight)


class Grouping:
    """Looks at the tasks of a run by their tags."""

    def __init__(self, suite: Mapping[str, Any], tallies: Mapping[str, Tally]) -> None:
        """Take what was counted.

        Args:
            suite: plain content, as stored with the run.
            tallies: of every task of the plan, in its order.
        """
        self.tags: Sequence[str] = suite["group_by"]
        self._tallies = tallies
        self._notes: Mapping[str, Mapping[str, str]] = suite.get("group_notes", {})
        self._totals: Sequence[Mapping[str, str]] = suite.get("totals", ())
        self._tags_of: dict[str, Mapping[str, Any]] = {task["id"]: task["tags"] for task in suite["tasks"]}
        self._is_complete = bool(tallies) and all(tally.is_complete for tally in tallies.values())

    def base_task(self, task: str) -> str:
        """What a task is a variant of, empty where it is none."""
        return str(self._tags_of.get(task, {}).get("base_task") or "")

    def groups(self, tag: str) -> tuple[GroupSummary, ...]:
        """One summary per value of a tag, and one per value of which the suite has a note but no task."""
        in_suite = Counter(_written(tags.get(tag)) for tags in self._tags_of.values())
        notes = self._notes.get(tag, {})
        members = self._members(tag)
        # What is absent from the suite as a whole is named; what this plan leaves out is not.
        absent = [value for value in notes if value not in in_suite]
        return tuple(
            self._group(value, members.get(value, []), in_suite[value], notes.get(value, ""))
            for value in _in_order((*members, *absent))
        )

    def mean(self, tag: str) -> GroupMean:
        """The unweighted mean over the groups of a tag."""
        if not self._is_complete:
            return GroupMean(rate=None, interval=None)
        members = self._members(tag).values()
        counts = [self._tallies[task].counts(task, weight=1 / len(tasks)) for tasks in members for task in tasks]
        return GroupMean(rate=mean_rate(counts), interval=these_tasks(counts))

    def totals(self) -> tuple[TotalSummary, ...]:
        """The suite's named scores, without numbers where a task is missing from the plan or an episode is lost."""
        is_whole = self._is_complete and self._tags_of.keys() <= self._tallies.keys()
        return tuple(
            TotalSummary(name=total["name"], title=total["title"], rate=mean.rate, interval=mean.interval)
            for total in self._totals
            for mean in [self._total(total["over"]) if is_whole else GroupMean(rate=None, interval=None)]
        )

    def _total(self, over: str) -> GroupMean:
        if over:
            return self.mean(over)
        counts = [tally.counts(task) for task, tally in self._tallies.items()]
        return GroupMean(rate=mean_rate(counts), interval=these_tasks(counts))

    def _members(self, tag: str) -> dict[str, list[str]]:
        members: defaultdict[str, list[str]] = defaultdict(list)
        for task in self._tallies:
            members[_written(self._tags_of.get(task, {}).get(tag))].append(task)
        return dict(members)

    def _group(self, value: str, tasks: Sequence[str], n_suite_tasks: int, note: str) -> GroupSummary:
        parts = [self._tallies[task] for task in tasks]
        is_complete = all(part.is_complete for part in parts)
        counts = [self._tallies[task].counts(task) for task in tasks] if is_complete else []
        n_planned = sum(part.planned.total() for part in parts)
        n_judged = sum(part.judged.total() for part in parts)
        n_success = sum(part.succeeded.total() for part in parts)
        return GroupSummary(
            value=value,
            n_tasks=len(tasks),
            n_planned=n_planned,
            n_judged=n_judged,
            n_success=n_success,
            rate=mean_rate(counts),
            interval=these_tasks(counts),
            bounds=None if is_complete else rate_bounds(n_success, n_judged, n_planned),
            n_suite_tasks=n_suite_tasks,
            note=note,
        )


def _in_order(values: Sequence[str]) -> Sequence[str]:
    """Numbers by size, tasks without one last; words as they come."""
    is_numbered = any(values) and all(value.isdecimal() for value in values if value)
    return sorted(values, key=lambda value: (not value, int(value or 0))) if is_numbered else values


def _written(value: Any) -> str:
    return "" if value is None else str(value)
