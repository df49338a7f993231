"""When is a subtask done? The rules of the 34 tasks, as changes between a subtask's start and now.

A rule is begun once, when its subtask begins, and remembers what it needs of that moment; then it is asked after every
control step. Contacts are those of the last physics substep, so that a touch between two looks does not count. The
rules and their numbers are those of calvin_env @ 797142c.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from vla_bench.envs.calvin.scenes import read_table
from vla_bench.envs.calvin.world import Contacts, World

__all__ = ["TASKS", "Rule", "begin_rule"]

TASKS: Final = tuple(read_table("tasks.toml"))
"""All 34, in upstream's order."""

Rule = Callable[[], bool]
"""Whether the task is done now."""

_TILT_DEGREES: Final = 30.0
_TURN_LIMIT_DEGREES: Final = 180.0
_SHIFT_LIMIT_M: Final = 0.1
_REST_VELOCITY: Final = 1.0  # metres per second and radians per second, per component

Quaternion = tuple[float, ...]


def begin_rule(task: str, world: World) -> Rule:
    """Begin a task in the present state of a world.

    Args:
        task: one of `TASKS`.
        world: which goes on while the rule is asked.
    """
    numbers = dict(read_table("tasks.toml")[task]["oracle"])
    return _RULES[numbers.pop("rule")](world, **{_PYTHON_NAMES.get(key, key): value for key, value in numbers.items()})


def _rotate(world: World, block: str, degrees: float) -> Rule:
    """Turned about the vertical by more than `degrees` (left is positive), hardly tilted, hardly moved, set down."""
    body = world.blocks[block]
    start, start_turn = world.block_pose(block)

    def is_met() -> bool:
        position, turn = world.block_pose(block)
        if math.dist(position, start) > _SHIFT_LIMIT_M or not _bodies(world.contacts(body)) - {world.arm.body}:
            return False
        x, y, z = _euler_degrees(_difference(turn, start_turn))
        is_turned = degrees < z < _TURN_LIMIT_DEGREES if degrees > 0 else degrees > z > -_TURN_LIMIT_DEGREES
        return is_turned and abs(x) < _TILT_DEGREES and abs(y) < _TILT_DEGREES

    return is_met


def _push(world: World, block: str, metres: float) -> Rule:
    """Moved along the world's x axis by more than `metres` (right is positive), on the surfaces where it lay."""
    body = world.blocks[block]
    start = world.block_pose(block)[0][0]
    start_surfaces = _without_robot(world, world.contacts(body))

    def is_met() -> bool:
        moved = world.block_pose(block)[0][0] - start
        if not (moved > metres if metres > 0 else moved < metres):
            return False
        return bool(start_surfaces) and start_surfaces <= _without_robot(world, world.contacts(body))

    return is_met


def _move_joint(world: World, joint: str, metres: float) -> Rule:
    """Slide or drawer moved by more than `metres`, with its sign."""
    start = world.table.joint(joint)

    def is_met() -> bool:
        moved = world.table.joint(joint) - start
        return moved > metres if metres > 0 else moved < metres

    return is_met


def _lift(world: World, block: str, metres: float, source: str) -> Rule:
    """Raised by more than `metres` from the desk's link `source`, and touched by the robot alone."""
    body = world.blocks[block]
    height = world.block_pose(block)[0][2]
    lay_there = (world.table.body, world.table.links[source]) in world.contacts(body)

    def is_met() -> bool:
        if not (lay_there and world.block_pose(block)[0][2] - height > metres):
            return False
        return _bodies(world.contacts(body)) == {world.arm.body}

    return is_met


def _place(world: World, target: str) -> Rule:
    """The block that the robot held alone at the start lies on the desk's link `target`, let go."""
    held = _bodies(world.contacts(world.arm.body))
    body = next(iter(held)) if len(held) == 1 else -1
    was_held = body in world.blocks.values() and _bodies(world.contacts(body)) == {world.arm.body}
    goal = (world.table.body, world.table.links[target])

    def is_met() -> bool:
        if not was_held:
            return False
        contacts = world.contacts(body)
        return goal in contacts and world.arm.body not in _bodies(contacts)

    return is_met


def _push_into(world: World, source: str, target: str) -> Rule:
    """Some block that lay on the desk's link `source` and on nothing else touches `target`."""
    lay = {(world.table.body, world.table.links[source])}
    goal = (world.table.body, world.table.links[target])
    candidates = [body for body in world.blocks.values() if world.contacts(body) == lay]

    def is_met() -> bool:
        # Upstream looks for the robot's id among pairs (body, link), where it never is: a block that the robot still
        # touches counts.
        return any(goal in world.contacts(body) for body in candidates)

    return is_met


def _stack(world: World) -> Rule:
    """Some block that touched no other touches blocks and nothing else, almost at rest."""
    blocks = frozenset(world.blocks.values())
    alone = [name for name, body in world.blocks.items() if not blocks & _bodies(world.contacts(body))]

    def is_met() -> bool:
        for name in alone:
            touched = _bodies(world.contacts(world.blocks[name]))
            if touched and touched <= blocks and _is_at_rest(world, name):
                return True
        return False

    return is_met


def _unstack(world: World) -> Rule:
    """Some block that touched blocks and nothing else, at rest, touches none."""
    blocks = frozenset(world.blocks.values())
    upper = []
    for name, body in world.blocks.items():
        touched = _bodies(world.contacts(body))
        if touched and touched <= blocks and _is_at_rest(world, name):
            upper.append(body)

    def is_met() -> bool:
        return any(not blocks & _bodies(world.contacts(body)) for body in upper)

    return is_met


def _light(world: World, light: str, on: bool) -> Rule:
    """A light that was off shines, or the other way round."""
    was_on = bool(getattr(world.table, light))

    def is_met() -> bool:
        return was_on is not on and bool(getattr(world.table, light)) is on

    return is_met


_RULES: Mapping[str, Callable[..., Rule]] = {
    "rotate": _rotate, "push": _push, "move_joint": _move_joint, "lift": _lift, "place": _place,
    "push_into": _push_into, "stack": _stack, "unstack": _unstack, "light": _light,
}  # fmt: skip
_PYTHON_NAMES: Mapping[str, str] = {"from": "source", "to": "target"}


def _bodies(contacts: Contacts) -> frozenset[int]:
    return frozenset(body for body, _ in contacts)


def _without_robot(world: World, contacts: Contacts) -> Contacts:
    return frozenset(contact for contact in contacts if contact[0] != world.arm.body)


def _is_at_rest(world: World, block: str) -> bool:
    return all(abs(value) < _REST_VELOCITY for vector in world.block_velocity(block) for value in vector)


def _difference(end: Quaternion, start: Quaternion) -> Quaternion:
    """The rotation that leads from `start` to `end`, in the world's frame; unit quaternions xyzw."""
    x1, y1, z1, w1 = end
    x2, y2, z2, w2 = -start[0], -start[1], -start[2], start[3]
    return (
        w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
        w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
        w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
    )


def _euler_degrees(quaternion: Quaternion) -> tuple[Any, Any, Any]:
    """Extrinsic xyz angles."""
    x, y, z, w = quaternion
    sine = max(-1.0, min(1.0, 2 * (w * y - z * x)))
    return (
        math.degrees(math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))),
        math.degrees(math.asin(sine)),
        math.degrees(math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))),
    )
