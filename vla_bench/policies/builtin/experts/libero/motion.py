"""Motion of the hand under LIBERO's controller: an action per step towards a pose, until the pose is reached.

A motion is a generator. It yields an action float64 `[7]` (position and rotation in units of the controller's largest
step, and the gripper: −1 opens, +1 closes, 0 holds), is sent the scene after that step, and returns the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, TypeAlias

import numpy as np

from vla_bench.policies.builtin.experts.libero.rotations import Matrix, Vector, turn_between
from vla_bench.policies.builtin.experts.libero.scene import Scene

__all__ = ["CLOSE", "HOLD", "OPEN", "Skill", "action_towards", "arc", "grip", "reach"]

Skill: TypeAlias = Generator[Vector, Scene, Scene]
"""Yields actions, is sent scenes, returns the last scene."""

OPEN: Final = -1.0
CLOSE: Final = 1.0
HOLD: Final = 0.0

_LARGEST_STEP_M: Final = 0.05
_LARGEST_TURN_RAD: Final = 0.5
_GAIN: Final = 1.6
"""The controller is critically damped at 1; a little more saves steps and overshoots by about 2 %."""
_RISEN_M: Final = 0.03
"""So near to the height of crossing, the hand begins to cross; twice as near, to turn."""
_STILL_M: Final = 0.0015
"""Slower than this a step, the hand is held up;"""
_PATIENCE: Final = 5
"""for more steps than these, it gives up."""


def action_towards(scene: Scene, position: Vector, rotation: Matrix, gripper: float, speed: float = 1.0) -> Vector:
    """The action that brings the hand nearer to a pose; no entry of the translation exceeds `speed`."""
    step = _GAIN * (scene.reachable(position) - scene.hand.position) / _LARGEST_STEP_M
    # Scaled as a whole, so that a long way stays straight.
    step *= min(1.0, speed / max(float(np.abs(step).max()), 1e-9))
    turn = _GAIN * turn_between(scene.hand.rotation, rotation) / _LARGEST_TURN_RAD
    return np.concatenate([step, np.clip(turn, -1.0, 1.0), [gripper]])


def reach(
    scene: Scene,
    position: Vector,
    rotation: Matrix,
    gripper: float,
    *,
    tolerance: float = 0.006,
    angle: float = 0.06,
    limit: int = 70,
    speed: float = 1.0,
    until: Callable[[Scene], bool] | None = None,
) -> Skill:
    """Move the hand straight to a pose.

    Args:
        scene: the present one.
        position: of the point between the fingertips, metres.
        rotation: of the hand.
        gripper: `OPEN`, `CLOSE` or `HOLD`.
        tolerance: the motion ends this near, metres,
        angle: and this well turned, rad;
        limit: or after so many steps, blocked or not.
        speed: largest entry of an action's translation.
        until: ends the motion early.
    """
    for _ in range(limit):
        offset = np.linalg.norm(position - scene.hand.position)
        turn = np.linalg.norm(turn_between(scene.hand.rotation, rotation))
        if (offset < tolerance and turn < angle) or (until is not None and until(scene)):
            break
        scene = yield action_towards(scene, position, rotation, gripper, speed)
    return scene


def arc(
    scene: Scene,
    position: Vector,
    rotation: Matrix,
    gripper: float,
    *,
    clearance: float = 0.08,
    tolerance: float = 0.005,
    limit: int = 120,
) -> Skill:
    """Reach a pose from above: rise to `clearance` metres over it, cross, and come down when over it and turned.

    Ends, too, when something holds the hand up for a while.
    """
    still = 0
    for _ in range(limit):
        here = scene.hand
        aside = float(np.linalg.norm(position[:2] - here.position[:2]))
        turn = float(np.linalg.norm(turn_between(here.rotation, rotation)))
        height = float(here.position[2] - position[2])
        if (aside < tolerance and turn < 0.08 and abs(height) < tolerance) or still > _PATIENCE:
            break
        above = min(clearance, 4.0 * max(0.0, aside - 0.01) + 0.3 * max(0.0, turn - 0.15))
        goal, facing = position + np.array([0.0, 0.0, above]), rotation
        if height < above - _RISEN_M:
            goal[:2] = here.position[:2]
        if height < above - 2 * _RISEN_M:
            facing = here.rotation
        scene = yield action_towards(scene, goal, facing, gripper)
        still = still + 1 if np.linalg.norm(scene.hand.position - here.position) < _STILL_M else 0
    return scene


def grip(scene: Scene, position: Vector, rotation: Matrix, gripper: float, steps: int, least: int = 4) -> Skill:
    """Open or close the gripper in place: until the fingers rest (at least `least` steps), at most `steps` steps."""
    before = scene.opening
    for taken in range(steps):
        scene = yield action_towards(scene, position, rotation, gripper)
        if taken >= least and abs(scene.opening - before) < 0.0008:
            break
        before = scene.opening
    return scene
