"""The hand: motions as generators of actions. A script says `yield from hand.move(...)` and looks at `hand.sight`."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.builtin.experts.calvin.sight import Sight

__all__ = ["CLOSE", "DOWN_YAW", "OPEN", "Hand", "Motion", "yaw_for"]

OPEN, CLOSE = 1.0, -1.0
DOWN_YAW = 1.5
"""Yaw of the hand at the start of a chain: its fingers close along the world's x axis."""

_POSITION_UNIT_M = 0.02
_ROTATION_UNIT_RAD = 0.05
FAST_M, SLOW_M = 0.02, 0.008
"""Metres a step. An action's bounds are one unit in each coordinate."""
_MOST_LAG_M = 0.04
"""A target further ahead of the hand than this waits for it: beyond reach it would run away."""

Motion = Generator[NDArray[np.float64], None, None]
"""Yields actions float64 `[7]`, one a step; `Hand.sight` is new after each."""


def yaw_for(closing: float, near: float = DOWN_YAW) -> float:
    """The yaw at which the fingers close along a direction, of the equal ones the one nearest to `near`."""
    yaw = closing + np.pi / 2
    return float(yaw + np.pi * np.round((near - yaw) / np.pi))


class Hand:
    """Where the hand is and what it holds on to."""

    def __init__(self) -> None:
        self.sight: Sight
        self.gripper = OPEN

    def wait(self, n_steps: int) -> Motion:
        """Stay."""
        for _ in range(n_steps):
            yield self._action(np.zeros(3), np.zeros(3))

    def open(self, n_steps: int = 5) -> Motion:
        """Open the fingers, where the hand is."""
        self.gripper = OPEN
        yield from self.wait(n_steps)

    def close(self, n_steps: int = 8) -> Motion:
        """Close the fingers, where the hand is."""
        self.gripper = CLOSE
        yield from self.wait(n_steps)

    def move(
        self,
        goal: Sequence[float] | NDArray[np.float64],
        *,
        yaw: float | None = None,
        pitch: float | None = None,
        speed: float = FAST_M,
        near: float = 0.006,
        patience: int = 12,
        most_lag: float = _MOST_LAG_M,
    ) -> Motion:
        """Go straight to a place, turning on the way; then wait until the hand is there, but not for ever.

        Args:
            goal: of the tool's centre; NaN keeps a coordinate.
            yaw: about the vertical; None keeps it.
            pitch: of the hand, 0 for straight down, negative to reach into the cabinet; None keeps it.
            speed: metres a step.
            near: how near the hand has to come, metres.
            patience: most steps to wait for the hand once the target is there.
            most_lag: how far the target runs ahead of the hand, metres: how hard it presses against what is in the way.
        """
        sight = self.sight
        place = np.where(np.isnan(goal), sight.target, goal)
        turn = np.array([np.pi, sight.target_euler[1], sight.target_euler[2]])
        turn[1] = turn[1] if pitch is None else pitch
        turn[2] = turn[2] if yaw is None else yaw
        n_waited = 0
        while n_waited < patience:
            sight = self.sight
            left, turn_left = place - sight.target, turn - sight.target_euler
            is_there = np.linalg.norm(left) < 1e-4 and np.abs(turn_left).max() < 1e-3
            if is_there and np.linalg.norm(place - sight.tcp) < near:
                return
            lag = np.linalg.norm(sight.target - sight.tcp)
            if is_there or (lag > most_lag and np.linalg.norm(left) > 1e-4):
                n_waited += 1
            distance = float(np.linalg.norm(left))
            step = left * min(1.0, speed / distance) if distance > 1e-9 else left
            if lag > most_lag and np.dot(left, sight.target - sight.tcp) > 0:
                step = np.zeros(3)
            yield self._action(step, turn_left)

    def shift(
        self,
        by: Sequence[float] | NDArray[np.float64],
        *,
        speed: float = FAST_M,
        near: float = 0.006,
        patience: int = 12,
        most_lag: float = _MOST_LAG_M,
    ) -> Motion:
        """Go by so much from where the target is; see `move`."""
        goal = self.sight.target + np.asarray(by, np.float64)
        yield from self.move(goal, speed=speed, near=near, patience=patience, most_lag=most_lag)

    def _action(self, step: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.float64]:
        motion = np.concatenate([step / _POSITION_UNIT_M, turn / _ROTATION_UNIT_RAD])
        return np.append(np.clip(motion, -1.0, 1.0), self.gripper)
