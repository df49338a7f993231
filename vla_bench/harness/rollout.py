"""`Rollout`: what happens in one attempt, recorded as it happens, so that a lost attempt keeps all that came before."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.base import EnvState
from vla_bench.harness.actions import ActionFilter, check_actions
from vla_bench.harness.frames import FrameHistory
from vla_bench.harness.pictures import picture_for_policy
from vla_bench.harness.stages import StageLog
from vla_bench.policies.base import PolicySession
from vla_bench.spec.bind import Binding
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import VlaBenchError
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Identity, Observation
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, Fingerprint, Latencies, Trace
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite

__all__ = ["Rollout"]

Actions = NDArray[np.float32]


class Rollout:
    """One attempt at one episode. `run_episode` drives it; `result()` or `lost()` ends it."""

    def __init__(self, suite: Suite, episode: Episode, attempt: int, binding: Binding, settings: EvalSettings) -> None:
        """Nothing is run here.

        Args:
            suite: of the episode.
            episode: what is attempted.
            attempt: try at it, from 0.
            binding: conversion between policy and suite.
            settings: of the run.
        """
        self.episode = episode
        self.fingerprint: Fingerprint | None = None
        self._suite, self._attempt, self._binding = suite, attempt, binding
        self._settings = settings
        self._task = suite.task(episode.task)
        self._cameras = {camera.name: camera for camera in binding.cameras}
        self._filter = ActionFilter(binding, settings, suite.protocol.action_bounds)
        self._frames = FrameHistory(binding.history)
        self._requests = itertools.count()
        self._started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._begin = perf_counter()
        self._state: EnvState | None = None
        self._facts: Mapping[str, object] = {}
        self._env_ms = self._policy_ms = 0.0
        self._stages = StageLog()
        self._actions: list[Actions] = []
        self._query_steps: list[int] = []
        self._digests: list[str] = []
        self._latency_ms: list[float] = []
        self._server_ms: list[float] = []

    # What `run_episode` calls, in its order.

    def begin(self, state: EnvState) -> None:
        """Take the state after the env's reset."""
        self._facts = state.facts
        self._see(state)
        self._stages.begin(state)
        self._frames.begin(state.step, state.images)

    def reset_policy(self, policy: PolicySession) -> None:
        """Tell the policy of the episode, or of the stage that begins."""
        state, action = self._seen(), self._binding.suite_action
        info = EpisodeInfo(
            episode=self.episode.id,
            attempt=self._attempt,
            stage=state.stage,
            suite=self._suite.name,
            task=self._task.id,
            instruction=state.instruction,
            horizon=self._task.horizon,
            policy_seed=self.episode.policy_seed,
            n_actions=action.n_entries,
            action_low=action.low,
            action_high=action.high,
        )
        asked_at = perf_counter()
        try:
            policy.reset(info)
        finally:
            self._policy_ms += 1e3 * (perf_counter() - asked_at)

    def ask(self, policy: PolicySession, state: EnvState) -> ActionChunk:
        """Show the policy the state and wait for its answer."""
        observation = self._observation(policy.id, state)
        asked_at = perf_counter()
        try:
            chunk = policy.act(observation)
        finally:
            latency_ms = 1e3 * (perf_counter() - asked_at)
            self._policy_ms += latency_ms
        self._query_steps.append(state.step)
        self._latency_ms.append(latency_ms)
        self._server_ms.append(chunk.server_ms)
        return chunk

    def judge(self, chunk: ActionChunk) -> Actions:
        """Check and convert an answer: what the simulator gets, float32 `[n, A]`.

        Raises:
            ActionError: see `check_actions` and `ActionFilter`.
        """
        binding = self._binding
        checked = check_actions(chunk.actions, binding.policy_action.n_entries, binding.chunk_length)
        actions = self._filter(checked, self._seen().step)
        self._actions.append(actions)
        return actions

    def frames_wanted(self, n_actions: int) -> Sequence[int]:
        """The steps of the next chunk whose pictures the policy's history needs."""
        return self._frames.wanted(self._seen().step, n_actions)

    def record(self, state: EnvState) -> None:
        """Take the state after an executed chunk."""
        before = self._seen()
        self._actions[-1] = self._actions[-1][: state.n_executed]
        self._filter.count_executed(state.n_executed)
        self._see(state)
        self._stages.see(state)
        if state.stage != before.stage:
            self._filter.reset()
            self._frames.begin(state.step, state.images)
        else:
            self._frames.add(state.step, state.images, state.frames)

    # How it ends.

    def result(self) -> AttemptResult:
        """The record of an attempt that ran to its end: success, or failure."""
        outcome = Outcome.SUCCESS if self._seen().success else Outcome.FAILURE
        return self._record(outcome)

    def lost(self, error: VlaBenchError) -> AttemptResult:
        """The record of an attempt that `error` ended; its trace holds the chunk during which that happened, whole."""
        message = " ".join(str(error).split())
        return self._record(error.outcome, error_kind=error.kind, error_message=message)

    def _record(self, outcome: Outcome, error_kind: str = "", error_message: str = "") -> AttemptResult:
        state = self._state
        return AttemptResult(
            attempt=self._attempt,
            outcome=outcome,
            error_kind=error_kind,
            error_message=error_message,
            n_steps=state.step if state else 0,
            stages=self._stages.ended,
            n_clipped=self._filter.n_clipped,
            facts=dict(self._facts),
            initial_digest=self._digests[0] if self._digests else "",
            final_digest=self._digests[-1] if self._digests else "",
            latencies=self._latencies(),
            fingerprint=self.fingerprint,
            trace=self._trace(),
            started_at=self._started_at,
        )

    def _latencies(self) -> Latencies:
        wall_ms = 1e3 * (perf_counter() - self._begin)
        waits = np.asarray(self._latency_ms, dtype=np.float64)
        p50, p95 = np.percentile(waits, [50, 95]) if waits.size else (0.0, 0.0)
        return Latencies(
            wall_ms=wall_ms,
            policy_ms=self._policy_ms,
            env_ms=self._env_ms,
            n_queries=waits.size,
            policy_p50_ms=float(p50),
            policy_p95_ms=float(p95),
            policy_max_ms=float(waits.max(initial=0.0)),
        )

    def _trace(self) -> Trace | None:
        if not self._actions:
            return None
        return Trace(
            actions=np.concatenate(self._actions),
            query_steps=np.asarray(self._query_steps, np.int32),
            digests=tuple(self._digests),
            latency_ms=np.asarray(self._latency_ms, np.float32),
            server_ms=np.asarray(self._server_ms, np.float32),
        )

    def _seen(self) -> EnvState:
        if self._state is None:
            raise RuntimeError("the rollout has not begun")
        return self._state

    def _see(self, state: EnvState) -> None:
        self._state = state
        self._env_ms += state.env_ms
        self._digests.append(state.digest)

    def _observation(self, session: str, state: EnvState) -> Observation:
        history = self._frames.at(state.step) if self._binding.history else {}
        return Observation(
            identity=Identity(
                session=session,
                episode=self.episode.id,
                attempt=self._attempt,
                stage=state.stage,
                step=state.step,
                request=f"{session}.{next(self._requests)}",
            ),
            images=self._for_policy(state.images),
            state={key: state.state[key] for key in self._binding.state_keys},
            instruction=state.instruction,
            history={offset: self._for_policy(images) for offset, images in history.items()},
            # Nothing that was not agreed on goes out, whatever the env was opened with.
            depth=state.depth if self._binding.wants_depth else {},
            privileged=state.privileged if self._binding.wants_privileged else {},
        )

    def _for_policy(self, images: Mapping[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
        return {
            name: picture_for_policy(images[name], camera, self._settings) for name, camera in self._cameras.items()
        }
