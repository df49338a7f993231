"""Articulated fixtures: drawers, the stove's knob, the microwave's door."""

from __future__ import annotations

from math import atan2, pi
from typing import Final, NamedTuple

import numpy as np

from vla_bench.policies.builtin.experts.libero.motion import (
    CLOSE,
    OPEN,
    Skill,
    action_towards,
    arc,
    grip,
    reach,
)
from vla_bench.policies.builtin.experts.libero.rotations import Matrix, Vector, about, heading, leaning, turned
from vla_bench.policies.builtin.experts.libero.scene import Scene
from vla_bench.policies.builtin.experts.libero.shapes import Box, Part, part_pose, shape_of

__all__ = ["Drawer", "close_door", "close_drawer", "drawer_of", "open_door", "open_drawer", "opened", "turn_knob"]

_UP: Final = np.array([0.0, 0.0, 1.0])
_ATTEMPTS: Final = 4
_TIP_M: Final = 0.0092
"""From the point between the fingertips to their very end."""
_TILT_RAD: Final = 1.0
"""How far the hand leans back from a drawer that it pulls: over the handles above, and clear of the table."""
_PUSH_TILT_RAD: Final = 0.6
_BAR_HALF_M: Final = 0.0082
_BEHIND_BAR_M: Final = 0.013
"""How far behind the middle of the bar the fingertips go: the gap to the front is 0.016 wide."""
_PRESS_M: Final = 0.02
"""How far below the bar the hand aims while it pulls: friction and the bar's edge hold the drawer."""
_OPEN_ENOUGH_M: Final = 0.145
_WIDE_OPEN_M: Final = 0.157
_PUSH_FROM_M: Final = 0.06
_DOOR: Final = "door"
_AHEAD_RAD: Final = 0.3
"""How far ahead along its circle the hand leads a door."""
_SHUT_RAD: Final = -0.003
_AJAR_RAD: Final = -0.7
_WIDE_RAD: Final = -1.4
_OUTSIDE: Final = -1.0
_INSIDE: Final = 1.0
_OUTSIDE_PUSH_M: Final = 0.14
"""Distance from the hinge at which a door is pushed shut: inside its handle;"""
_INSIDE_PUSH_M: Final = 0.2
"""and at which it is pushed open."""
_BEFORE_DOOR_M: Final = 0.06
_AGAINST_DOOR_M: Final = 0.0
"""Distance of the fingertips' point from the door's plane before pushing, and aimed at while pushing."""
_OVER_EDGE_M: Final = 0.012
"""How far the fingertips reach down over the door's upper edge: the palm passes over the fixture's top."""
_HANDLE_TOP_M: Final = 0.06
"""Where a door's handle is held, over its middle."""


class Drawer(NamedTuple):
    """A drawer of a cabinet, by the fixture's name and its part."""

    cabinet: str
    part: Part

    def value(self, scene: Scene) -> float:
        """How far it is open, metres; a little below 0 when pressed shut."""
        return -scene.joint(self.cabinet, self.part.joint)

    def handle(self, scene: Scene) -> Vector:
        """The middle of its bar."""
        return part_pose(scene, self.cabinet, self.part).world(self.part.grip)

    def outwards(self, scene: Scene) -> Vector:
        """The direction in which it opens."""
        return -scene.body(self.cabinet).rotation[:, 1]


def drawer_of(region: str) -> Drawer | None:
    """The drawer that a region is the inside of, if it is one's."""
    cabinet, _, level = region.removesuffix("_region").rpartition("_")
    part = shape_of(cabinet).parts.get(level)
    return Drawer(cabinet, part) if part is not None and part.slide is not None else None


def opened(scene: Scene, drawer: Drawer) -> Box:
    """The space that a drawer takes when it is open."""
    out = _WIDE_OPEN_M * np.array([0.0, 1.0, 0.0])
    return Box(scene.body(drawer.cabinet), drawer.part.low - out, drawer.part.high - out)


