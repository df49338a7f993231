"""`replay`: recorded actions, step by step. For feeding a foreign log to a suite, and for tests."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.builtin.sessions import BATCH_LIMIT, Sessions, count_option
from vla_bench.spec.errors import UsageError
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Observation, PolicyInfo

__all__ = ["ReplayPolicy"]


@dataclass(frozen=True, slots=True)
class _Recording:
    episode: str
    actions: NDArray[np.float32]


class ReplayPolicy:
    """Answers with the actions that a file holds for the episode, from the step that is asked for."""

    def __init__(self, actions: str = "", chunk: int = 16) -> None:
        """Read the whole file.

        Args:
            actions: path of an `.npz` that maps episode ids to float32 `[T, A]` (`numpy.savez_compressed`).
            chunk: the most actions of an answer. It changes no action, only how often the policy is asked.

        Raises:
            UsageError: the file is missing, is no `.npz`, or an array in it is not float32 `[T, A]`.
        """
        if not actions or not isinstance(actions, str):
            raise UsageError("policy 'replay' needs the option actions=PATH, an .npz of episode id → float32 [T, A]")
        self._path = Path(actions)
        self._chunk = count_option("replay", "chunk", chunk)
        self._digest, self._recorded = _read(self._path)
        self._sessions: Sessions[_Recording] = Sessions()

    def info(self) -> PolicyInfo:
        """Any suite; the file's SHA-256 stands for the weights, its path is no part of the identity."""
        return PolicyInfo(
            name="replay",
            version="1",
            weights_digest=self._digest,
            chunk_length=self._chunk,
            batch_limit=BATCH_LIMIT,
            options={"chunk": self._chunk},
        )

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        """Find the episode's actions.

        Raises:
            LookupError: the file has none for this episode.
            ValueError: they are not as long as the suite's actions.
        """
        actions = self._recorded.get(episode.episode)
        if actions is None:
            n_others = len(self._recorded)
            raise LookupError(f"{self._path} has no actions for episode {episode.episode}; it has {n_others} others")
        if actions.shape[1] != episode.n_actions:
            raise ValueError(
                f"{self._path}: actions of episode {episode.episode} have {actions.shape[1]} entries, "
                f"suite {episode.suite!r} takes {episode.n_actions}"
            )
        self._sessions.begin(session, _Recording(episode.episode, actions))

    def act(self, batch: Sequence[Observation]) -> Sequence[ActionChunk]:
        """The recorded actions from each row's step on: float32 `[k, A]`, k at most `chunk`.

        Raises:
            LookupError: no action was recorded for the step.
        """
        return [self._from_step(self._sessions.of(row), row.identity.step) for row in batch]

    def close(self, session: str) -> None:
        """Forget the session."""
        self._sessions.forget(session)

    def _from_step(self, recording: _Recording, step: int) -> ActionChunk:
        actions = recording.actions[step : step + self._chunk]
        if not len(actions):
            raise LookupError(
                f"{self._path} has {len(recording.actions)} actions for episode {recording.episode}, "
                f"step {step} asks for one more"
            )
        return ActionChunk(actions=actions)


def _read(path: Path) -> tuple[str, dict[str, NDArray[np.float32]]]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        # NumPy answers other files with an array, a guess at a pickle or an EOFError.
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no .npz")
        with np.load(path, allow_pickle=False) as archive:
            recorded = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"policy 'replay' cannot read the actions in {path}: {error}") from error
    for name, actions in recorded.items():
        if actions.dtype != np.float32 or actions.ndim != 2:
            raise UsageError(
                f"policy 'replay': {path} has {actions.dtype} {list(actions.shape)} for episode {name}, "
                "wants float32 [T, A]"
            )
    return digest, recorded
