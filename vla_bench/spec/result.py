"""What happened: `AttemptResult` (one try), `EpisodeResult` (all tries of one episode), `Trace`, `Fingerprint`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.spec.canonical import content_id
from vla_bench.spec.episode import Episode
from vla_bench.spec.outcomes import Outcome

__all__ = ["AttemptResult", "EpisodeResult", "Fingerprint", "Latencies", "StageResult", "Trace"]


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Machine and software identity of a result. Replays promise `bit` equality on the same one, `outcome` elsewhere.

    Attributes:
        cpu, os, python: `x86_64 AMD EPYC 9V74`, `Linux 6.1 glibc 2.36`, `3.11.7`.
        packages: simulator and binding versions (`mujoco` → `3.3.0`).
        renderer: vendor, renderer and version of the render back end; empty where nothing was rendered.
    """

    cpu: str
    os: str
    python: str
    packages: Mapping[str, str] = field(default_factory=dict)
    renderer: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits made of the content."""
        return content_id(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """One stage of one attempt.

    Attributes:
        index: from 0.
        success: whether the stage's rule was met.
        n_steps: control steps spent in this stage.
        start_digest: state digest at its start.
    """

    index: int
    success: bool
    n_steps: int
    start_digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Everything needed to replay one attempt.

    Attributes:
        actions: float32 `[T, A]`, exactly what the simulator was given, T executed steps.
        query_steps: int32 `[Q]`, the step at which each chunk was asked for.
        digests: Q + 1 state digests: after reset and after each executed chunk.
        latency_ms: float32 `[Q]`, time from the request to its answer as the harness saw it.
        server_ms: float32 `[Q]`, the part of it that the server reports.
    """

    actions: NDArray[np.float32]
    query_steps: NDArray[np.int32]
    digests: tuple[str, ...]
    latency_ms: NDArray[np.float32]
    server_ms: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Where the wall time of an attempt went, milliseconds, summed; percentiles are over the policy's answers.

    `harness_ms` is what is left of `wall_ms`: neither in the simulator or renderer nor waiting for the policy.
    """

    wall_ms: float = 0.0
    policy_ms: float = 0.0
    env_ms: float = 0.0
    n_queries: int = 0
    policy_p50_ms: float = 0.0
    policy_p95_ms: float = 0.0
    policy_max_ms: float = 0.0

    @property
    def harness_ms(self) -> float:
        """`wall_ms - policy_ms - env_ms`."""
        return self.wall_ms - self.policy_ms - self.env_ms


@dataclass(frozen=True, kw_only=True)
class AttemptResult:
    """One try at an episode.

    Attributes:
        attempt: from 0.
        outcome: how it ended.
        error_kind, error_message: the error's `kind` and one line, empty where judged.
        n_steps: control steps executed.
        stages: one entry per stage that ended; a stage in which the attempt was lost has none.
        n_clipped: actions of which an entry was clipped to the bounds.
        flags: `unstable`, `repeated_policy_error`.
        facts: what the env reports of the state it built (`rand_vec`), plain JSON values.
        initial_digest, final_digest: state digests after reset and at the end; empty where never reached.
        latencies: see there.
        fingerprint: of the worker; None where none was started.
        trace: actions and digests so far; None where nothing was executed.
        started_at: UTC, ISO 8601.
    """

    attempt: int
    outcome: Outcome
    error_kind: str = ""
    error_message: str = ""
    n_steps: int = 0
    stages: tuple[StageResult, ...] = ()
    n_clipped: int = 0
    flags: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    initial_digest: str = ""
    final_digest: str = ""
    latencies: Latencies = Latencies()
    fingerprint: Fingerprint | None = None
    trace: Trace | None = None
    started_at: str = ""


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """An episode with all its attempts; the last one is the one that counts."""

    episode: Episode
    attempts: tuple[AttemptResult, ...] = ()

    @property
    def last(self) -> AttemptResult | None:
        """The attempt that counts; None where the episode was not reached."""
        return self.attempts[-1] if self.attempts else None

    @property
    def outcome(self) -> Outcome:
        """That of the last attempt; `not_run` without one."""
        return self.attempts[-1].outcome if self.attempts else Outcome.NOT_RUN

    @property
    def is_judged(self) -> bool:
        """True where the outcome is `success` or `failure`."""
        return self.outcome.is_judged
