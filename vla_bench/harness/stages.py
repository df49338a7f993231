"""`StageLog`: which stages of an attempt have ended, and how; for a rollout and for its replay alike."""

from __future__ import annotations

from vla_bench.envs.base import EnvState
from vla_bench.spec.result import StageResult

__all__ = ["StageLog"]


class StageLog:
    """Sees every state that an env returns, in order."""

    def __init__(self) -> None:
        self._ended: list[StageResult] = []
        self._index, self._start_step, self._start_digest = 0, 0, ""

    @property
    def ended(self) -> tuple[StageResult, ...]:
        """The stages that have ended; one in which the attempt was lost is not among them."""
        return tuple(self._ended)

    def begin(self, state: EnvState) -> None:
        """Take the state at which a stage begins: the first of the episode, or the last of the stage before."""
        self._index, self._start_step, self._start_digest = state.stage, state.step, state.digest

    def see(self, state: EnvState) -> None:
        """Take the state after an executed chunk."""
        is_new_stage = state.stage != self._index
        if not (is_new_stage or state.is_over):
            return
        self._ended.append(
            StageResult(
                index=self._index,
                success=state.success or state.stage > self._index,
                n_steps=state.step - self._start_step,
                start_digest=self._start_digest,
            )
        )
        if is_new_stage:
            self.begin(state)
