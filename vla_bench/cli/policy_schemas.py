"""The shapes of `--json` of `vla-bench policies`; see `vla_bench.cli.schemas`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = [
    "ActionModel", "CameraModel", "HandshakeModel", "LookModel", "PoliciesModel", "PolicyModel", "PolicyOptionModel",
]  # fmt: skip


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


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


class ActionModel(_Model):
    """What an action means, as `ActionConvention`; `n_entries` is the length of one."""

    rotation: str
    frame: str
    reference: str
    position_unit_m: float
    rotation_unit_rad: float
    gripper: str
    low: float
    high: float
    name: str
    size: int
    n_entries: int


class CameraModel(_Model):
    """A picture that a policy asks for; a height or width of 0 takes the suite's size."""

    name: str
    height: int
    width: int
    orientation: str
    colour_order: str


class HandshakeModel(_Model):
    """What a policy says of itself. `action` is null where it adapts to any suite.

    `route` is the suite (or value of the tag) that chooses it, empty where a policy has no routes. `digest` is that of
    all the other fields: two policies are the same where it is equal.
    """

    route: str
    name: str
    version: str
    digest: str
    weights_digest: str
    kind: str
    checkpoint_scope: str
    action: ActionModel | None
    cameras: list[CameraModel]
    state: dict[str, int]
    history: list[int]
    wants_depth: bool
    chunk_length: int
    batch_limit: int
    options: dict[str, Any]


class LookModel(_Model):
    """`vla-bench policies POLICY --json`: one entry, or one per route."""

    policy: str
    handshakes: list[HandshakeModel]
