"""Where a held object goes: on a surface, into a container, or one of the places that need more."""

from __future__ import annotations

from math import atan2, pi
from typing import Final

import numpy as np

from vla_bench.policies.builtin.experts.libero.carry import put_down
from vla_bench.policies.builtin.experts.libero.fixtures import drawer_of
from vla_bench.policies.builtin.experts.libero.motion import Skill
from vla_bench.policies.builtin.experts.libero.rotations import Matrix, Vector, about, heading, turn_between, turned
from vla_bench.policies.builtin.experts.libero.scene import Goal, Region, Scene
from vla_bench.policies.builtin.experts.libero.shapes import Box, box_of, obstacles

__all__ = ["place", "put_aside"]

_UP: Final = np.array([0.0, 0.0, 1.0])
_DROP_M: Final = 0.01
"""Height over a surface at which the hand opens, if nothing stops it before."""
_IN_VESSEL_M: Final = 0.02
"""Height of what lies on a plate or in a bowl over the vessel's own origin, about."""
_PALM_M: Final = 0.026
"""How deep the fingertips' point may go below a container's edge: the palm stays above."""
_APART_M: Final = 0.045
"""Half the distance of two things put on one burner."""
_LIFTED_M: Final = 0.04
"""About how high over the table an object is when it is picked, less what it is let fall."""
_FREE_M: Final = 0.14
"""More room than this is worth no way."""


def place(scene: Scene, goal: Goal) -> Skill:
    """Put the held subject of a goal where it belongs, and let go."""
    name, target = goal.subject, goal.target
    rotation = upright(scene)
    if not scene.has_region(target):
        position = scene.body(target).position + np.array([0.0, 0.0, _IN_VESSEL_M + _height_of_origin(scene, name)])
    elif goal.predicate == "in":
        position = _inside(scene, name, target)
        if drawer_of(target) is not None:
            rotation = turned(heading(scene.body(_owner(scene, target)).rotation[:, 0]))
        elif (squared := _squared(scene, name, scene.region(target), rotation)) is not None:
            rotation = squared
            position[:2] -= (rotation @ scene.hand.rotation.T @ _off_centre(scene, name))[:2]
    else:
        position = _upon(scene, goal)
    return (yield from put_down(scene, name, position, rotation))


def put_aside(scene: Scene, name: str, keep_off: Box) -> Skill:
    """Put the held object on a free place of the table, far from everything and near enough to the robot."""
    height = float(scene.body(name).position[2]) - _LIFTED_M
    around = [*obstacles(scene, name), keep_off]
    places = [
        np.array([scene.foot[0] + forward, scene.foot[1] + aside, height])
        for forward in np.arange(0.4, 0.61, 0.05)
        for aside in np.arange(-0.3, 0.31, 0.05)
    ]
    here = scene.hand.position

    def worth(place: Vector) -> float:
        free = min(box.aside(place) for box in around)
        return min(free, _FREE_M) - 0.3 * float(np.linalg.norm(place - here))

    return (yield from put_down(scene, name, max(places, key=worth), upright(scene)))


def _inside(scene: Scene, name: str, target: str) -> Vector:
    """A little over the region's floor; higher where the palm would touch the container's edge."""
    region = scene.region(target)
    floor = region.pose.position[2] - _reach_up(region)
    position = region.pose.position.copy()
    position[2] = floor + _height_of_origin(scene, name) + 2 * _DROP_M
    hand_over_origin = scene.hand.position[2] - scene.body(name).position[2]
    if drawer_of(target) is None:
        edge = box_of(scene, _owner(scene, target)).top
        position[2] = max(position[2], edge - _PALM_M - hand_over_origin)
    return position


def _upon(scene: Scene, goal: Goal) -> Vector:
    """A little over the region; beside one another where several goals share it."""
    region, owner = scene.region(goal.target), _owner(scene, goal.target)
    surface = box_of(scene, owner).top if owner else float(region.pose.position[2])
    position = region.pose.position.copy()
    sharing = [other.subject for other in scene.goals if other.target == goal.target]
    if len(sharing) > 1:
        position += (2 * sharing.index(goal.subject) - 1) * _APART_M * region.pose.rotation[:, 0]
    position[2] = surface + _height_of_origin(scene, goal.subject) + _DROP_M
    return position


def _off_centre(scene: Scene, name: str) -> Vector:
    """Where the middle of an object is, seen from its origin."""
    return np.asarray(box_of(scene, name).centre - scene.body(name).position)


def _height_of_origin(scene: Scene, name: str) -> float:
    """How high an object's origin is over its lowest point, metres."""
    return float(scene.body(name).position[2]) - box_of(scene, name).bottom


def _fits(scene: Scene, name: str, region: Region, hand: Matrix, *, centred: bool) -> bool:
    """Whether the held object, the hand being turned so, fits between a region's sides, seen from above.

    Either its own middle is brought over the region's, or its origin.
    """
    box = box_of(scene, name)
    seen = region.pose.rotation.T @ hand @ scene.hand.rotation.T
    needed = np.abs(seen @ box.pose.rotation) @ box.half
    if not centred:
        needed += np.abs(seen @ _off_centre(scene, name))
    across = [axis for axis in range(3) if abs(region.pose.rotation[2, axis]) < 0.5]
    return all(needed[axis] < region.half[axis] for axis in across)


def _squared(scene: Scene, name: str, region: Region, hand: Matrix) -> Matrix | None:
    """The hand turned about the vertical, as little as may be, so that the held object fits between a region's sides.

    None where it fits already, or no turn makes it fit.
    """
    if _fits(scene, name, region, hand, centred=False):
        return None
    held = hand @ scene.hand.rotation.T @ scene.body(name).rotation
    askew = _yaw(held) - _yaw(region.pose.rotation)
    turns = [about(_UP, quarter * pi / 2 - askew) @ hand for quarter in range(-3, 4)]
    fitting = [turn for turn in turns if _fits(scene, name, region, turn, centred=True)]
    return min(fitting, key=lambda turn: float(np.linalg.norm(turn_between(hand, turn))), default=None)


def _yaw(rotation: Matrix) -> float:
    """The direction of a frame's first horizontal axis, rad."""
    axis = next(axis for axis in range(3) if abs(rotation[2, axis]) < 0.7)
    return atan2(rotation[1, axis], rotation[0, axis])


def _reach_up(region: Region) -> float:
    """Half a region's height in the world, metres."""
    return float(np.abs(region.pose.rotation[2]) @ region.half)


def _owner(scene: Scene, region: str) -> str:
    """The object or fixture that a region belongs to; empty for a zone of the table."""
    return next((name for name in scene.names if region.startswith(f"{name}_")), "")


def upright(scene: Scene) -> Matrix:
    """The hand's present rotation, pointing exactly down."""
    closing = scene.hand.rotation[:, 0]
    return turned(atan2(closing[1], closing[0]) - pi / 2)
