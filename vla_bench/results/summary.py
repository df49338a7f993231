"""From stored episodes to a `RunSummary`: counting, rates, intervals. No SQL here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from vla_bench.results.chains import summarise_chains
from vla_bench.results.grouping import Grouping, Tally
from vla_bench.results.runs import LatencySummary, RunSummary, TaskSummary
from vla_bench.results.stats.bins import merge_bins, percentile
from vla_bench.results.stats.rates import Interval, rate_bounds
from vla_bench.results.stats.suites import TaskCounts, mean_rate, tasks_like_these, these_tasks
from vla_bench.spec.messages import CheckpointScope, PolicyKind
from vla_bench.spec.outcomes import Outcome

__all__ = ["AttemptTotals", "EpisodeCell", "RunFacts", "headline", "summarise"]

_NOT_RUN = Outcome.NOT_RUN.value


class EpisodeCell(NamedTuple):
    """What a summary needs of an episode that was reached; the fields are columns of its row, but for the last.

    `n_stages_done` is None where the suite's tasks have no stages.
    """

    task: str
    trial: int
    outcome: str
    error_kind: str
    n_clipped: int
    flags: Sequence[str]
    n_stages_done: int | None = None


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a summary needs of a run besides its episodes.

    Attributes:
        name, command, started_at, finished_at, shards, settings: of the run.
        eval_hash, policy_digest, plan_hash, suite_digest: its identity.
        suite, policy: plain content.
        episodes: of the plan, in order, plain content.
        origin: see `RunSummary`.
    """

    name: str
    command: str
    started_at: str
    finished_at: str
    shards: Sequence[str]
    settings: Mapping[str, Any]
    eval_hash: str
    policy_digest: str
    plan_hash: str
    suite_digest: str
    suite: Mapping[str, Any]
    policy: Mapping[str, Any]
    episodes: Sequence[Mapping[str, Any]]
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AttemptTotals:
    """Sums over all attempts of a run; times in milliseconds, `bins` as in `stats.bins`."""

    n_attempts: int
    n_steps: int
    n_queries: int
    wall_ms: float
    policy_ms: float
    env_ms: float
    policy_max_ms: float
    bins: Iterable[Mapping[str, int]]


def summarise(facts: RunFacts, cells: Iterable[EpisodeCell], totals: AttemptTotals) -> RunSummary:
    """Count what was judged and compute rates where nothing is missing."""
    tallies = _tallies(facts.episodes)
    n_planned = len(facts.episodes)
    lengths: list[tuple[str, int]] = []
    reached = _count(tallies, cells, lengths)
    lost = dict(reached.lost)
    if n_planned > reached.n_episodes:
        lost[_NOT_RUN] = lost.get(_NOT_RUN, 0) + n_planned - reached.n_episodes
    n_judged = sum(tally.judged.total() for tally in tallies.values())
    n_success = sum(tally.succeeded.total() for tally in tallies.values())
    grouping = Grouping(facts.suite, tallies)
    counts = [tally.counts(task, cluster=grouping.base_task(task)) for task, tally in tallies.items()]
    is_complete = n_planned > 0 and n_judged == n_planned
    return RunSummary(
        **_who(facts),
        n_planned=n_planned,
        n_judged=n_judged,
        n_success=n_success,
        lost_by_kind=dict(sorted(lost.items())),
        n_repeats=max((max(tally.planned.values()) for tally in tallies.values()), default=0),
        rate=mean_rate(counts) if is_complete else None,
        these_tasks=these_tasks(counts) if is_complete else None,
        tasks_like_these=tasks_like_these(counts) if is_complete else None,
        bounds=None if is_complete else rate_bounds(n_success, n_judged, n_planned),
        per_task=tuple(_task(task, tally) for task, tally in tallies.items()),
        groups={tag: grouping.groups(tag) for tag in grouping.tags},
        group_means={tag: grouping.mean(tag) for tag in grouping.tags},
        totals=grouping.totals(),
        chains=summarise_chains(facts.suite, facts.episodes, lengths),
        n_suite_tasks=len(facts.suite["tasks"]),
        latencies=_latencies(totals),
        n_clipped=reached.n_clipped,
        flags=dict(sorted(reached.flags.items())),
        n_attempts=totals.n_attempts,
    )


def headline(summary: RunSummary) -> RunSummary:
    """The same result without its tasks and groups: what lists show."""
    chains = summary.chains and replace(summary.chains, subtasks=())
    return replace(summary, per_task=(), groups={}, chains=chains)