def open_drawer(scene: Scene, drawer: Drawer) -> Skill:
    """Pull a drawer open: closed fingertips from above behind its bar, pressed down on it."""
    for _ in range(_ATTEMPTS):
        out = drawer.outwards(scene)
        hand = leaning(out, _TILT_RAD)
        tip = _TIP_M * hand[:, 2]
        bar = drawer.handle(scene) + _BAR_HALF_M * _UP - tip
        behind = bar - _BEHIND_BAR_M * out
        scene = yield from reach(scene, bar + 0.05 * out + 0.06 * _UP, hand, CLOSE, tolerance=0.03, angle=0.3)
        scene = yield from reach(scene, behind + 0.012 * _UP, hand, CLOSE, tolerance=0.004, limit=40)
        scene = yield from reach(scene, behind - 0.01 * _UP, hand, CLOSE, tolerance=0.004, limit=6)
        scene = yield from _pull(scene, drawer, hand, tip)
        above = scene.hand.position + 0.06 * _UP + 0.03 * out
        scene = yield from reach(scene, above, turned(0.0), CLOSE, tolerance=0.03, angle=pi, limit=10)
        if drawer.value(scene) > _OPEN_ENOUGH_M:
            break
    return scene


def _pull(scene: Scene, drawer: Drawer, hand: Matrix, tip: Vector) -> Skill:
    out = drawer.outwards(scene)
    for _ in range(40):
        slipped = (scene.hand.position + tip - drawer.handle(scene)) @ out > 0.015
        if drawer.value(scene) > _WIDE_OPEN_M or slipped:
            break
        scene = yield action_towards(scene, scene.hand.position + 0.1 * out - _PRESS_M * _UP, hand, CLOSE)
    return scene


def close_drawer(scene: Scene, drawer: Drawer) -> Skill:
    """Push a drawer shut at its handle with closed fingers, the hand leaning back from the cabinet."""
    out = drawer.outwards(scene)
    hand = leaning(out, _PUSH_TILT_RAD)
    for _ in range(_ATTEMPTS):
        front = drawer.handle(scene) + _PUSH_FROM_M * out
        scene = yield from arc(scene, front, hand, CLOSE, clearance=0.12, tolerance=0.015)
        for _ in range(60):
            if drawer.value(scene) < -0.002:
                break
            goal = scene.hand.position - 0.1 * out
            goal[2] = drawer.handle(scene)[2]
            scene = yield action_towards(scene, goal, hand, CLOSE)
        if drawer.value(scene) < 0.0:
            break
    return scene


def turn_knob(scene: Scene, stove: str, angle: float) -> Skill:
    """Take the stove's knob by its fin and turn it to an angle, rad."""
    knob = shape_of(stove).parts["knob"]
    for _ in range(_ATTEMPTS):
        pose = part_pose(scene, stove, knob)
        rotation, position = turned(heading(pose.rotation[:2, 1])), pose.world(knob.grip)
        scene = yield from arc(scene, position, rotation, OPEN, clearance=0.08)
        scene = yield from grip(scene, position, rotation, CLOSE, steps=10, least=6)
        for _ in range(30):
            missing = angle - scene.joint(stove, knob.joint)
            if abs(missing) < 0.08:
                break
            closing = scene.hand.rotation[:, 0]
            yaw = atan2(closing[1], closing[0]) - pi / 2 + float(np.clip(missing, -0.4, 0.4))
            scene = yield action_towards(scene, position, turned(yaw), CLOSE)
        turned_enough = abs(angle - scene.joint(stove, knob.joint)) < 0.3
        scene = yield from grip(scene, scene.hand.position, scene.hand.rotation, OPEN, steps=10, least=6)
        scene = yield from reach(scene, scene.hand.position + 0.08 * _UP, turned(0.0), OPEN, tolerance=0.03, limit=15)
        if turned_enough:
            break
    return scene


