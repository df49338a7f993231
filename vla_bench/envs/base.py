"""What a suite's author writes: `SuiteFamily` describes and builds, `SuiteEnv` simulates.

`vla_bench/envs/toy_reach` is the smallest complete one, and `vla_bench.testing.check_suite` proves it. What a run and
an env say to each other is in `vla_bench.envs.contract`, and all of it can be had from here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.contract import EnvHandle, EnvOptions, EnvState, Installation, StepOutcome
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.errors import BlackPicture, EnvRaised, EnvUnstable, UsageError
from vla_bench.spec.suite import Suite

__all__ = ["EnvHandle", "EnvOptions", "EnvState", "Installation", "StepOutcome", "SuiteEnv", "SuiteFamily"]

Images = Mapping[str, NDArray[np.uint8]]


@runtime_checkable
class SuiteFamily(Protocol):
    """Suites that share a simulator: what an entry point of the group `vla_bench.suites` gives.

    Importing a family and asking it for a `Suite` must not import the simulator; only `make_env` may.
    """

    name: str
    installation: Installation

    def suite_names(self) -> Sequence[str]:
        """Every suite, the most useful first."""
        ...

    def protocol_names(self, suite: str) -> Sequence[str]:
        """Protocols of a suite, the default first."""
        ...

    def suite(self, name: str, protocol: str = "") -> Suite:
        """Describe a suite under a protocol (the default one where empty).

        Raises:
            UnknownSuite, UnknownProtocol: no such name.
        """
        ...

    def make_env(self, suite: Suite, options: EnvOptions) -> SuiteEnv:
        """Import the simulator and build the env in this process."""
        ...


class SuiteEnv(gymnasium.Env[dict[str, Any], NDArray[np.float32]]):
    """One suite's simulator behind the gymnasium interface.

    Subclasses write the five underscored methods and `state_digest`; episodes, horizons, lazy rendering, checks of
    pictures and gymnasium's own `reset` and `step` live here, once.

    Determinism: `reset` with the same episode gives the same bits after any other episodes, in any process.
    """

    metadata = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"

    def __init__(self, suite: Suite, options: EnvOptions = EnvOptions(), *, task: str = "") -> None:
        """Describe spaces; build nothing heavy before the first `reset`.

        Args:
            suite: with its protocol.
            options: cameras, depth, privileged state, laziness.
            task: the task that a `reset` without an episode takes, the first where empty.

        Raises:
            UsageError: a camera or a control mode does not exist, or privileged state is not to be had.
        """
        self.suite = suite
        self.options = options
        self.task = suite.task(task) if task else suite.tasks[0]
        by_name = {camera.name: camera for camera in suite.cameras}
        if unknown := [name for name in options.cameras if name not in by_name]:
            raise UsageError(
                f"suite {suite.name!r} has no camera {unknown[0]!r}; it has: {', '.join(by_name) or 'none'}"
            )
        if options.privileged and not suite.privileged:
            raise UsageError(f"suite {suite.name!r} gives no privileged state: oracle policies cannot run on it")
        if options.control_mode and options.control_mode not in suite.control_modes:
            modes = ", ".join(suite.control_modes) or "only its default one"
            raise UsageError(f"suite {suite.name!r} has no control mode {options.control_mode!r}; it has {modes}")
        self.cameras = tuple(by_name[name] for name in options.cameras)
        self.episode: Episode | None = None
        self.n_steps = 0
        self.stage = 0
        self._is_over = True
        action = suite.action_of(options.control_mode)
        self.action_space = gymnasium.spaces.Box(action.low, action.high, (action.n_entries,), np.float32)
        state = {key: gymnasium.spaces.Box(-np.inf, np.inf, (n,), np.float32) for key, n in suite.state.items()}
        images = {c.name: gymnasium.spaces.Box(0, 255, (c.height, c.width, 3), np.uint8) for c in self.cameras}
        # Gymnasium's checker refuses empty dictionaries.
        parts = {key: gymnasium.spaces.Dict(part) for key, part in (("state", state), ("images", images)) if part}
        self.observation_space = gymnasium.spaces.Dict(parts)

    # What a suite's author writes.

    @abstractmethod
    def _start(self, episode: Episode) -> Mapping[str, Any]:
        """Build the initial state of `episode`, settling steps included; return facts about it (plain JSON values)."""

    @abstractmethod
    def _step(self, action: NDArray[np.float32]) -> StepOutcome:
        """Apply one action float32 `[A]` for one control step."""

    @abstractmethod
    def _state(self) -> Mapping[str, NDArray[np.float32]]:
        """Proprioception of the present state, as declared in `suite.state`."""

    def _render(self, camera: str) -> NDArray[np.uint8]:
        """Render one camera: uint8 `[H, W, 3]`, upright RGB. Must not change the state."""
        raise UsageError(f"suite {self.suite.name!r} renders no pictures")

    def _depth(self, camera: str) -> NDArray[np.float32]:
        """Render metric depth of one camera: float32 `[H, W]`. Must not change the state."""
        raise UsageError(f"suite {self.suite.name!r} renders no depth")

    @abstractmethod
    def state_digest(self) -> str:
        """BLAKE2b-128 over the whole simulator state that decides the future, 32 hexadecimal digits."""

    def privileged(self) -> Mapping[str, NDArray[np.float64]]:
        """Simulator truth for oracle policies.

        Raises:
            UsageError: the suite has none.
        """
        raise UsageError(f"suite {self.suite.name!r} gives no privileged state")

    def packages(self) -> Mapping[str, str]:
        """Simulator and binding versions, for the fingerprint."""
        return {}

    # The one implementation of episodes on top of them.

    def start(self, episode: Episode) -> EnvState:
        """Build the episode's initial state and look at it.

        Raises:
            UnknownTask: the episode's task is not in this suite.
            BlackPicture: a rendered picture is black all over.
        """
        begin = perf_counter()
        self.task = self.suite.task(episode.task)
        self.episode, self.n_steps, self.stage, self._is_over = episode, 0, 0, False
        facts = self._start(episode)
        state = self._look(n_executed=0, success=False, reward=0.0, frames={})
        state.facts = facts
        state.env_ms = 1e3 * (perf_counter() - begin)
        return state

    def advance(self, actions: NDArray[np.float32], *, frames_at: Sequence[int] = ()) -> EnvState:
        """Execute a chunk, stopping after success, a change of stage or the end of the episode.

        Rendering happens once, after the last executed action, and not at all where the episode is over: nobody asks
        for that picture. With `options.lazy` False every step is rendered, and the state is the same bit for bit.

        Args:
            actions: float32 `[k, A]` in the suite's convention, checked by the caller.
            frames_at: steps (counted from the episode's start) inside this chunk whose pictures are wanted too.

        Raises:
            EnvUnstable: the simulator warned of its state.
            EnvRaised: the env was not reset, is over, or a step returned nothing.
            BlackPicture: a rendered picture is black all over.
        """
        if self._is_over:
            raise EnvRaised("advance() was called before reset() or after the end of the episode")
        begin = perf_counter()
        frames: dict[int, Images] = {}
        reward, stage, n_executed, outcome = 0.0, self.stage, 0, StepOutcome(success=False)
        wanted = frozenset(frames_at)
        images: Images | None = None
        for action in actions:
            outcome = self._advance_one(action)
            n_executed += 1
            reward += outcome.reward
            images = self._pictures() if self.n_steps in wanted or not self.options.lazy else None
            if images is not None and self.n_steps in wanted:
                frames[self.n_steps] = images
            if self._is_over or self.stage != stage:
                break
        state = self._look(n_executed, outcome.success, reward, frames, images)
        state.env_ms = 1e3 * (perf_counter() - begin)
        return state

    def _advance_one(self, action: NDArray[np.float32]) -> StepOutcome:
        outcome = self._step(action)
        if outcome is None:
            raise EnvRaised(f"{type(self).__name__}._step returned None at step {self.n_steps + 1}")
        self.n_steps += 1
        if outcome.warning:
            raise EnvUnstable(f"at step {self.n_steps}: {outcome.warning}")
        self.stage = outcome.stage
        self._is_over = outcome.success or outcome.terminated or self.n_steps >= self.task.horizon
        return outcome

    def _look(
        self, n_executed: int, success: bool, reward: float, frames: Mapping[int, Images], images: Images | None = None
    ) -> EnvState:
        will_be_asked = not self._is_over
        if will_be_asked and images is None:
            images = self._pictures()
        return EnvState(
            step=self.n_steps,
            n_executed=n_executed,
            success=success,
            is_over=self._is_over,
            stage=self.stage,
            instruction=self._instruction(),
            state=self._state(),
            images=images if images and will_be_asked else {},
            frames=frames,
            depth={c.name: self._depth(c.name) for c in self.cameras} if self.options.depth and will_be_asked else {},
            privileged=self.privileged() if self.options.privileged else {},
            digest=self.state_digest(),
            reward=reward,
        )

    def _instruction(self) -> str:
        return self.task.instruction_of(min(self.stage, self.task.n_stages - 1))

    def _pictures(self) -> dict[str, NDArray[np.uint8]]:
        images = {}
        for camera in self.cameras:
            image = self._render(camera.name)
            if not image.any():
                raise BlackPicture(
                    f"camera {camera.name!r} is black all over at step {self.n_steps}: the GL context is lost"
                )
            images[camera.name] = image
        return images

    # gymnasium's own interface, for those who use the env alone.

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Gymnasium's reset. `options={"episode": …}` decides; without, the task's trial number `seed` (0 for None).

        Where a task lists its initial states, trials beyond the last begin anew with the first.
        """
        super().reset(seed=seed)
        episode = (options or {}).get("episode")
        if episode is None:
            n_listed = len(self.task.initial_states)
            trial = (seed or 0) % n_listed if n_listed else seed or 0
            episode = make_plan(self.suite, tasks=[self.task.id], n_trials=trial + 1).episodes[trial]
        state = self.start(episode)
        return self._gym_observation(state.state, state.images), {"episode": episode.id, **state.facts}

    def step(self, action: NDArray[np.float32]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Gymnasium's step: terminated by the task's rule, truncated by the horizon; `info["success"]` says which."""
        if self._is_over:
            raise EnvRaised("step() was called before reset() or after the end of the episode")
        outcome = self._advance_one(np.asarray(action, np.float32))
        terminated = outcome.success or outcome.terminated
        observation = self._gym_observation(self._state(), self._pictures())
        info = {"success": outcome.success, "stage": outcome.stage}
        return observation, outcome.reward, terminated, self._is_over and not terminated, info

    def render(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """The first opened camera: uint8 `[H, W, 3]`, upright RGB."""
        return self._render((self.cameras or self.suite.cameras)[0].name)

    def _gym_observation(self, state: Mapping[str, NDArray[np.float32]], images: Images) -> dict[str, Any]:
        return {key: dict(part) for key, part in (("state", state), ("images", images)) if part}
