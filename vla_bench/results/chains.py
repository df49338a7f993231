"""The result of a run on chains of subtasks: how far they went, and how each subtask fared. No SQL here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vla_bench.results.stats.chains import StageRate, mean_length, stage_rates
from vla_bench.results.stats.rates import Interval, wilson

__all__ = ["ChainSummary", "SubtaskSummary", "chains_from_dict", "summarise_chains"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtaskSummary:
    """One subtask over all places in all judged chains where a policy came to it.

    Attributes:
        subtask: its name, or its instruction where it has none.
        n_attempted: times it was begun: the first of a chain always is, a later one after the one before was done.
        n_success: times it was done.
        rate, interval: of these attempts; None unless the run is complete. Attempts of one chain are not independent,
            and later subtasks are begun from harder states: a description, not a score.
    """

    subtask: str
    n_attempted: int
    n_success: int
    rate: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSummary:
    """How far the chains of a run went.

    Attributes:
        n_stages: of every chain.
        n_chains: judged ones.
        mean_length: average number of subtasks done, 0 … `n_stages`; None unless the run is complete.
        error: its standard error; None with it.
        interval: its bootstrap over chains; None with it, or where all chains went equally far.
        is_rough: whether there are too few chains for that interval to be taken at its word.
        stages: share of chains of at least k subtasks, k = 1 … `n_stages` (SR@k); empty unless the run is complete.
        bounds: where the average length can lie, missing chains of length 0 … `n_stages`; None where it is known.
        subtasks: in the order of their first appearance in the plan. Empty in a headline.
    """

    n_stages: int
    n_chains: int
    mean_length: float | None
    error: float | None
    interval: Interval | None
    is_rough: bool
    stages: tuple[StageRate, ...]
    bounds: tuple[float, float] | None
    subtasks: tuple[SubtaskSummary, ...] = ()


def summarise_chains(
    suite: Mapping[str, Any], episodes: Sequence[Mapping[str, Any]], lengths: Iterable[tuple[str, int]]
) -> ChainSummary | None:
    """Count how far chains went.

    Args:
        suite: its plain content.
        episodes: of the plan, plain content.
        lengths: task and number of stages done of every judged episode.

    Returns:
        None unless every task has the same number of stages, at least 2.
    """
    n_stages = {len(task.get("stages", ())) for task in suite["tasks"]}
    if len(n_stages) != 1 or (n := n_stages.pop()) < 2:
        return None
    names = _subtasks(suite, episodes)
    counts: Counter[int] = Counter()
    attempted: Counter[str] = Counter()
    succeeded: Counter[str] = Counter()
    for task, length in lengths:
        counts[length] += 1
        succeeded.update(names[task][:length])
        attempted.update(names[task][: length + 1])
    n_chains, n_planned = counts.total(), len(episodes)
    is_complete = 0 < n_planned == n_chains
    mean = mean_length(counts) if is_complete else None
    total = sum(length * count for length, count in counts.items())
    order = dict.fromkeys(name for episode in episodes for name in names[episode["task"]])
    return ChainSummary(
        n_stages=n,
        n_chains=n_chains,
        mean_length=mean.mean if mean else None,
        error=mean.error if mean else None,
        interval=mean.interval if mean else None,
        is_rough=bool(mean and mean.is_rough),
        stages=tuple(stage_rates(counts, n)) if is_complete else (),
        bounds=None if is_complete or not n_planned else (total / n_planned, n - (n * n_chains - total) / n_planned),
        subtasks=tuple(_subtask(name, attempted[name], succeeded[name], is_complete) for name in order),
    )


def _subtasks(suite: Mapping[str, Any], episodes: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[str]]:
    """Task → names of its stages: those that the plan gives, else the instructions."""
    names = {task["id"]: task["stages"] for task in suite["tasks"]}
    return names | {
        episode["task"]: episode["params"]["subtasks"] for episode in episodes if "subtasks" in episode["params"]
    }


def _subtask(name: str, n_attempted: int, n_success: int, is_complete: bool) -> SubtaskSummary:
    has_rate = is_complete and n_attempted > 0
    return SubtaskSummary(
        subtask=name,
        n_attempted=n_attempted,
        n_success=n_success,
        rate=n_success / n_attempted if has_rate else None,
        interval=wilson(n_success, n_attempted) if has_rate else None,
    )


def chains_from_dict(data: Mapping[str, Any] | None) -> ChainSummary | None:
    """Read the plain form of a `ChainSummary`.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    if data is None:
        return None
    parts = {
        "interval": _interval(data["interval"]),
        "bounds": tuple(data["bounds"]) if data["bounds"] else None,
        "stages": tuple(StageRate(**item | {"interval": Interval(**item["interval"])}) for item in data["stages"]),
        "subtasks": tuple(
            SubtaskSummary(**item | {"interval": _interval(item["interval"])}) for item in data["subtasks"]
        ),
    }
    return ChainSummary(**{**data, **parts})


def _interval(data: Mapping[str, Any] | None) -> Interval | None:
    return Interval(**data) if data else None