def close_door(scene: Scene, fixture: str) -> Skill:
    """Push a door shut from outside."""
    for _ in range(_ATTEMPTS):
        scene = yield from _push_door(scene, fixture, _OUTSIDE, _SHUT_RAD)
        if scene.joint(fixture, shape_of(fixture).parts[_DOOR].joint) > _SHUT_RAD:
            break
    return scene


def open_door(scene: Scene, fixture: str) -> Skill:
    """Pull a door ajar by its handle, and push it wide open from inside, where the arm need not reach so far."""
    door = shape_of(fixture).parts[_DOOR]
    for _ in range(_ATTEMPTS):
        if scene.joint(fixture, door.joint) > _AJAR_RAD:
            scene = yield from _pull_ajar(scene, fixture, door)
        if scene.joint(fixture, door.joint) < _AJAR_RAD:
            scene = yield from _push_door(scene, fixture, _INSIDE, _WIDE_RAD)
        if scene.joint(fixture, door.joint) < _WIDE_RAD:
            break
    return scene


def _push_door(scene: Scene, fixture: str, side: float, until: float) -> Skill:
    """Closed fingertips, over the fixture's top, push the upper edge of the door until it has turned so far."""
    door = shape_of(fixture).parts[_DOOR]
    rotation = turned(0.0)
    start = _beside_door(scene, fixture, door, side * _BEFORE_DOOR_M, 0.0)
    scene = yield from arc(scene, start, rotation, CLOSE, clearance=0.12, tolerance=0.015)
    for _ in range(80):
        if (until - scene.joint(fixture, door.joint)) * side > 0.0:
            break
        goal = _beside_door(scene, fixture, door, side * _AGAINST_DOOR_M, -side * _AHEAD_RAD)
        scene = yield action_towards(scene, goal, rotation, CLOSE)
    return (yield from reach(scene, scene.hand.position + 0.08 * _UP, rotation, CLOSE, tolerance=0.03, limit=10))


def _beside_door(scene: Scene, fixture: str, door: Part, aside: float, ahead: float) -> Vector:
    """A point near the door's upper edge, so far inside (negative: outside) of its plane, turned `ahead` rad on."""
    pose = part_pose(scene, fixture, door)
    radius = _OUTSIDE_PUSH_M if aside < 0.0 else _INSIDE_PUSH_M
    point = np.array([radius, aside, float(door.high[2]) - _OVER_EDGE_M])
    return pose.world(about(_UP, ahead) @ point)


def _pull_ajar(scene: Scene, fixture: str, door: Part) -> Skill:
    """Take the upper end of the upright handle from above and lead it along its circle, turning with it."""
    pose = part_pose(scene, fixture, door)
    rotation, top = turned(heading(pose.rotation[:2, 0])), pose.world(door.grip) + _HANDLE_TOP_M * _UP
    scene = yield from arc(scene, top, rotation, OPEN, clearance=0.1, tolerance=0.004)
    scene = yield from grip(scene, top, rotation, CLOSE, steps=14, least=8)
    for _ in range(60):
        pose = part_pose(scene, fixture, door)
        rotation, handle = turned(heading(pose.rotation[:2, 0])), pose.world(door.grip)
        lost = np.linalg.norm((handle - scene.hand.position)[:2]) > 0.05
        if lost or scene.joint(fixture, door.joint) < _AJAR_RAD - 0.1:
            break
        goal = pose.position + about(_UP, -_AHEAD_RAD) @ (handle - pose.position)
        scene = yield action_towards(scene, np.array([goal[0], goal[1], top[2]]), rotation, CLOSE)
    scene = yield from grip(scene, scene.hand.position, rotation, OPEN, steps=10, least=6)
    return (yield from reach(scene, scene.hand.position + 0.1 * _UP, rotation, OPEN, tolerance=0.03, limit=15))
