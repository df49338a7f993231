"""The shapes of `--json`: one model per command, stable within a major version. Fields are added, never renamed.

`json_schemas()` exports them for the docs; tests check what commands print against them. `show` prints the form that
`RunSummary.to_dict()` gives, and `runs` a list of its head.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = [
    "CheckModel", "DoctorModel", "EnvListModel", "EnvModel", "EpisodeModel", "PlanModel", "PoliciesModel", "PolicyModel",
    "PolicyOptionModel", "SuiteModel", "SuitesModel", "TaskModel", "json_schemas",
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
    """One suite under its default protocol.

    `install` is the line that makes it runnable, empty where it runs already; `image_size` is `HEIGHTxWIDTH` per camera.
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


class PolicyOptionModel(_Model):
    """One option of a policy, as `-o name=value` takes it. `default` is null where the option must be given."""

    name: str
    default: Any
    is_required: bool


class PolicyModel(_Model):
    """One registered policy. `problem` says why it cannot be used here, empty where it can."""

    name: str
    summary: str
    target: str
    options: list[PolicyOptionModel]
    problem: str


class PoliciesModel(_Model):
    """`vla-bench policies --json`."""

    policies: list[PolicyModel]


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
    size_mib: float | None


class EnvListModel(_Model):
    """`vla-bench env list --json`."""

    environments: list[EnvModel]


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of every command that takes `--json`, by command."""
    models: dict[str, type[BaseModel]] = {
        "suites": SuitesModel,
        "policies": PoliciesModel,
        "plan": PlanModel,
        "doctor": DoctorModel,
        "env list": EnvListModel,
    }
    return {command: model.model_json_schema() for command, model in models.items()}
