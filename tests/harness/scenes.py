"""Whole attempts in this process: a policy made of a function, an env that is watched, and a straightforward reference.

The reference renders every step of an env of its own; what a run may save must not be seen beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs import EnvOptions, EnvState, find_suite, open_env
from vla_bench.harness.episode import run_episode
from vla_bench.harness.rollout import Rollout
from vla_bench.policies.inline import InlineConnection
from vla_bench.spec.bind import bind
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.errors import VlaBenchError
from vla_bench.spec.messages import ActionChunk, CameraRequest, EpisodeInfo, Observation, PolicyInfo, PolicyKind
from vla_bench.spec.result import AttemptResult
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite

Actions = NDArray[np.float32]
Pictures = Mapping[str, NDArray[np.uint8]]

SUITE = find_suite("toy_reach")
ORACLE = PolicyInfo(
    name="planner",
    kind=PolicyKind.ORACLE,
    cameras=(CameraRequest(name="front"), CameraRequest(name="wrist")),
    state={"hand": 3},
    chunk_length=40,
)


def episode_of(task: str, trial: int = 0, suite: Suite = SUITE) -> Episode:
    return make_plan(suite, tasks=[task], n_trials=trial + 1).episodes[trial]


def straight(privileged: Mapping[str, NDArray[np.float64]], n_actions: int) -> Actions:
    """The next actions of the way straight to the goal, computed ahead."""
    hand, actions = privileged["hand"].copy(), []
    for _ in range(n_actions):
        move = np.clip((privileged["goal"] - hand) / 0.02, -1, 1).astype(np.float32)
        hand += 0.02 * move.astype(np.float64)
        actions.append([*move, 0.0])
    return np.array(actions, np.float32)


@dataclass
class Asked:
    """A policy that answers with a function, and remembers what it was told, in order."""

    answer: Callable[[Observation], Actions]
    what: PolicyInfo = ORACLE
    told: list[EpisodeInfo | Observation] = field(default_factory=list)

    def info(self) -> PolicyInfo:
        return self.what

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        self.told.append(episode)

    def act(self, batch: Sequence[Observation]) -> Sequence[ActionChunk]:
        self.told += batch
        return [ActionChunk(actions=self.answer(observation)) for observation in batch]

    def close(self, session: str) -> None:
        self.told.append(EpisodeInfo(episode="closed"))

    @property
    def resets(self) -> list[EpisodeInfo]:
        return [each for each in self.told if isinstance(each, EpisodeInfo)]

    @property
    def questions(self) -> list[Observation]:
        return [each for each in self.told if isinstance(each, Observation)]


def planner(*sizes: int, **info: Any) -> Asked:
    """A policy that goes straight to the goal; its chunks have these sizes, in turn."""
    queries = iter(range(10**6))
    return Asked(lambda seen: straight(seen.privileged, sizes[next(queries) % len(sizes)]), replace(ORACLE, **info))


@dataclass
class Played:
    """What came of an attempt, and the states that the env gave."""

    result: AttemptResult
    states: list[EnvState]
    error: VlaBenchError | None = None

    def chunks(self) -> list[Actions]:
        """The trace cut where the policy was asked."""
        assert self.result.trace is not None
        return np.split(self.result.trace.actions, self.result.trace.query_steps[1:])


def play(
    episode: Episode, policy: Asked, *, settings: EvalSettings | None = None, suite: Suite = SUITE, lazy: bool = True
) -> Played:
    """One attempt, to its end or to its error."""
    settings = settings or EvalSettings()
    binding = bind(policy.what, suite, settings)
    cameras = tuple(camera.name for camera in binding.cameras)
    # Privileged state and depth come from the env whether agreed on or not: what goes out is the rollout's to decide.
    options = EnvOptions(cameras=cameras, privileged=True, depth=True, lazy=lazy)
    rollout = Rollout(suite, episode, 0, binding, settings)
    states: list[EnvState] = []
    with closing(open_env(suite, options, isolation="inline")) as env:
        session = InlineConnection(policy).open_session()
        try:
            run_episode(Watched(env, states), session, rollout)  # type: ignore[arg-type]
        except VlaBenchError as error:
            return Played(rollout.lost(error), states, error)
        return Played(rollout.result(), states)


class Watched:
    """An env of which every state is kept."""

    def __init__(self, env: Any, states: list[EnvState]) -> None:
        self._env, self._states = env, states

    def reset(self, episode: Episode) -> EnvState:
        self._states.append(self._env.reset(episode))
        return self._states[-1]

    def advance(self, actions: Actions, *, frames_at: Sequence[int] = ()) -> EnvState:
        self._states.append(self._env.advance(actions, frames_at=frames_at))
        return self._states[-1]


@dataclass
class Reference:
    """An episode step by step, everything looked at."""

    states: list[EnvState]

    def pictures(self, step: int) -> Pictures:
        return self.states[step].images

    def first_of_stage(self, step: int) -> int:
        """The step at which the stage of `step` began."""
        return next(state.step for state in self.states if state.stage == self.states[step].stage)


def step_by_step(episode: Episode, actions: Actions, suite: Suite = SUITE) -> Reference:
    """The same actions on a fresh env, one at a time."""
    options = EnvOptions(cameras=("front", "wrist"), lazy=False)
    with closing(open_env(suite, options, isolation="inline")) as env:
        states = [env.reset(episode)]
        states += [env.advance(action[None]) for action in actions]
    return Reference(states)


def equal_pictures(one: Pictures, other: Pictures) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
