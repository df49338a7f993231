"""From the goal predicates of a task to skills, in an order that works."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from vla_bench.policies.builtin.experts.libero.carry import pick
from vla_bench.policies.builtin.experts.libero.fixtures import (
    Drawer,
    close_door,
    close_drawer,
    drawer_of,
    open_door,
    open_drawer,
    opened,
    turn_knob,
)
from vla_bench.policies.builtin.experts.libero.grasp import crowding, grasps
from vla_bench.policies.builtin.experts.libero.inserting import container_of, insert
from vla_bench.policies.builtin.experts.libero.motion import HOLD, Skill, action_towards
from vla_bench.policies.builtin.experts.libero.placing import place, put_aside
from vla_bench.policies.builtin.experts.libero.rotations import Vector
from vla_bench.policies.builtin.experts.libero.scene import Goal, Scene
from vla_bench.policies.builtin.experts.libero.shapes import obstacles, shape_of
from vla_bench.policies.builtin.experts.libero.sliding import slide

__all__ = ["solve"]

_ON_RAD: Final = 0.9
"""The stove is on from 0.5 rad,"""
_OFF_RAD: Final = -0.15
"""and off below 0, which is its stop."""
_SHUT_M: Final = 0.1
"""A drawer less open than this is opened before something goes in;"""
_BESIDE_DRAWER_M: Final = 0.16
"""and what stands nearer to the open drawer is put aside first, or the hand cannot come down to it."""
_TOUCHING: Final = 1.0


def solve(scene: Scene) -> Generator[Vector, Scene, None]:
    """Achieve the task's goals one after the other, again and again as long as one does not hold; never ends."""
    while True:
        missing = [goal for goal in _in_order(scene.goals) if not goal.holds]
        if missing:
            scene = yield from _achieve(scene, missing[0])
        else:
            scene = yield action_towards(scene, scene.hand.position, scene.hand.rotation, HOLD)


def _in_order(goals: tuple[Goal, ...]) -> list[Goal]:
    """What must come first, first: lids open before and close after what goes in, a stack is built from below."""

    def rank(goal: Goal) -> int:
        match goal.predicate:
            case "turnon" | "turnoff":
                return 0
            case "close":
                filled = any(other.target.startswith(goal.subject) for other in goals if other.predicate == "in")
                return 5 if filled else 1
            case "open":
                return 2
            case _:
                return 4 if any(goal.target == other.subject for other in goals) else 3

    return sorted(goals, key=rank)


def _achieve(scene: Scene, goal: Goal) -> Skill:
    drawer = drawer_of(goal.target or goal.subject)
    match goal.predicate:
        case "turnon":
            return (yield from turn_knob(scene, goal.subject, _ON_RAD))
        case "turnoff":
            return (yield from turn_knob(scene, goal.subject, _OFF_RAD))
        case "open":
            return (yield from (_open(scene, drawer) if drawer else open_door(scene, goal.subject)))
        case "close":
            return (yield from (close_drawer(scene, drawer) if drawer else close_door(scene, goal.subject)))
    if drawer:
        if drawer.value(scene) > _SHUT_M and _is_hemmed_in(scene, goal.subject):
            scene = yield from close_drawer(scene, drawer)
        if drawer.value(scene) < _SHUT_M:
            scene = yield from _open(scene, drawer)
    if shape_of(goal.subject).slides:
        return (yield from slide(scene, goal))
    container = container_of(scene, goal)
    if container:
        return (yield from insert(scene, goal, container))
    scene = yield from pick(scene, goal.subject)
    return (yield from place(scene, goal))


def _open(scene: Scene, drawer: Drawer) -> Skill:
    """Open a drawer; what shall go into it and stands where it comes out is put aside first."""
    space = opened(scene, drawer)
    inside = [goal.subject for goal in scene.goals if goal.predicate == "in" and drawer_of(goal.target) == drawer]
    for name in inside:
        if space.aside(scene.body(name).position) < _BESIDE_DRAWER_M:
            scene = yield from pick(scene, name)
            scene = yield from put_aside(scene, name, space)
    return (yield from open_drawer(scene, drawer))


def _is_hemmed_in(scene: Scene, name: str) -> bool:
    """Whether even the best grasp touches something."""
    return crowding(grasps(scene, name)[0], list(obstacles(scene, name))) > _TOUCHING