def _who(facts: RunFacts) -> dict[str, Any]:
    """What a summary says of its run besides numbers."""
    suite, policy = facts.suite, facts.policy
    same = ("name", "command", "plan_hash", "eval_hash", "policy_digest", "suite_digest", "settings", "origin")
    return {
        **{name: getattr(facts, name) for name in same},
        "suite": suite["name"],
        "standin": suite.get("standin", ""),
        "protocol": f"{suite['protocol']['name']}/{suite['protocol']['version']}",
        "policy": policy["name"],
        "policy_version": policy["version"],
        "policy_kind": PolicyKind(policy["kind"]),
        "checkpoint_scope": CheckpointScope(policy.get("checkpoint_scope", CheckpointScope.ONE)),
        "routes": _routes(policy),
        "shards": tuple(facts.shards),
        "started_at": facts.started_at,
        "finished_at": facts.finished_at,
    }


def _routes(policy: Mapping[str, Any]) -> tuple[str, ...]:
    if policy.get("checkpoint_scope") != CheckpointScope.PER_SUITE:
        return ()
    routes = policy["options"].get("routes", {})
    return tuple(routes) if isinstance(routes, Mapping) else ()


@dataclass(slots=True)
class _Reached:
    """Counts over the episodes that were reached."""

    n_episodes: int
    n_clipped: int
    lost: Counter[str]
    flags: Counter[str]


def _count(tallies: Mapping[str, Tally], cells: Iterable[EpisodeCell], lengths: list[tuple[str, int]]) -> _Reached:
    """Enter judged episodes into the tallies of their tasks and into `lengths`, and count the lost ones by kind."""
    reached = _Reached(0, 0, Counter(), Counter())
    for cell in cells:
        reached.n_episodes += 1
        reached.n_clipped += cell.n_clipped
        if cell.flags:
            reached.flags.update(cell.flags)
        outcome = Outcome(cell.outcome)
        if outcome.is_judged:
            tallies[cell.task].judged[cell.trial] += 1
            tallies[cell.task].succeeded[cell.trial] += outcome is Outcome.SUCCESS
            if cell.n_stages_done is not None:
                lengths.append((cell.task, cell.n_stages_done))
        else:
            reached.lost[cell.error_kind or outcome.value] += 1
    return reached


def _tallies(episodes: Sequence[Mapping[str, Any]]) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    for episode in episodes:
        tally = tallies.get(episode["task"])
        if tally is None:
            tally = tallies[episode["task"]] = Tally(Counter(), Counter(), Counter())
        tally.planned[episode["trial"]] += 1
    return tallies


def _task(task: str, tally: Tally) -> TaskSummary:
    n_planned, n_judged, n_success = tally.planned.total(), tally.judged.total(), tally.succeeded.total()
    rate, interval = _of_states(tally.counts(task).states) if tally.is_complete else (None, None)
    return TaskSummary(
        task=task,
        n_planned=n_planned,
        n_judged=n_judged,
        n_success=n_success,
        rate=rate,
        interval=interval,
        bounds=None if tally.is_complete else rate_bounds(n_success, n_judged, n_planned),
    )


# Ten thousand tasks of one trial know two of these only.
@lru_cache(maxsize=4096)
def _of_states(states: tuple[tuple[int, int], ...]) -> tuple[float | None, Interval | None]:
    """Rate and interval of one task: its name and weight do not enter."""
    counts = [TaskCounts(task="", states=states)]
    return mean_rate(counts), these_tasks(counts)


def _latencies(totals: AttemptTotals) -> LatencySummary:
    bins = merge_bins(totals.bins)
    wall = totals.wall_ms
    harness = wall - totals.policy_ms - totals.env_ms
    # An imported result knows at most how long its episodes took.
    has_parts = wall > 0 and totals.policy_ms + totals.env_ms > 0
    return LatencySummary(
        n_queries=totals.n_queries,
        policy_p50_ms=percentile(bins, 0.5),
        policy_p95_ms=percentile(bins, 0.95),
        policy_max_ms=totals.policy_max_ms if totals.n_queries else None,
        env_mean_ms=totals.env_ms / totals.n_steps if totals.n_steps and totals.env_ms else None,
        wall_s=wall / 1000,
        policy_share=totals.policy_ms / wall if has_parts else None,
        env_share=totals.env_ms / wall if has_parts else None,
        harness_share=harness / wall if has_parts else None,
    )
