"""Where to take hold of an object: candidates from its shape, the best by clearance from everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vla_bench.policies.builtin.experts.libero.rotations import Matrix, Vector, heading, turned
from vla_bench.policies.builtin.experts.libero.scene import Scene
from vla_bench.policies.builtin.experts.libero.shapes import Box, obstacles, shape_of

__all__ = ["Grasp", "crowding", "grasps"]

_OPEN_M: Final = 0.077
_WIDEST_M: Final = 0.072
"""Widest object between the fingers."""
_MARGIN_M: Final = 0.026
"""How much wider than the object the hand is opened, where it can."""
_RIM_OPENING_M: Final = 0.05
_PALM_M: Final = 0.028
"""How far above the fingertips' point something may reach: the palm is at 0.031."""
_FINGER_BELOW_M: Final = 0.0105
"""How far the fingers reach below that point, with a little air."""
_FINGER_THICK_M: Final = 0.0145
_HAND_HALF_M: Final = 0.085
_HAND_HEIGHTS_M: Final = (0.04, 0.11)
_WRIST_HEIGHTS_M: Final = (0.18, 0.26)
"""Where, over the fingertips' point, the hand and the wrist are looked at,"""
_FINGER_AIR_M: Final = 0.02
_HAND_AIR_M: Final = 0.04
_WRIST_AIR_M: Final = 0.06
"""and what distance from the middle of each to anything else costs nothing."""
_NEAR_M: Final = 0.655
"""Up to this stretch of the arm (see `Scene.stretch`) all places are equally good."""


@dataclass(frozen=True, slots=True, eq=False)
class Grasp:
    """A place for the open hand: where to close it.

    Attributes:
        position: of the point between the fingertips, metres.
        yaw: turn of the hand about the vertical, rad.
        opening: distance of the fingers before they close, metres.
        off_centre: how far from the object's middle, metres; 0 for a rim.
    """

    position: Vector
    yaw: float
    opening: float
    off_centre: float = 0.0

    @property
    def rotation(self) -> Matrix:
        """The hand's rotation, pointing down."""
        return turned(self.yaw)


def grasps(scene: Scene, name: str) -> list[Grasp]:
    """All ways to take an object from above, the best first; never none."""
    found = _by_rim(scene, name) if shape_of(name).rim is not None else _by_sides(scene, name)
    around = list(obstacles(scene, name))
    return sorted(found, key=lambda grasp: _cost(scene, grasp, around))


def _by_sides(scene: Scene, name: str) -> list[Grasp]:
    """Across each pair of upright sides that the hand spans, in the middle or nearer to an end."""
    shape = shape_of(name)
    box = Box(scene.body(name), *(shape.hold or (shape.low, shape.high)))
    middle, rotation = box.centre, box.pose.rotation
    height = max(middle[2], box.top - _PALM_M, box.bottom + _FINGER_BELOW_M)
    axes = [axis for axis in range(3) if abs(rotation[2, axis]) < 0.5]
    fitting = [axis for axis in axes if 2 * box.half[axis] < _WIDEST_M] or axes
    found = []
    for axis in fitting:
        along = next((other for other in axes if other != axis), axis)
        spare = max(0.0, float(box.half[along]) - 0.012) if along != axis else 0.0
        opening = min(_OPEN_M, 2 * float(box.half[axis]) + _MARGIN_M)
        for shift in (0.0, 0.5 * spare, -0.5 * spare, spare, -spare):
            place = middle + shift * rotation[:, along]
            position = np.array([place[0], place[1], height])
            found.append(Grasp(position, heading(rotation[:2, axis]), opening, abs(shift)))
    return found


def _by_rim(scene: Scene, name: str) -> list[Grasp]:
    """Across the wall at sixteen places around it."""
    rim = shape_of(name).rim
    assert rim is not None
    edge = scene.body(name).world(rim.centre) - np.array([0.0, 0.0, rim.depth])
    angles = np.linspace(-np.pi, np.pi, 16, endpoint=False)
    outwards = [np.array([np.cos(angle), np.sin(angle), 0.0]) for angle in angles]
    return [Grasp(edge + rim.radius * out, heading(out[:2]), _RIM_OPENING_M) for out in outwards]


def _cost(scene: Scene, grasp: Grasp, around: list[Box]) -> float:
    """Less is better: little turning, the middle, a bent elbow, and a hand that comes near nothing."""
    far = max(0.0, scene.stretch(grasp.position) - _NEAR_M)
    return 0.1 * abs(grasp.yaw) + 20.0 * far + 5.0 * grasp.off_centre + crowding(grasp, around)


def crowding(grasp: Grasp, around: list[Box]) -> float:
    """How near the fingers, the hand and the wrist come to other things: 0 for nowhere near, 1 for each touch."""
    closing = grasp.rotation[:, 0]
    aside = grasp.opening / 2 + _FINGER_THICK_M / 2
    points = [(grasp.position + side * aside * closing, _FINGER_AIR_M) for side in (-1.0, 1.0)]
    for height in _HAND_HEIGHTS_M:
        centre = grasp.position + np.array([0.0, 0.0, height])
        points += [(centre + side * _HAND_HALF_M * closing, _HAND_AIR_M) for side in (-1.0, 0.0, 1.0)]
    points += [(grasp.position + np.array([0.0, 0.0, height]), _WRIST_AIR_M) for height in _WRIST_HEIGHTS_M]
    return sum(max(0.0, air - box.distance(point)) / air for box in around for point, air in points)
