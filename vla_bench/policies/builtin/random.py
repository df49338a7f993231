"""`random`: uniform actions inside the suite's bounds. The floor that a suite's score is read against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vla_bench.policies.builtin.sessions import BATCH_LIMIT, Sessions, count_option
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Observation, PolicyInfo

__all__ = ["RandomPolicy"]


class RandomPolicy:
    """Draws every entry uniformly between the bounds; the policy seed and the stage decide the draws."""

    def __init__(self, chunk: int = 1) -> None:
        """Prepare; `chunk` is the number of actions of an answer.

        Raises:
            UsageError: `chunk` is not a whole number of at least 1.
        """
        self._chunk = count_option("random", "chunk", chunk)
        self._sessions: Sessions[tuple[np.random.Generator, EpisodeInfo]] = Sessions()

    def info(self) -> PolicyInfo:
        """Any suite, no pictures, no state."""
        return PolicyInfo(
            name="random",
            version="1",
            chunk_length=self._chunk,
            batch_limit=BATCH_LIMIT,
            options={"chunk": self._chunk},
        )

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        """Seed the session: equal for every attempt at the same episode and stage."""
        # The stage takes part, or every stage of a chain would see the same draws.
        generator = np.random.default_rng([episode.policy_seed, episode.stage])
        self._sessions.begin(session, (generator, episode))

    def act(self, batch: Sequence[Observation]) -> Sequence[ActionChunk]:
        """Draw float32 `[chunk, A]` per row, from the row's own generator."""
        return [self._draw(*self._sessions.of(observation)) for observation in batch]

    def close(self, session: str) -> None:
        """Forget the session's generator."""
        self._sessions.forget(session)

    def _draw(self, generator: np.random.Generator, episode: EpisodeInfo) -> ActionChunk:
        low, high = np.float32(episode.action_low), np.float32(episode.action_high)
        unit = generator.random((self._chunk, episode.n_actions), dtype=np.float32)
        return ActionChunk(actions=np.clip(low + (high - low) * unit, low, high))
