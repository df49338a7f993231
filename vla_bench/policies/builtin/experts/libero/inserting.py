"""Putting things into what is open at a side: held at the near end, by a hand that leans back and stays outside."""

from __future__ import annotations

from typing import Final

import numpy as np

from vla_bench.policies.builtin.experts.libero.motion import CLOSE, OPEN, Skill, grip, reach
from vla_bench.policies.builtin.experts.libero.rotations import Matrix, Vector, leaning
from vla_bench.policies.builtin.experts.libero.scene import Goal, Scene
from vla_bench.policies.builtin.experts.libero.shapes import Front, box_of, shape_of

__all__ = ["container_of", "insert"]

_UP: Final = np.array([0.0, 0.0, 1.0])
_TILT_RAD: Final = 0.8
_APPROACH_M: Final = 0.07
_OVER_FLOOR_M: Final = 0.01
_BEFORE_M: Final = 0.16
"""How far outside of its final place an object is brought to its height."""
_ATTEMPTS: Final = 3


def container_of(scene: Scene, goal: Goal) -> str:
    """The container whose side a goal's subject must go in by; empty where there is none."""
    if goal.predicate != "in":
        return ""
    owners = (name for name in scene.names if goal.target.startswith(f"{name}_"))
    return next((name for name in owners if shape_of(name).front is not None), "")


def insert(scene: Scene, goal: Goal, container: str) -> Skill:
    """Take the subject of a goal by its handle, and put it into the container through its open side."""
    front = shape_of(container).front
    assert front is not None
    rotation = leaning(scene.body(container).rotation @ front.outwards, _TILT_RAD)
    for _ in range(_ATTEMPTS):
        before = scene.body(goal.subject).position[2]
        scene = yield from _take(scene, goal.subject, rotation)
        if scene.body(goal.subject).position[2] > before + 0.02:
            break
    hand = _goal_of_hand(scene, goal, container, front)
    out = scene.body(container).rotation @ front.outwards
    above = np.array([*scene.hand.position[:2], hand[2]])
    scene = yield from reach(scene, above, rotation, CLOSE, tolerance=0.015)
    scene = yield from reach(scene, hand + _BEFORE_M * out, rotation, CLOSE, tolerance=0.015)
    scene = yield from reach(scene, hand, rotation, CLOSE, tolerance=0.008, limit=40)
    scene = yield from grip(scene, scene.hand.position, rotation, OPEN, steps=12, least=6)
    return (yield from reach(scene, scene.hand.position + 0.12 * out, rotation, OPEN, tolerance=0.02, limit=20))


def _take(scene: Scene, name: str, rotation: Matrix) -> Skill:
    handle = shape_of(name).handle
    position = scene.body(name).world(handle if handle is not None else np.zeros(3))
    before = position - _APPROACH_M * rotation[:, 2]
    scene = yield from reach(scene, before, rotation, OPEN, tolerance=0.01, angle=0.1)
    scene = yield from reach(scene, position, rotation, OPEN, tolerance=0.004, limit=25)
    scene = yield from grip(scene, scene.hand.position, rotation, CLOSE, steps=14, least=8)
    return (yield from reach(scene, scene.hand.position + 0.05 * _UP, rotation, CLOSE, tolerance=0.01, limit=15))


def _goal_of_hand(scene: Scene, goal: Goal, container: str, front: Front) -> Vector:
    """Where the hand is when the held object is in its place: the far side at the back, on the floor, in the middle."""
    frame, box = scene.body(container), box_of(scene, goal.subject)
    inwards = -frame.rotation @ front.outwards
    far = float((box.centre - frame.position) @ inwards + np.abs(inwards @ box.pose.rotation) @ box.half)
    across = np.cross(_UP, inwards)
    aside = float((box.pose.position - frame.world(front.middle * _across(front))) @ across)
    floor = frame.position[2] + front.floors[goal.target.removeprefix(f"{container}_")]
    rise = floor + _OVER_FLOOR_M - box.bottom
    return np.asarray(scene.hand.position + (front.back - far) * inwards - aside * across + rise * _UP)


def _across(front: Front) -> Vector:
    """The unit axis of the container's frame along which `Front.middle` is measured."""
    return np.array([1.0, 0.0, 0.0]) if abs(front.outwards[1]) > 0.5 else np.array([0.0, 1.0, 0.0])
