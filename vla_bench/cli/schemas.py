"""The shapes of `--json`: a model per command, stable within a major version. Fields are added, never renamed.

`json_schemas()` exports them for the docs; tests check what commands print against them. `run` and `show` print what
`RunSummary.to_dict()` gives, `runs` a list of it without tasks and groups.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from vla_bench.cli.board_schemas import BOARD_MODELS
from vla_bench.cli.comparison_schemas import CompareModel, GateModel, GatePlanModel
from vla_bench.cli.group_schemas import GroupListModel, GroupShowModel
from vla_bench.cli.policy_schemas import LookModel, PoliciesModel
from vla_bench.cli.replay_schemas import AgainstModel, DiffModel, ReportModel, VerifyModel, VideoModel

__all__ = [
    "AssetsListModel", "AssetsModel", "CheckModel", "DoctorModel", "EnvListModel", "EnvModel", "EpisodeModel",
    "PicturesModel", "PlanModel", "PreviewModel", "RunModel", "RunsModel", "SuiteModel", "SuitesModel", "TaskModel",
    "json_schemas",
]  # fmt: skip


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TaskModel(_Model):
    """One task of a suite."""

    id: str
    instruction: str
    horizon: int
    n_stages: int
    tags: dict[str, str | int | None]


class SuiteModel(_Model):
    """One suite under one protocol.

    `cameras` maps names to `HEIGHTxWIDTH`; `install` is the line that makes it runnable, empty where it runs already.
    """

    name: str
    family: str
    title: str
    protocol: str
    protocols: list[str]
    n_tasks: int
    n_episodes: int
    cameras: dict[str, str]
    state: dict[str, int]
    n_actions: int
    has_oracle: bool
    is_deterministic: bool
    is_ready: bool
    install: str
    provenance: dict[str, str]
    tasks: list[TaskModel]


class SuitesModel(_Model):
    """`vla-bench suites --json`."""

    suites: list[SuiteModel]


class EpisodeModel(_Model):
    """One planned episode with every parameter; `id` is a digest of the others."""

    id: str
    suite: str
    protocol: str
    task: str
    trial: int
    repeat: int
    initial_state: dict[str, Any]
    env_seed: int
    policy_seed: int
    params: dict[str, Any]


class PlanModel(_Model):
    """`vla-bench plan --json`. `plan_hash` is that of the whole plan, also where `shard` selects a part of it."""

    plan_hash: str
    suite: str
    protocol: str
    shard: str
    n_episodes: int
    episodes: list[EpisodeModel]


class IntervalModel(_Model):
    """An interval of a success rate, 95 %, `0 <= low <= high <= 1`."""

    low: float
    high: float
    method: str


class ClusterIntervalModel(IntervalModel):
    """One for tasks like these: clustered by task; `is_rough` with fewer than 20 clusters."""

    n_clusters: int
    is_rough: bool


class _PartModel(_Model):
    n_planned: int
    n_judged: int
    n_success: int
    rate: float | None
    interval: IntervalModel | None
    bounds: tuple[float, float] | None


class TaskResultModel(_PartModel):
    """One task of a run. `rate` and `interval` are null unless every planned episode is judged; then `bounds` are."""

    task: str
    n_lost: int


class GroupResultModel(_PartModel):
    """The tasks that share the value of a tag; `rate` is the mean of their rates."""

    value: str
    n_tasks: int
    n_suite_tasks: int
    note: str


class GroupMeanModel(_Model):
    """The mean over the groups of a tag."""

    rate: float | None
    interval: IntervalModel | None


class TotalModel(_Model):
    """A score of the whole suite under its own name; null where the plan is a part of the suite."""

    name: str
    title: str
    rate: float | None
    interval: IntervalModel | None


class LatencyModel(_Model):
    """Where the wall time of all attempts went; null where nothing was measured. Shares add up to 1."""

    n_queries: int
    policy_p50_ms: float | None
    policy_p95_ms: float | None
    policy_max_ms: float | None
    env_mean_ms: float | None
    wall_s: float
    policy_share: float | None
    env_share: float | None
    harness_share: float | None


class StageRateModel(_Model):
    """SR@k: the share of chains of at least `k` subtasks."""

    k: int
    n_success: int
    n: int
    rate: float
    interval: IntervalModel


class SubtaskModel(_Model):
    """One subtask over all judged chains in which the policy came to it."""

    subtask: str
    n_attempted: int
    n_success: int
    rate: float | None
    interval: IntervalModel | None


class ChainsModel(_Model):
    """How far chains of subtasks went. `mean_length` is null and `stages` empty unless every chain is judged."""

    n_stages: int
    n_chains: int
    mean_length: float | None
    error: float | None
    interval: IntervalModel | None
    is_rough: bool
    stages: list[StageRateModel]
    bounds: tuple[float, float] | None
    subtasks: list[SubtaskModel]


class RunModel(_Model):
    """`vla-bench run --json` and `vla-bench show --json`.

    `rate` is null unless every planned episode is judged; then `bounds` say where it can lie. `lost_by_kind` adds up to
    `n_lost`, `not_run` included. Oracles are never ranked.
    """

    schema_name: str = Field(alias="schema")
    name: str
    suite: str
    protocol: str
    command: str
    policy: str
    policy_version: str
    policy_kind: str
    plan_hash: str
    eval_hash: str
    policy_digest: str
    suite_digest: str
    settings: dict[str, Any]
    n_planned: int
    n_judged: int
    n_success: int
    n_lost: int
    not_run: int
    lost_by_kind: dict[str, int]
    n_repeats: int
    coverage: float | None
    is_complete: bool
    is_imported: bool
    is_oracle: bool
    score_line: str
    rate: float | None
    these_tasks: IntervalModel | None
    tasks_like_these: ClusterIntervalModel | None
    bounds: tuple[float, float] | None
    per_task: list[TaskResultModel]
    groups: dict[str, list[GroupResultModel]]
    group_means: dict[str, GroupMeanModel]
    totals: list[TotalModel]
    chains: ChainsModel | None
    n_suite_tasks: int
    standin: str
    checkpoint_scope: str
    routes: list[str]
    latencies: LatencyModel
    n_clipped: int
    flags: dict[str, int]
    n_attempts: int
    shards: list[str]
    started_at: str
    finished_at: str
    origin: dict[str, Any]


class PreviewModel(_Model):
    """`vla-bench run --dry-run --json`: what a run would do.

    `differs` names what a run of that name has otherwise (`plan`, `settings`, `policy`): then it would be refused.
    """

    name: str
    suite: str
    protocol: str
    policy: str
    executor: str
    database: str
    plan_hash: str
    eval_hash: str
    policy_digest: str
    shard: str
    cameras: list[str]
    n_workers: int
    n_planned: int
    n_judged: int
    n_lost: int
    n_to_run: int
    exists: bool
    differs: list[str]


class RunsModel(_Model):
    """`vla-bench runs --json`, the newest first; `per_task`, `groups` and `group_means` are empty here."""

    runs: list[RunModel]


class CheckModel(_Model):
    """One line of `doctor`: `status` is `ok`, `note` or `blocker`; `fix` is the line to type, empty where none is."""

    group: str
    name: str
    status: str
    detail: str
    fix: str


class DoctorModel(_Model):
    """`vla-bench doctor --json`. `is_ready` is false where any check is a blocker (exit code 1)."""

    is_ready: bool
    checks: list[CheckModel]


class EnvModel(_Model):
    """One environment made by `vla-bench env create`."""

    family: str
    path: str
    python: str
    size_mib: float


class AssetsModel(_Model):
    """A set of assets. `source`, `digest` and `standin` are empty where it is not installed."""

    name: str
    title: str
    suites: list[str]
    origin: str
    terms: str
    size_bytes: int
    is_installed: bool
    source: str
    digest: str
    standin: str


class AssetsListModel(_Model):
    """`vla-bench assets list --json`."""

    assets: list[AssetsModel]


class PicturesModel(_Model):
    """`vla-bench pictures --json`: what was written where."""

    path: str
    suite: str
    protocol: str
    camera: str
    n_pictures: int
    tasks: list[str]


class EnvListModel(_Model):
    """`vla-bench env list --json`."""

    environments: list[EnvModel]


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of every command that takes `--json`, by command."""
    models: dict[str, type[BaseModel]] = {
        "suites": SuitesModel,
        "policies": PoliciesModel,
        "policies POLICY": LookModel,
        "plan": PlanModel,
        "pictures": PicturesModel,
        "run": RunModel,
        "run --dry-run": PreviewModel,
        "runs": RunsModel,
        "show": RunModel,
        "doctor": DoctorModel,
        "env list": EnvListModel,
        "assets list": AssetsListModel,
        "group define": GroupShowModel,
        "group show": GroupShowModel,
        "group list": GroupListModel,
        "compare": CompareModel,
        "gate": GateModel,
        "gate --plan": GatePlanModel,
        "verify": VerifyModel,
        "verify --against-calvin-env": AgainstModel,
        "video": VideoModel,
        "report": ReportModel,
        "diff": DiffModel,
    }
    return {command: model.model_json_schema() for command, model in (models | BOARD_MODELS).items()}
