"""The shapes of `--json` of `vla-bench group`; see `vla_bench.cli.schemas`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "GroupListModel",
    "GroupMemberModel",
    "GroupModel",
    "GroupShowModel",
    "GroupedChainsModel",
    "GroupedRunModel",
    "SpreadModel",
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GroupMemberModel(_Model):
    """A run of a group; `label` names the training or checkpoint that it evaluated."""

    run: str
    label: str


class GroupModel(_Model):
    """A group as it was defined. `n_runs` is more than its `members` where a run was deleted since."""

    name: str
    kind: str
    protocol: str
    n_runs: int
    members: list[GroupMemberModel]
    created_at: str


class GroupListModel(_Model):
    """`vla-bench group list --json`."""

    groups: list[GroupModel]


class SpreadModel(_Model):
    """A standard deviation of scores: of rates as a fraction, of lengths in stages. Null ends where all are equal."""

    sd: float
    low: float | None
    high: float | None
    n: int
    degrees: int


class GroupedRunModel(_Model):
    """A run of a group; `scores` has one entry per evaluation seed in it, none unless it is complete."""

    run: str
    label: str
    n_planned: int
    n_judged: int
    n_success: int
    rate: float | None
    scores: list[float]


class _IntervalModel(_Model):
    low: float
    high: float
    method: str


class _NewTrainingsModel(_IntervalModel):
    n_clusters: int
    is_rough: bool


class GroupedChainsModel(_Model):
    """How far chains went over all runs; spreads are in stages."""

    n_stages: int
    mean_length: float
    interval: _IntervalModel | None
    stages: list[float]
    evaluation_spread: SpreadModel | None
    training_spread: SpreadModel | None
    training_component: float | None
    new_trainings: _NewTrainingsModel | None


class _TaskModel(_Model):
    task: str
    n_planned: int
    n_judged: int
    n_success: int
    n_lost: int
    rate: float | None
    interval: _IntervalModel | None
    bounds: tuple[float, float] | None


class GroupShowModel(_Model):
    """`vla-bench group … --json` and `group show --json`: the result of a group, see `Groups and tables`.

    `rate` is null unless every run is complete. A spread is null where nothing was repeated that would show it.
    """

    schema_name: str = Field(alias="schema")
    name: str
    kind: str
    protocol: str
    suite: str
    suite_protocol: str
    policy: str
    is_oracle: bool
    is_imported: bool
    is_selected: bool
    is_complete: bool
    score_line: str
    n_units: int
    n_evaluations: int
    n_states: int
    n_planned: int
    n_judged: int
    n_success: int
    lost_by_kind: dict[str, int]
    rate: float | None
    these_runs: _IntervalModel | None
    bounds: tuple[float, float] | None
    evaluation_spread: SpreadModel | None
    training_spread: SpreadModel | None
    training_component: float | None
    noise_ceiling: float | None
    new_trainings: _NewTrainingsModel | None
    chains: GroupedChainsModel | None
    runs: list[GroupedRunModel]
    per_task: list[_TaskModel]
    settings: dict[str, Any]
    created_at: str
