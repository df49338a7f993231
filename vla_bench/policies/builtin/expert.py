"""`expert`: the scripted controller of a suite, an *oracle* that reads privileged state and is never ranked.

A controller is registered under the entry-point group `vla_bench.experts` by the name of its suite family. The entry
point is a callable from a task id to a controller for one episode, and that controller a callable from privileged state
(key → float64 `[n]`) to one action float32 `[A]` in the suite's own convention. No simulator is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.builtin.sessions import BATCH_LIMIT, Sessions, count_option, size_option
from vla_bench.spec.errors import UnknownSuite, UsageError
from vla_bench.spec.messages import ActionChunk, CameraRequest, EpisodeInfo, Observation, PolicyInfo, PolicyKind
from vla_bench.spec.names import normalise_name
from vla_bench.spec.plugins import EXPERTS, load_plugin, plugin_names

__all__ = ["Controller", "ExpertPolicy"]

Controller = Callable[[Mapping[str, NDArray[np.float64]]], NDArray[np.float32]]
"""One episode's controller: privileged state → action float32 `[A]`. It may carry state of its own."""


@dataclass(slots=True)
class _Session:
    controller: Controller
    generator: np.random.Generator
    low: float
    high: float


class ExpertPolicy:
    """Solves the tasks of a suite by its scripted controller, as well as that controller can.

    Actions are clipped to the suite's bounds: controllers compute targets and count on it.
    """

    def __init__(self, noise: float = 0.0, chunk: int = 1, cameras: Sequence[str] = ()) -> None:
        """Prepare.

        Args:
            noise: standard deviation of Gaussian noise added to every entry of an action before it is clipped, in the
                action's own units; 0 for none. A degraded twin of the expert, seeded by the policy seed.
            chunk: how often the one action of a query is repeated. A scripted controller closes the loop at every step,
                so anything above 1 holds old actions, usually solves less, and is for measuring and showing what lazy
                rendering saves, not for scores.
            cameras: names of cameras whose pictures are drawn and sent, at the suite's size, and not looked at: for
                showing and measuring what a policy with eyes costs.

        Raises:
            UsageError: an option is out of range.
        """
        self._noise = size_option("expert", "noise", noise)
        if not isinstance(cameras, (list, tuple)) or not all(isinstance(name, str) for name in cameras):
            raise UsageError(f"policy 'expert': option cameras is a list of names ([front]), not {cameras!r}")
        self._chunk = count_option("expert", "chunk", chunk)
        self._cameras = tuple(CameraRequest(name=name) for name in cameras)
        self._sessions: Sessions[_Session] = Sessions()

    def info(self) -> PolicyInfo:
        """An oracle for any suite that has a controller."""
        return PolicyInfo(
            name="expert",
            version="1",
            kind=PolicyKind.ORACLE,
            cameras=self._cameras,
            chunk_length=self._chunk,
            batch_limit=BATCH_LIMIT,
            options={"noise": self._noise, "chunk": self._chunk},
        )

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        """Build the controller of the episode's task.

        Raises:
            UnknownSuite: no expert is registered for the suite.
        """
        generator = np.random.default_rng([episode.policy_seed, episode.stage])
        controller = _load_expert(episode.suite)(episode.task)
        self._sessions.begin(session, _Session(controller, generator, episode.action_low, episode.action_high))

    def act(self, batch: Sequence[Observation]) -> Sequence[ActionChunk]:
        """One action per row from the row's privileged state, repeated `chunk` times: float32 `[chunk, A]`.

        Raises:
            ValueError: an observation carries no privileged state.
        """
        return [self._answer(observation) for observation in batch]

    def close(self, session: str) -> None:
        """Forget the session's controller."""
        self._sessions.forget(session)

    def _answer(self, observation: Observation) -> ActionChunk:
        session = self._sessions.of(observation)
        if not observation.privileged:
            raise ValueError("the expert reads privileged state and this observation has none: open the env with it")
        action = np.asarray(session.controller(observation.privileged), np.float64)
        if self._noise:
            action = action + session.generator.normal(0.0, self._noise, action.shape)
        bounded = np.clip(action, session.low, session.high).astype(np.float32)
        return ActionChunk(actions=np.tile(bounded, (self._chunk, 1)))


def _load_expert(suite: str) -> Callable[[str], Any]:
    """The expert whose name is the longest beginning of the suite's: `metaworld` for `MetaWorld-MT10`."""
    wanted = normalise_name(suite)
    names = [name for name in plugin_names(EXPERTS) if wanted.startswith(normalise_name(name))]
    if not names:
        raise UnknownSuite(suite, plugin_names(EXPERTS))
    expert: Callable[[str], Any] = load_plugin(EXPERTS, max(names, key=len), UnknownSuite)
    return expert
