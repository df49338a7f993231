"""Moving what is too flat to be lifted: its rim is held at the side where it shall go, and drawn over the table."""

from __future__ import annotations

from typing import Final

import numpy as np

from vla_bench.policies.builtin.experts.libero.motion import CLOSE, OPEN, Skill, action_towards, arc, grip, reach
from vla_bench.policies.builtin.experts.libero.rotations import Vector, heading, turned
from vla_bench.policies.builtin.experts.libero.scene import Goal, Scene
from vla_bench.policies.builtin.experts.libero.shapes import box_of, shape_of

__all__ = ["slide"]

_UP: Final = np.array([0.0, 0.0, 1.0])
_ATTEMPTS: Final = 3
_OVER_TABLE_M: Final = 0.0115
"""Height of the point between the fingertips, whose ends are 0.009 below it, while they hold the rim."""
_PRESS_M: Final = 0.006
"""How far below that the hand aims, or it climbs the slope of the rim."""
_AHEAD_M: Final = 0.04
"""How far ahead of itself the hand aims while it draws."""
_THERE_M: Final = 0.008
_LOST_M: Final = 0.025
"""The fingers have slipped off when they are so much farther from the middle, or nearer, than the rim."""
_STEPS: Final = 120


def slide(scene: Scene, goal: Goal) -> Skill:
    """Draw the subject of a goal to the middle of the table's zone that it shall be on."""
    rim = shape_of(goal.subject).rim
    assert rim is not None
    for _ in range(_ATTEMPTS):
        way = _missing(scene, goal)
        onwards = way / np.linalg.norm(way)
        rotation = turned(heading(onwards[:2]))
        place = scene.body(goal.subject).position + rim.radius * onwards
        place[2] = box_of(scene, goal.subject).bottom + _OVER_TABLE_M
        scene = yield from arc(scene, place, rotation, OPEN, clearance=0.1)
        scene = yield from grip(scene, place - _PRESS_M * _UP, rotation, CLOSE, steps=14, least=8)
        for _ in range(_STEPS):
            way = _missing(scene, goal)
            if np.linalg.norm(way) < _THERE_M or abs(_distance(scene, goal.subject) - rim.radius) > _LOST_M:
                break
            ahead = way * min(1.0, _AHEAD_M / float(np.linalg.norm(way)))
            aim = np.array([*(scene.hand.position + ahead)[:2], place[2] - _PRESS_M])
            scene = yield action_towards(scene, aim, rotation, CLOSE)
        scene = yield from grip(scene, scene.hand.position, rotation, OPEN, steps=10, least=6)
        scene = yield from reach(scene, scene.hand.position + 0.1 * _UP, rotation, OPEN, tolerance=0.03, limit=12)
        if np.linalg.norm(_missing(scene, goal)) < 2 * _THERE_M:
            break
    return scene


def _missing(scene: Scene, goal: Goal) -> Vector:
    """The way that the object has still to go, seen from above."""
    way = scene.region(goal.target).pose.position - scene.body(goal.subject).position
    return np.array([way[0], way[1], 0.0])


def _distance(scene: Scene, name: str) -> float:
    """How far the hand is from the object's middle, seen from above."""
    return float(np.linalg.norm((scene.hand.position - scene.body(name).position)[:2]))
