"""`ToyReachEnv`: the whole simulator. What a suite's author writes is here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.base import EnvOptions, StepOutcome, SuiteEnv
from vla_bench.envs.toy_reach.drawing import Ball, Picture, draw
from vla_bench.spec.canonical import blake2b_hex
from vla_bench.spec.episode import Episode
from vla_bench.spec.suite import Suite

__all__ = ["ToyReachEnv"]

_LOW = np.array([-0.2, -0.2, 0.0])
_HIGH = np.array([0.2, 0.2, 0.4])
"""Corners of the box that the hand moves in, metres: x to the right, y away from the viewer, z up."""
_TABLE_Z = 0.02
_NEAREST_START_M = 0.1
_COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 80, 220)}
_HAND_COLOUR = (60, 60, 60)
_FINGER_COLOUR = (240, 200, 60)


class ToyReachEnv(SuiteEnv):
    """A hand without a body in a box with three balls.

    State: `hand` float32 `[3]`, metres; `gripper` float32 `[1]`, 1 is closed. No task needs the gripper; it is seen.
    Privileged: `hand` float64 `[3]` and `goal` float64 `[3]`, the ball of the present stage, metres. The action
    `(goal - hand) / 0.02`, clipped to ±1, solves every task.
    """

    metadata = {**SuiteEnv.metadata, "render_fps": 10}

    def __init__(self, suite: Suite, options: EnvOptions = EnvOptions(), *, task: str = "") -> None:
        """See `SuiteEnv`."""
        super().__init__(suite, options, task=task)
        self._hand = np.zeros(3)
        self._gripper = 0.0
        self._balls: dict[str, NDArray[np.float64]] = {}
        self._order: list[str] = []
        self._n_reached = 0
        self._n_held = 0

    def _start(self, episode: Episode) -> Mapping[str, Any]:
        # Everything is set anew from the episode alone: what ran before cannot matter.
        generator = np.random.default_rng(episode.env_seed)
        self._params = episode.params
        self._order = list(episode.params["order"])
        self._hand = np.array([0.0, 0.0, 0.2]) + generator.uniform(-0.05, 0.05, 3)
        self._balls = {colour: self._place(generator) for colour in _COLOURS}
        if episode.params["is_flat"]:
            for point in (self._hand, *self._balls.values()):
                point[2] = _TABLE_Z
        self._gripper = 0.0
        self._n_reached = self._n_held = 0
        return {"balls": {colour: point.tolist() for colour, point in self._balls.items()}}

    def _place(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw a ball's place: in the box, not at the hand already (as seen from above, for tasks on the table)."""
        while True:
            point = generator.uniform(_LOW + 0.03, _HIGH - 0.03)
            if np.linalg.norm((point - self._hand)[:2]) >= _NEAREST_START_M:
                return point

    def _step(self, action: NDArray[np.float32]) -> StepOutcome:
        motion = self.suite.action.position_unit_m * action[:3].astype(np.float64)
        if self._params["is_flat"]:
            motion[2] = 0.0
        self._hand = np.clip(self._hand + motion, _LOW, _HIGH)
        self._gripper = float(np.clip(action[3], 0.0, 1.0))
        distance = float(np.linalg.norm(self._goal - self._hand))
        self._n_held = self._n_held + 1 if distance <= self._params["tolerance_m"] else 0
        if self._n_held >= self._params["hold_steps"]:
            self._n_reached += 1
            self._n_held = 0
        return StepOutcome(success=self._n_reached == len(self._order), stage=self._n_reached, reward=-distance)

    @property
    def _goal(self) -> NDArray[np.float64]:
        return self._balls[self._order[min(self._n_reached, len(self._order) - 1)]]

    def _state(self) -> Mapping[str, NDArray[np.float32]]:
        return {"hand": self._hand.astype(np.float32), "gripper": np.array([self._gripper], np.float32)}

    def privileged(self) -> Mapping[str, NDArray[np.float64]]:
        """`hand` and `goal` (of the present stage), float64 `[3]` each, metres."""
        return {"hand": self._hand.copy(), "goal": self._goal.copy()}

    def state_digest(self) -> str:
        """BLAKE2b-128 over hand, gripper, balls and progress."""
        progress = np.array([self._gripper, self._n_reached, self._n_held, self.n_steps])
        return blake2b_hex(np.concatenate([self._hand, *self._balls.values(), progress]).tobytes())

    def _render(self, camera: str) -> NDArray[np.uint8]:
        return self._picture(camera).image

    def _depth(self, camera: str) -> NDArray[np.float32]:
        return self._picture(camera).depth

    def _picture(self, name: str) -> Picture:
        camera = next(known for known in self.suite.cameras if known.name == name)
        size = {"height": camera.height, "width": camera.width}
        # Two fingers beside the hand that come together when the gripper closes.
        spread = np.array([0.03 - 0.015 * self._gripper, 0.0, 0.0])
        things = [(point, 0.025, _COLOURS[colour]) for colour, point in self._balls.items()]
        things += [(self._hand + side * spread, 0.01, _FINGER_COLOUR) for side in (-1, 1)]
        if name == "wrist":  # looks down past the fingers; away from the viewer is up
            seen = [point - self._hand for point, _, _ in things]
            balls = [Ball(x, y, 0.1 - z, r, c) for (x, y, z), (_, r, c) in zip(seen, things, strict=True)]
            return draw(balls, **size, extent_m=0.15, background_m=0.1 + float(self._hand[2]))
        things.append((self._hand, 0.018, _HAND_COLOUR))
        balls = [Ball(x, z - 0.2, 1.0 + y, radius, colour) for (x, y, z), radius, colour in things]
        return draw(balls, **size, extent_m=0.25, background_m=1.5)

    def packages(self) -> Mapping[str, str]:
        """NumPy draws and seeds."""
        return {"numpy": np.__version__}
