"""The messages between harness and policy, one set for every transport.

Identity travels with each of them: a reply that does not echo its request's identity is an error, never an action.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.spec.canonical import sha256_hex
from vla_bench.spec.conventions import ActionConvention, ImageConvention

__all__ = [
    "ActionChunk", "CameraRequest", "CheckpointScope", "EpisodeInfo", "Identity", "Observation", "PolicyInfo",
    "PolicyKind",
]  # fmt: skip


class PolicyKind(enum.StrEnum):
    """Whether a policy may be ranked."""

    POLICY = "policy"
    ORACLE = "oracle"
    """reads privileged state; never ranked with others"""


class CheckpointScope(enum.StrEnum):
    """Whether one set of weights answers everywhere."""

    ONE = "one"
    PER_SUITE = "one per suite"
    """which one depends on the suite that an episode belongs to"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which question of which rollout: what a reply must echo.

    Attributes:
        session: id that the server gave when the session was opened.
        episode: id of the episode.
        attempt: try at this episode, from 0.
        stage: stage of the task, from 0.
        step: control steps executed since the episode's start, never counted anew.
        request: unique id of this request. A retry after a lost reply carries the same one, and is answered from the
            server's memory instead of a second inference.
    """

    session: str
    episode: str
    attempt: int
    stage: int
    step: int
    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the policy sees.

    Attributes:
        identity: of the request.
        images: camera name → uint8 `[H, W, 3]`, upright RGB.
        state: key → float32 `[n]`.
        instruction: the command of the present stage.
        history: offset (negative, steps) → images of that earlier frame; at an episode's or stage's start the first
            frame stands for those that do not exist.
        depth: camera name → float32 `[H, W]`, metres; only where the policy asked and the suite has it.
        privileged: key → float64 `[n]`, simulator truth; only for oracle policies.
    """

    identity: Identity
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    state: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    instruction: str = ""
    history: Mapping[int, Mapping[str, NDArray[np.uint8]]] = field(default_factory=dict)
    depth: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    privileged: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionChunk:
    """The policy's answer.

    Attributes:
        actions: float32 `[k, A]`, k ≥ 1, in the policy's declared convention.
        identity: echo of the request's; filled in by the server, a policy may leave it None.
        server: id of the answering server process; filled in by the server.
        server_ms: time from the request's arrival to its answer, milliseconds; filled in by the server.
    """

    actions: NDArray[np.float32]
    identity: Identity | None = None
    server: str = ""
    server_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeInfo:
    """What a policy learns at reset: at the start of an episode and of each further stage.

    Attributes:
        episode, attempt, stage: as in `Identity`.
        suite, task: names, for presets and oracles.
        instruction: the command of this stage.
        horizon: step limit of the episode.
        policy_seed: seed of everything random in the policy, `0 <= seed < 2**32`; equal for every attempt.
        n_actions: length `A` of an action.
        action_low, action_high: bounds of its entries.
    """

    episode: str
    attempt: int = 0
    stage: int = 0
    suite: str = ""
    task: str = ""
    instruction: str = ""
    horizon: int = 0
    policy_seed: int = 0
    n_actions: int = 0
    action_low: float = -1.0
    action_high: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRequest:
    """A camera that a policy wants: the role's name and the size it was trained on; 0 takes the suite's size."""

    name: str
    height: int = 0
    width: int = 0
    convention: ImageConvention = ImageConvention()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInfo:
    """What a policy is, expects and returns: the handshake.

    Attributes:
        name, version: for people and for the results.
        weights_digest: SHA-256 of the weights (or of whatever else decides the answers), empty where there are none.
        kind: `oracle` policies see privileged state and are never ranked.
        action: what its actions mean; None for a policy that adapts to any suite (`random`, `noop`, `expert`).
        cameras: pictures it wants; empty for a policy that sees none.
        state: key → number of entries it wants.
        history: offsets in steps (negative) of earlier frames it wants.
        wants_depth: whether it wants metric depth of its cameras.
        chunk_length: the most actions it returns at once.
        batch_limit: the most observations that one `act` takes.
        options: whatever else decides its answers (noise, temperature, checkpoint), plain JSON values.
        checkpoint_scope: whether one set of weights answers for every suite.
    """

    name: str
    version: str = "0"
    weights_digest: str = ""
    kind: PolicyKind = PolicyKind.POLICY
    action: ActionConvention | None = None
    cameras: tuple[CameraRequest, ...] = ()
    state: Mapping[str, int] = field(default_factory=dict)
    history: tuple[int, ...] = ()
    wants_depth: bool = False
    chunk_length: int = 1
    batch_limit: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    checkpoint_scope: CheckpointScope = CheckpointScope.ONE

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", PolicyKind(self.kind))
        object.__setattr__(self, "checkpoint_scope", CheckpointScope(self.checkpoint_scope))
        object.__setattr__(self, "cameras", tuple(self.cameras))
        object.__setattr__(self, "history", tuple(self.history))
        if self.chunk_length < 1 or self.batch_limit < 1:
            raise ValueError("chunk_length and batch_limit are at least 1")
        if any(offset >= 0 for offset in self.history):
            raise ValueError(f"history offsets are negative, got {list(self.history)}")

    @property
    def digest(self) -> str:
        """SHA-256 over all fields: two policies are the same where it is equal."""
        return sha256_hex(self)
