"""What goes into a run (`RunSpec`) and what comes out of it (`RunSummary`). Plain data; the store fills them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypeVar

from vla_bench.results.chains import ChainSummary, chains_from_dict
from vla_bench.results.stats.rates import Interval
from vla_bench.results.stats.suites import ClusterInterval
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.episode import Plan
from vla_bench.spec.messages import CheckpointScope, PolicyInfo, PolicyKind
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite

__all__ = [
    "GroupMean", "GroupSummary", "LatencySummary", "RunRecord", "RunSpec", "RunSummary", "StoredAttempt", "TaskSummary",
    "TotalSummary", "score_line",
]  # fmt: skip

SCHEMA = "vla-bench/run/1"
"""Name and version of the JSON form of a `RunSummary`."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """A run to begin or to go on with.

    Attributes:
        name: unique in the database.
        suite, plan, settings, policy: what is evaluated and how; a run of one name never mixes them.
        command: the command line, for the record.
        shard: `i/n` where this process runs a part of the plan only, else empty. The plan is the whole one.
        origin: of an imported result, see `RunSummary`; empty for what is run here.
    """

    name: str
    suite: Suite
    plan: Plan
    settings: EvalSettings
    policy: PolicyInfo
    command: str = ""
    shard: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run that has been begun.

    Attributes:
        name: as stored; with `fresh` it may have got a number.
        is_resumed: it existed already.
        plan_hash, eval_hash, policy_digest: its identity.
        n_planned: episodes of the whole plan.
        started_at: when it was first begun, UTC, ISO 8601.
    """

    name: str
    is_resumed: bool
    plan_hash: str
    eval_hash: str
    policy_digest: str
    n_planned: int
    started_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAttempt:
    """An attempt as stored: `result.trace` is None, `trace_digest` finds it (empty where there is none)."""

    result: AttemptResult
    trace_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """One task of a run.

    Attributes:
        task: its id.
        n_planned, n_judged, n_success: episodes.
        rate: success rate; None unless every planned episode is judged.
        interval: Wilson, or clustered by initial state where states were repeated; None with `rate`.
        bounds: where the rate can lie; None where it is known.
    """

    task: str
    n_planned: int
    n_judged: int
    n_success: int
    rate: float | None
    interval: Interval | None
    bounds: tuple[float, float] | None

    @property
    def n_lost(self) -> int:
        """Planned episodes without a judged outcome."""
        return self.n_planned - self.n_judged


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSummary:
    """The tasks that share the value of a tag, for example all of difficulty `hard`.

    Attributes:
        value: of the tag; empty for tasks that lack it.
        n_tasks, n_planned, n_judged, n_success: tasks and episodes.
        rate: unweighted mean of its task rates; None unless complete.
        interval: on these tasks; None with `rate`.
        bounds: where the pooled rate can lie; None where it is known.
        n_suite_tasks: tasks that the suite has in this group; more than `n_tasks` where the plan is a part of it.
        note: what the suite says of this group, empty for nothing.
    """

    value: str
    n_tasks: int
    n_planned: int
    n_judged: int
    n_success: int
    rate: float | None
    interval: Interval | None
    bounds: tuple[float, float] | None
    n_suite_tasks: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMean:
    """Unweighted mean over the groups of a tag, each the mean of its tasks. None unless the run is complete."""

    rate: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalSummary:
    """A score of the whole suite under its own name; see `vla_bench.spec.suite.Total`.

    Attributes:
        name, title: of the score.
        rate: None unless the run is complete and its plan has every task of the suite.
        interval: on these tasks; None with `rate`.
    """

    name: str
    title: str
    rate: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySummary:
    """Where the wall time of all attempts went. None where nothing was measured.

    Attributes:
        n_queries: answers of the policy.
        policy_p50_ms, policy_p95_ms: percentiles over all answers, within 1 %.
        policy_max_ms: the longest answer.
        env_mean_ms: simulator and renderer, mean per control step.
        wall_s: summed over attempts, which may have run side by side.
        policy_share, env_share, harness_share: parts of `wall_s`; they add up to 1.
    """

    n_queries: int
    policy_p50_ms: float | None
    policy_p95_ms: float | None
    policy_max_ms: float | None
    env_mean_ms: float | None
    wall_s: float
    policy_share: float | None
    env_share: float | None
    harness_share: float | None


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The result of a run. Only judged episodes enter a rate, and an incomplete run has none.

    Attributes:
        name, suite, protocol, command: of the run.
        policy, policy_version, policy_kind: an `oracle` reads privileged state and is never ranked.
        checkpoint_scope: whether one set of weights answered everywhere, or one per suite.
        routes: those that the policy was reached by, where it has several; the policy's digest covers each.
        plan_hash, eval_hash, policy_digest, suite_digest: runs are comparable pair by pair where `plan_hash` is equal.
        settings: the evaluation settings, plain JSON values.
        n_planned, n_judged, n_success: episodes.
        lost_by_kind: error kind → planned episodes lost to it, `not_run` included; adds up to `n_lost`.
        n_repeats: the most rollouts of one initial state; above 1 the intervals are clustered by state.
        rate: unweighted mean of task rates; None unless complete.
        these_tasks: its interval on exactly these tasks; None with `rate`.
        tasks_like_these: its interval on new tasks of this kind; None with `rate` or for a single task.
        bounds: where the pooled rate can lie, all lost ones failing … succeeding; None where the rate is known.
        per_task: in plan order. Empty in a headline (see `Store.summaries`).
        groups: tag → groups, for the tags that the suite reports by. Empty in a headline.
        group_means: tag → mean over its groups.
        totals: scores of the whole suite under their own names, for suites that have such.
        chains: how far chains of subtasks went; None where the tasks are no such chains.
        n_suite_tasks: tasks of the suite; more than `per_task` has where the plan is a part of it.
        standin: why these numbers are no results, empty where they are; see `Suite`.
        latencies: over all attempts.
        n_clipped: clipped actions of the attempts that count.
        flags: flag → episodes that carry it (`unstable`, `repeated_policy_error`).
        n_attempts: attempts at all episodes.
        shards: parts of the plan that were begun, empty where the plan was run whole.
        started_at, finished_at: UTC, ISO 8601; `finished_at` is empty while the run goes on or was cut off.
        origin: of an imported result: `tool`, `file`, `digest` and what the file claims; of a copy of a leaderboard's
            run: `fetched_from`, `digest` and `fetched_at`; empty for what was run here.
    """

    name: str
    suite: str
    protocol: str
    command: str
    policy: str
    policy_version: str
    policy_kind: PolicyKind
    plan_hash: str
    eval_hash: str
    policy_digest: str
    suite_digest: str
    settings: Mapping[str, Any]
    n_planned: int
    n_judged: int
    n_success: int
    lost_by_kind: Mapping[str, int]
    n_repeats: int
    rate: float | None
    these_tasks: Interval | None
    tasks_like_these: ClusterInterval | None
    bounds: tuple[float, float] | None
    per_task: tuple[TaskSummary, ...] = ()
    groups: Mapping[str, tuple[GroupSummary, ...]] = field(default_factory=dict)
    group_means: Mapping[str, GroupMean] = field(default_factory=dict)
    totals: tuple[TotalSummary, ...] = ()
    chains: ChainSummary | None = None
    n_suite_tasks: int = 0
    standin: str = ""
    checkpoint_scope: CheckpointScope = CheckpointScope.ONE
    routes: tuple[str, ...] = ()
    latencies: LatencySummary
    n_clipped: int = 0
    flags: Mapping[str, int] = field(default_factory=dict)
    n_attempts: int = 0
    shards: tuple[str, ...] = ()
    started_at: str = ""
    finished_at: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_lost(self) -> int:
        """Planned episodes without a judged outcome, those never reached included."""
        return self.n_planned - self.n_judged

    @property
    def not_run(self) -> int:
        """Planned episodes that were never reached."""
        return self.lost_by_kind.get(Outcome.NOT_RUN.value, 0)

    @property
    def coverage(self) -> float | None:
        """Judged ÷ planned; None for an empty plan."""
        return self.n_judged / self.n_planned if self.n_planned else None

    @property
    def is_complete(self) -> bool:
        """Whether every planned episode is judged."""
        return self.n_judged == self.n_planned

    @property
    def is_oracle(self) -> bool:
        """Whether the policy reads privileged state: shown, never ranked."""
        return self.policy_kind is PolicyKind.ORACLE

    @property
    def is_imported(self) -> bool:
        """Whether it was read from another harness's file: self-reported, without traces, not to be verified."""
        return bool(self.origin) and not self.fetched_from

    @property
    def fetched_from(self) -> str:
        """The address of the leaderboard's run that this is a copy of; empty where it is none."""
        return str(self.origin.get("fetched_from", ""))

    @property
    def score_line(self) -> str:
        """`k/n of N planned, m lost (kinds)`."""
        return score_line(self.n_success, self.n_judged, self.n_planned, self.lost_by_kind)

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form of `show --json`: every attribute and property of this class, and `schema`."""
        plain: dict[str, Any] = {"schema": SCHEMA, **to_plain(self)}
        for name in ("n_lost", "not_run", "coverage", "is_complete", "is_imported", "is_oracle", "score_line"):
            plain[name] = to_plain(getattr(self, name))
        for task, stored in zip(self.per_task, plain["per_task"], strict=True):
            stored["n_lost"] = task.n_lost
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        clustered = data["tasks_like_these"]
        values |= {
            "policy_kind": PolicyKind(data["policy_kind"]),
            "checkpoint_scope": CheckpointScope(data.get("checkpoint_scope", CheckpointScope.ONE)),
            "routes": tuple(data.get("routes", ())),
            "these_tasks": _interval(data["these_tasks"]),
            "tasks_like_these": ClusterInterval(**clustered) if clustered else None,
            "bounds": _pair(data["bounds"]),
            "per_task": tuple(_part(TaskSummary, item) for item in data["per_task"]),
            "groups": {
                tag: tuple(_part(GroupSummary, item) for item in items) for tag, items in data["groups"].items()
            },
            "group_means": {
                tag: GroupMean(rate=item["rate"], interval=_interval(item["interval"]))
                for tag, item in data["group_means"].items()
            },
            "totals": tuple(
                TotalSummary(**item | {"interval": _interval(item["interval"])}) for item in data.get("totals", ())
            ),
            "chains": chains_from_dict(data.get("chains")),
            "latencies": LatencySummary(**data["latencies"]),
            "shards": tuple(data["shards"]),
        }
        return cls(**values)


def score_line(n_success: int, n_judged: int, n_planned: int, lost_by_kind: Mapping[str, int]) -> str:
    """The one way a score is written: `17/18 of 20 planned, 2 lost (policy_timeout 1, not_run 1)`.

    Args:
        n_success: of the judged episodes.
        n_judged: episodes with a judged outcome.
        n_planned: episodes of the plan.
        lost_by_kind: error kind → episodes; most frequent first, `not_run` last.
    """
    kinds = [(kind, count) for kind, count in lost_by_kind.items() if count]
    kinds.sort(key=lambda item: (item[0] == Outcome.NOT_RUN.value, -item[1], item[0]))
    named = f" ({', '.join(f'{kind} {count}' for kind, count in kinds)})" if kinds else ""
    return f"{n_success}/{n_judged} of {n_planned} planned, {n_planned - n_judged} lost{named}"


def _interval(data: Mapping[str, Any] | None) -> Interval | None:
    return Interval(**data) if data else None


def _pair(data: Any) -> tuple[float, float] | None:
    return (float(data[0]), float(data[1])) if data else None


_Part = TypeVar("_Part", TaskSummary, GroupSummary)


def _part(kind: type[_Part], data: Mapping[str, Any]) -> _Part:
    known = {item.name for item in fields(kind)}
    values = {key: value for key, value in data.items() if key in known}
    return kind(**values | {"interval": _interval(data["interval"]), "bounds": _pair(data["bounds"])})
