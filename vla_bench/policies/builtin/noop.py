"""`noop`: zeros. Tells what a suite does by itself, and costs nothing: the yardstick of overhead measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.builtin.sessions import BATCH_LIMIT, Sessions, count_option
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Observation, PolicyInfo

__all__ = ["NoopPolicy"]


class NoopPolicy:
    """Answers zero for every entry, or the bound nearest to zero. Where actions are deltas, the robot stands still."""

    def __init__(self, chunk: int = 1) -> None:
        """Prepare; `chunk` is the number of actions of an answer.

        Raises:
            UsageError: `chunk` is not a whole number of at least 1.
        """
        self._chunk = count_option("noop", "chunk", chunk)
        self._sessions: Sessions[NDArray[np.float32]] = Sessions()

    def info(self) -> PolicyInfo:
        """Any suite, no pictures, no state."""
        return PolicyInfo(
            name="noop",
            version="1",
            chunk_length=self._chunk,
            batch_limit=BATCH_LIMIT,
            options={"chunk": self._chunk},
        )

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        """Lay out the session's one answer."""
        still = np.clip(0.0, episode.action_low, episode.action_high)
        self._sessions.begin(session, np.full((self._chunk, episode.n_actions), still, np.float32))

    def act(self, batch: Sequence[Observation]) -> Sequence[ActionChunk]:
        """The same float32 `[chunk, A]` at every step."""
        return [ActionChunk(actions=self._sessions.of(observation)) for observation in batch]

    def close(self, session: str) -> None:
        """Forget the session."""
        self._sessions.forget(session)
