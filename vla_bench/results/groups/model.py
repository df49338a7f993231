"""What a group is (`RunGroup`) and what it says (`RunGroupSummary`). Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vla_bench.results.groups.kinds import GroupKind, Member
from vla_bench.results.groups.spread import Spread
from vla_bench.results.runs import TaskSummary, score_line
from vla_bench.results.stats.rates import Interval
from vla_bench.results.stats.suites import ClusterInterval
from vla_bench.spec.canonical import to_plain

__all__ = ["GroupedChains", "GroupedRun", "RunGroup", "RunGroupSummary"]

SCHEMA = "vla-bench/group/1"
"""Name and version of the JSON form of a `RunGroupSummary`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGroup:
    """A group as it was defined.

    Attributes:
        name: unique among groups.
        kind: what its runs differ in.
        protocol: kind and numbers, `top_checkpoints/3x20`.
        n_runs: runs that it was defined with; more than `members` where a run was deleted since.
        members: in the order of the definition; every label is set.
        created_at: UTC, ISO 8601.
    """

    name: str
    kind: GroupKind
    protocol: str
    n_runs: int
    members: tuple[Member, ...]
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedRun:
    """A run as part of a group.

    Attributes:
        run, label: its name, and the training or checkpoint that it evaluated.
        n_planned, n_judged, n_success: episodes.
        rate: unweighted mean of task rates; None unless complete.
        scores: one per evaluation seed in the run (see `repeats`); empty unless complete.
    """

    run: str
    label: str
    n_planned: int
    n_judged: int
    n_success: int
    rate: float | None
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedChains:
    """How far the chains of a complete group went, on average over all its runs.

    Attributes:
        n_stages: of every chain.
        mean_length: average number of stages done.
        interval: its bootstrap over chains, for exactly these weights; None where all chains went equally far.
        stages: share of chains of at least k stages, k = 1 … `n_stages` (SR@k).
        evaluation_spread, training_spread, training_component, new_trainings: as of the rate, in stages.
    """

    n_stages: int
    mean_length: float
    interval: Interval | None
    stages: tuple[float, ...]
    evaluation_spread: Spread | None
    training_spread: Spread | None
    training_component: float | None
    new_trainings: ClusterInterval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGroupSummary:
    """The result of a group. Only judged episodes enter, and a group with missing ones has no score.

    Attributes:
        name, kind, protocol, created_at: see `RunGroup`.
        suite, suite_protocol, policy: what was evaluated; several names of policies are joined by commas.
        is_oracle, is_imported: of its runs, which all are or none is.
        is_selected: the members were chosen by their score on this suite, so the group's score is optimistic.
        n_units: trainings or checkpoints.
        n_evaluations: evaluations of each of them, under different policy seeds.
        n_states: initial states, over all tasks; every evaluation begins from each of them.
        n_planned, n_judged, n_success, lost_by_kind: episodes of all runs together.
        rate: mean over units of their mean scores; None unless every run is complete.
        these_runs: its interval for exactly these weights on these tasks, clustered by initial state; None with `rate`.
        bounds: where the pooled rate can lie; None where the rate is known.
        evaluation_spread: between evaluations of the same weights; None where none was repeated.
        training_spread: between units' means, evaluation noise included; None for one unit.
        training_component: `training_spread` without that noise; None where the two cannot be told apart.
        noise_ceiling: the most that evaluation noise alone can spread units' means; None for one unit.
        new_trainings: the mean score of further trainings; for training seeds only, None where they scored alike.
        chains: how far chains went; None where tasks are no chains, or with `rate`.
        runs: the members.
        per_task: over all runs.
        settings: the evaluation settings that all runs share.
    """

    name: str
    kind: GroupKind
    protocol: str
    suite: str
    suite_protocol: str
    policy: str
    is_oracle: bool
    is_imported: bool
    n_units: int
    n_evaluations: int
    n_states: int
    n_planned: int
    n_judged: int
    n_success: int
    lost_by_kind: Mapping[str, int]
    rate: float | None
    these_runs: Interval | None
    bounds: tuple[float, float] | None
    evaluation_spread: Spread | None
    training_spread: Spread | None
    training_component: float | None
    noise_ceiling: float | None
    new_trainings: ClusterInterval | None
    chains: GroupedChains | None
    runs: tuple[GroupedRun, ...]
    per_task: tuple[TaskSummary, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    created_at: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether every planned episode of every run is judged."""
        return self.n_judged == self.n_planned

    @property
    def is_selected(self) -> bool:
        """Whether the members were chosen by their score on this suite."""
        return self.kind is GroupKind.TOP_CHECKPOINTS

    @property
    def score_line(self) -> str:
        """`k/n of N planned, m lost (kinds)`, over all runs."""
        return score_line(self.n_success, self.n_judged, self.n_planned, self.lost_by_kind)

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form of `group show --json`."""
        plain: dict[str, Any] = {"schema": SCHEMA, **to_plain(self)}
        for name in ("is_complete", "is_selected", "score_line"):
            plain[name] = getattr(self, name)
        for task, stored in zip(self.per_task, plain["per_task"], strict=True):
            stored["n_lost"] = task.n_lost
        return plain
