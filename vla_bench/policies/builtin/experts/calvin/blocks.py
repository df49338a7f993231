"""Taking, turning, pushing and setting down blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.builtin.experts.calvin.desk import HOVER_M
from vla_bench.policies.builtin.experts.calvin.hand import DOWN_YAW, SLOW_M, Hand, Motion, yaw_for
from vla_bench.policies.builtin.experts.calvin.sight import Block

__all__ = [
    "lift",
    "lift_from_slider",
    "place_in_drawer",
    "place_in_slider",
    "push",
    "push_into_drawer",
    "rotate",
    "stack",
    "unstack",
]

_TABLE_Z = 0.46
"""Height of the centre of a block that lies on the desk."""
_DROP_M = 0.012
"""A block that falls so far lies when the fingers have left it, and still as it was held."""
_REACH_IN = -0.7
"""Pitch of the hand for what lies in the cabinet."""


def take(hand: Hand, colour: str, *, above: float = 0.09) -> Motion:
    """Take a block from above, across its narrower side."""
    block = hand.sight.blocks[colour]
    yaw = best_yaw(hand, block)
    x, y, z = block.position
    yield from hand.open(1)
    yield from hand.move((x, y, max(z + above, 0.53)), yaw=yaw, pitch=0.0)
    x, y, z = hand.sight.blocks[colour].position
    yield from hand.move((x, y, z + 0.03))
    yield from hand.move((x, y, z - 0.001), speed=SLOW_M)
    yield from hand.close(8)


def best_yaw(hand: Hand, block: Block) -> float:
    """Across the narrower side; of a cube, the way that turns the hand less."""
    grips = block.grips()
    narrow = grips[0][1]
    return min((yaw_for(angle) for angle, width in grips if width < narrow + 0.01), key=lambda yaw: abs(yaw - DOWN_YAW))


def lift(hand: Hand, colour: str) -> Motion:
    """Lift a block from the desk or out of the drawer."""
    while True:
        yield from take(hand, colour)
        yield from hand.shift((0, 0, 0.16), speed=0.012)
        yield from hand.open()


def lift_from_slider(hand: Hand, colour: str) -> Motion:
    """Lift a block out of the cabinet."""
    while True:
        yield from reach_in(hand, colour)
        yield from leave(hand)
        yield from hand.open()


def reach_in(hand: Hand, colour: str) -> Motion:
    """Take a block in the cabinet and raise it a little."""
    x, y, z = hand.sight.blocks[colour].position
    yield from hand.open(1)
    yield from hand.move((x, -0.10, 0.58), yaw=DOWN_YAW, pitch=_REACH_IN)
    yield from hand.move((x, -0.02, 0.54))
    yield from hand.move((x, y - 0.01, 0.50), speed=0.01)
    yield from hand.move((x, y, z), speed=SLOW_M)
    yield from hand.close(8)
    yield from hand.move((x, y, z + 0.045), speed=0.01)


def place_in_slider(hand: Hand) -> Motion:
    """Put the held block into the open half of the cabinet."""
    colour = held_colour(hand)
    while True:
        yield from retake(hand, colour)
        middle = -0.24 if hand.sight.slide < 0.14 else 0.07
        x = free_spot(hand, [(middle + dx, 0.09) for dx in (0.0, 0.06, -0.06)], 0.46)[0]
        yield from hand.move((x, -0.10, 0.60), yaw=DOWN_YAW, pitch=_REACH_IN)
        yield from hand.move((x, -0.02, 0.54))
        yield from hand.move((x, 0.085, 0.50), speed=0.01)
        yield from hand.move((x, 0.085, 0.475), speed=SLOW_M)
        yield from hand.open(10)
        yield from hand.shift((0, 0, 0.03))
        yield from hand.move((np.nan, -0.10, 0.58))


def place_in_drawer(hand: Hand) -> Motion:
    """Put the held block into the open drawer."""
    colour = held_colour(hand)
    while True:
        yield from retake(hand, colour)
        out = hand.sight.drawer
        spots = [(x, -0.06 - out) for x in (0.18, 0.10, 0.26)] + [(x, -0.10 - out) for x in (0.18, 0.10, 0.26)]
        x, y = free_spot(hand, spots, 0.36)
        yield from hand.move((x, y, 0.56), yaw=DOWN_YAW, pitch=0.0)
        yield from hand.move((x, y, 0.40), speed=0.015)
        yield from hand.open(15)
        yield from hand.shift((0, 0, 0.10))


def held_colour(hand: Hand) -> str:
    """Which block is in the hand, or nearest to it."""
    held = hand.sight.held()
    near = min(hand.sight.blocks.values(), key=lambda b: float(np.linalg.norm(b.position - hand.sight.tcp)))
    return (held or near).colour


def retake(hand: Hand, colour: str) -> Motion:
    """Where a block is no longer in the hand, take it again."""
    while (held := hand.sight.held()) is None or held.colour != colour:
        yield from hand.open(3)
        yield from leave(hand)
        if hand.sight.blocks[colour].position[1] > 0.04:
            yield from reach_in(hand, colour)
            yield from leave(hand)
        else:
            yield from take(hand, colour)
            yield from hand.shift((0, 0, 0.10), speed=0.012)


def leave(hand: Hand) -> Motion:
    """Leave the cabinet, the drawer or the desk for the space above, whatever is held."""
    if hand.sight.tcp[1] > 0.0:
        yield from hand.shift((0, 0, max(0.0, 0.50 - hand.sight.tcp[2])), speed=0.01, patience=4)
        yield from hand.move((np.nan, -0.10, max(hand.sight.tcp[2], 0.55)), speed=0.015, patience=6)
    if hand.sight.tcp[2] < HOVER_M - 0.05:
        yield from hand.move((np.nan, np.nan, HOVER_M), speed=0.015, patience=6)


def free_spot(hand: Hand, spots: list[tuple[float, float]], z: float) -> tuple[float, float]:
    """The first spot with no other block near, or the freest."""
    held = hand.sight.held()
    others = [b.position for b in hand.sight.blocks.values() if b is not held and abs(b.position[2] - z) < 0.06]

    def room(spot: tuple[float, float]) -> float:
        return min((float(np.hypot(spot[0] - p[0], spot[1] - p[1])) for p in others), default=1.0)

    return next((spot for spot in spots if room(spot) > 0.075), max(spots, key=room))


def rotate(hand: Hand, colour: str, *, to_left: bool) -> Motion:
    """Take a block, turn it, drop it from a little above the desk."""
    turn = 1.35 if to_left else -1.35
    while True:
        yield from take(hand, colour)
        yield from hand.shift((0, 0, _DROP_M), speed=0.01)
        yield from hand.move(hand.sight.target, yaw=hand.sight.target_euler[2] + turn, patience=6)
        yield from hand.open(8)
        yield from hand.shift((0, 0, 0.12))


def push(hand: Hand, colour: str, *, to_left: bool) -> Motion:
    """Carry a block along the desk and let go of it: what still touches the robot is no start for a next subtask."""
    way = -1.0 if to_left else 1.0
    while True:
        yield from take(hand, colour)
        x, y = hand.sight.blocks[colour].position[:2]
        # Beside the button rather than on it.
        rows = (y, -0.06, -0.14) if x + 0.13 * way > 0.02 else (-0.05, -0.03)
        goal = free_spot(hand, [(x + far * way, row) for far in (0.125, 0.16, 0.20) for row in rows], _TABLE_Z)
        low = float(hand.sight.target[2]) + _DROP_M
        yield from hand.shift((0, 0, 0.06), speed=0.012)
        yield from hand.move((*goal, low + 0.05))
        yield from hand.move((*goal, low), speed=0.012)
        yield from hand.open(8)
        yield from hand.shift((0, 0, 0.12))


def push_into_drawer(hand: Hand) -> Motion:
    """Push the block that lies on the desk over its edge into the open drawer."""
    while True:
        on_desk = [b for b in hand.sight.blocks.values() if lies_on_desk(b)]
        if not on_desk:
            yield from hand.wait(1)
            continue
        colour = min(on_desk, key=lambda b: float(b.position[1])).colour
        yield from take(hand, colour)
        yield from hand.shift((0, 0, 0.08), speed=0.012)
        yield from place_in_drawer(hand)


def stack(hand: Hand) -> Motion:
    """Set the held block on another one. The hand keeps its pitch: the block lies level as it was taken."""
    colour = held_colour(hand)
    while True:
        yield from retake(hand, colour)
        others = [b for b in hand.sight.blocks.values() if b.colour != colour and lies_on_desk(b)]
        if not others:
            yield from hand.wait(1)
            continue
        below = max(others, key=lambda b: float(b.sides.max() - 10 * abs(b.position[1] + 0.12))).colour
        yield from hand.move(over(hand, colour, below, 0.06), patience=20)
        yield from hand.move(over(hand, colour, below, 0.03), patience=20)
        yield from hand.move(over(hand, colour, below, 0.001), speed=0.005, near=0.003)
        yield from hand.open(10)
        yield from hand.shift((0, 0, 0.10), speed=0.01)


def over(hand: Hand, colour: str, below: str, gap: float) -> NDArray[np.float64]:
    """Where the hand has to be for one block to hang over the middle of another, with a gap between them."""
    held, base = hand.sight.blocks[colour], hand.sight.blocks[below]
    lowest = float(np.abs(held.axes[2]) @ held.sides) / 2
    goal = np.array([*base.position[:2], base.top + lowest + gap])
    return goal - (held.position - hand.sight.tcp)


def lies_on_desk(block: Block) -> bool:
    """Whether it lies on the desk itself, in front of the cabinet."""
    return bool(abs(block.position[2] - _TABLE_Z) < 0.03 and block.position[1] < 0.04)


def unstack(hand: Hand) -> Motion:
    """Take the upper block, slide it down the lower one's side onto the desk, and away.

    It is unstacked as soon as the two no longer touch. In the air it would be, and the next subtask often wants a block
    that lies on the desk.
    """
    while True:
        upper = max(hand.sight.blocks.values(), key=lambda b: float(b.position[2])).colour
        yield from take(hand, upper)
        block = hand.sight.blocks[upper]
        lower = min(
            (b for b in hand.sight.blocks.values() if b.colour != upper),
            key=lambda b: float(np.linalg.norm(b.position[:2] - block.position[:2])),
        )
        way = slide_way(hand, lower)
        distance = (reach(block, way) + reach(lower, way)) / 2 - float((block.position - lower.position) @ way)
        yield from hand.move(hand.sight.target + way * (distance - 0.001), speed=0.004, near=0.002)
        yield from hand.shift([*way[:2] * 0.001, -0.006], speed=0.002, near=0.002)
        drop = hand.sight.blocks[upper].position[2] - block.height / 2 - (_TABLE_Z - 0.02)
        yield from hand.shift([*way[:2] * -0.001, -drop - 0.001], speed=0.004, near=0.002)
        yield from hand.shift(way * 0.03, speed=0.004)
        yield from hand.open(8)
        yield from hand.shift((0, 0, 0.12))


def slide_way(hand: Hand, lower: Block) -> NDArray[np.float64]:
    """Across the direction in which the fingers close, to the side where there is more room on the desk."""
    yaw = hand.sight.target_euler[2]
    along = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    others = [b.position for b in hand.sight.blocks.values() if lies_on_desk(b) and b.colour != lower.colour]
    middle = np.array([0.1, -0.11])

    def room(way: NDArray[np.float64]) -> float:
        place = (lower.position + 0.07 * way)[:2]
        nearest = min((float(np.linalg.norm(place - p[:2])) for p in others), default=1.0)
        return min(nearest, 0.08) - 0.3 * float(np.linalg.norm(place - middle))

    return max((along, -along), key=room)


def reach(block: Block, way: NDArray[np.float64]) -> float:
    """How far a block extends along a direction, metres."""
    return float(np.abs(way @ block.axes) @ block.sides)
