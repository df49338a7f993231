"""`replay_attempt`: recorded actions in a fresh simulator, without policy. No I/O and no comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vla_bench.envs.base import EnvHandle, EnvState
from vla_bench.harness.replay.recording import Recording
from vla_bench.harness.retries import UNSTABLE
from vla_bench.harness.stages import StageLog
from vla_bench.spec.errors import EnvUnstable
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, Fingerprint, Trace

__all__ = ["STRIDE", "Watcher", "replay_attempt"]

STRIDE = 16
"""Steps from one comparison of states to the next, at least: a policy that was asked at every step is not replayed
step by step. Ends of stages and of the episode are compared wherever they fall."""


class Watcher(Protocol):
    """Who looks on, for pictures."""

    def wanted(self, begin: int, end: int) -> Sequence[int]:
        """The steps after `begin`, up to `end`, whose pictures are wanted."""
        ...

    def see(self, state: EnvState) -> None:
        """Take the state after the reset, and after every chunk."""
        ...


def replay_attempt(
    env: EnvHandle, recording: Recording, trace: Trace | None, watcher: Watcher | None = None
) -> AttemptResult:
    """Execute the actions of a trace from the episode's initial state.

    Args:
        env: a simulator; whatever ran in it before does not matter.
        recording: what the trace belongs to.
        trace: None where nothing was executed: then the episode is only reset.
        watcher: sees every state; None for nobody.

    Returns:
        A record in the form of the recorded one: `success` or `failure` where the episode came to its end, `not_run`
        where it did not. Its trace has a digest after the reset and after each executed chunk, and no latencies.

    Raises:
        EnvError: the simulator did not do its part. An instability raises nothing: it is what these actions do, and
            flagged.
    """
    replay = _Replay(env.fingerprint, watcher)
    try:
        state = replay.begin(env.reset(recording.episode))
        for end in _stops(trace):
            assert trace is not None
            while state.step < end and not state.is_over:
                frames = watcher.wanted(state.step, end) if watcher is not None else ()
                state = replay.see(env.advance(trace.actions[state.step : end], frames_at=frames))
    except EnvUnstable as error:
        return replay.result(trace, error)
    return replay.result(trace)


def _stops(trace: Trace | None) -> list[int]:
    """Steps at which states are compared: those of the policy's questions, without those too close to one another."""
    if trace is None:
        return []
    stops = [0]
    for step in trace.query_steps.tolist():
        if step - stops[-1] >= STRIDE:
            stops.append(step)
    return [*stops[1:], len(trace.actions)]


class _Replay:
    """What happens, as it happens."""

    def __init__(self, fingerprint: Fingerprint, watcher: Watcher | None) -> None:
        self._fingerprint, self._watcher = fingerprint, watcher
        self._stages = StageLog()
        self._states: list[tuple[int, str]] = []
        self._outcome = Outcome.NOT_RUN

    def begin(self, state: EnvState) -> EnvState:
        self._stages.begin(state)
        return self._take(state)

    def see(self, state: EnvState) -> EnvState:
        self._stages.see(state)
        return self._take(state)

    def _take(self, state: EnvState) -> EnvState:
        self._states.append((state.step, state.digest))
        if state.is_over:
            self._outcome = Outcome.SUCCESS if state.success else Outcome.FAILURE
        if self._watcher is not None:
            self._watcher.see(state)
        return state

    def result(self, trace: Trace | None, error: EnvUnstable | None = None) -> AttemptResult:
        """The record; digests are at `query_steps` and, the last one, at `n_steps`."""
        steps, digests = [step for step, _ in self._states], tuple(digest for _, digest in self._states)
        n_steps = steps[-1] if steps else 0
        nothing = np.zeros(0, np.float32)
        return AttemptResult(
            attempt=0,
            outcome=self._outcome if error is None else Outcome.FAILURE,
            error_message="" if error is None else str(error),
            n_steps=n_steps,
            stages=self._stages.ended,
            flags=() if error is None else (UNSTABLE,),
            initial_digest=digests[0] if digests else "",
            final_digest=digests[-1] if digests else "",
            fingerprint=self._fingerprint,
            trace=Trace(
                actions=nothing[:, None] if trace is None else trace.actions[:n_steps],
                query_steps=np.array(steps[:-1], np.int32),
                digests=digests,
                latency_ms=nothing,
                server_ms=nothing,
            ),
        )
