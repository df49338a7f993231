"""Taking objects up, carrying them over what stands in the way, and putting them down."""

from __future__ import annotations

from typing import Final

import numpy as np

from vla_bench.policies.builtin.experts.libero.grasp import Grasp, grasps
from vla_bench.policies.builtin.experts.libero.motion import CLOSE, HOLD, OPEN, Skill, arc, grip, reach
from vla_bench.policies.builtin.experts.libero.rotations import Matrix, Vector
from vla_bench.policies.builtin.experts.libero.scene import Scene
from vla_bench.policies.builtin.experts.libero.shapes import Box, box_of, obstacles

__all__ = ["pick", "put_down"]

_FINGERS_M: Final = 0.0105
"""From the point between the fingertips to their ends, with a little air."""
_AIR_M: Final = 0.02
"""Distance kept from what is passed over."""
_BESIDE_M: Final = 0.09
"""Objects this near to the straight way are passed over."""
_LIFT_M: Final = 0.05
_ATTEMPTS: Final = 3
_ANOTHER_M: Final = 0.03
"""A grasp that failed is not tried again, nor those this near to it."""
_OPEN_M: Final = 0.08
_A_COMMAND_M: Final = 0.01
"""What one step of opening or closing changes in the fingers' distance, until they rest at 0.08 or 0."""


def pick(scene: Scene, name: str) -> Skill:
    """Take an object from above; looks whether it came along and tries another grasp if not."""
    failed: list[Vector] = []
    for _ in range(_ATTEMPTS):
        middle = scene.body(name).position
        options = grasps(scene, name)
        fresh = [grasp for grasp in options if all(_apart(grasp.position - middle, old) for old in failed)]
        grasp = (fresh or options)[0]
        scene = yield from _take(scene, name, grasp)
        if scene.body(name).position[2] > middle[2] + _LIFT_M / 2:
            break
        failed.append(grasp.position - middle)
        scene = yield from grip(scene, scene.hand.position + _up(0.04), grasp.rotation, OPEN, steps=10, least=9)
    return scene


def _apart(one: Vector, other: Vector) -> bool:
    return bool(np.linalg.norm(one - other) > _ANOTHER_M)


def _take(scene: Scene, name: str, grasp: Grasp) -> Skill:
    clearance = max(0.06, _clear_height(scene, grasp.position, name, _FINGERS_M) - grasp.position[2])
    gripper, steps = _preparation(scene, grasp.opening)
    if steps > 0:
        scene = yield from arc(scene, grasp.position, grasp.rotation, gripper, clearance=clearance, limit=steps)
    scene = yield from arc(scene, grasp.position, grasp.rotation, HOLD, clearance=clearance)
    scene = yield from grip(scene, scene.hand.position, grasp.rotation, CLOSE, steps=16, least=7)
    above = scene.hand.position + _up(_LIFT_M)
    return (yield from reach(scene, above, grasp.rotation, CLOSE, tolerance=0.015, limit=15))


def _preparation(scene: Scene, opening: float) -> tuple[float, int]:
    """The command, and for how many steps, that brings fingers at rest, open or closed, to an opening."""
    if scene.opening > _OPEN_M / 2:
        return CLOSE, int((_OPEN_M - opening) / _A_COMMAND_M)
    return OPEN, int(opening / _A_COMMAND_M + 0.99)


def put_down(scene: Scene, name: str, position: Vector, rotation: Matrix) -> Skill:
    """Carry the held object so that its body's origin comes to `position`, open the hand there and draw it back."""
    offset = scene.hand.local(scene.body(name).position)
    below = float(scene.hand.position[2]) - box_of(scene, name).bottom
    target = position - rotation @ offset
    clearance = max(0.03, _clear_height(scene, target, name, max(below, _FINGERS_M)) - target[2])
    scene = yield from arc(scene, target, rotation, CLOSE, clearance=clearance)
    scene = yield from grip(scene, scene.hand.position, rotation, OPEN, steps=12, least=5)
    return (yield from reach(scene, scene.hand.position + _up(0.08), rotation, OPEN, tolerance=0.02, limit=12))


def _clear_height(scene: Scene, goal: Vector, name: str, below: float) -> float:
    """The height of the hand, metres, at which its lowest part passes over all that is near the way to `goal`."""
    start = scene.hand.position
    near = [box.top for box in obstacles(scene, name) if _way_distance(start, goal, box) < _BESIDE_M]
    return max(near, default=0.0) + _AIR_M + below


def _way_distance(start: Vector, goal: Vector, box: Box) -> float:
    """How near the straight way comes to a box, seen from above, metres."""
    return min(box.aside(start + part * (goal - start)) for part in np.linspace(0.0, 1.0, 21))


def _up(height: float) -> Vector:
    return np.array([0.0, 0.0, height])
