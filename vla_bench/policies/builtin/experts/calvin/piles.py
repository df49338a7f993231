"""Stacking and unstacking."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.builtin.experts.calvin.hand import Hand, Motion
from vla_bench.policies.builtin.experts.calvin.sight import Block
from vla_bench.policies.builtin.experts.calvin.taking import TABLE_Z, held_colour, lies_on_desk, retake, take

__all__ = ["stack", "unstack"]

_PRESS_M = 0.02
"""A block that is pressed down harder than a target so far below the hand does can go through the desk."""


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
        yield from hand.move(_over(hand, colour, below, 0.06), patience=20)
        yield from hand.move(_over(hand, colour, below, 0.03), patience=20)
        yield from hand.move(_over(hand, colour, below, 0.001), speed=0.005, near=0.003)
        yield from hand.open(10)
        yield from hand.shift((0, 0, 0.10), speed=0.01)


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
        way = _slide_way(hand, lower)
        yield from hand.shift(way * (_overlap(hand, upper, lower.colour, way) - 0.001), speed=0.004, near=0.002)
        yield from hand.shift([*way[:2] * 0.001, -0.006], speed=0.002, near=0.002)
        drop = hand.sight.blocks[upper].position[2] - block.height / 2 - (TABLE_Z - 0.02)
        yield from hand.shift([*way[:2] * -0.001, -drop - 0.001], speed=0.004, near=0.002, most_lag=_PRESS_M)
        yield from hand.shift(way * 0.03, speed=0.004)
        yield from hand.open(8)
        yield from hand.shift((0, 0, 0.12))


def _over(hand: Hand, colour: str, below: str, gap: float) -> NDArray[np.float64]:
    """Where the hand has to be for one block to hang over the middle of another, with a gap between them."""
    held, base = hand.sight.blocks[colour], hand.sight.blocks[below]
    lowest = float(np.abs(held.axes[2]) @ held.sides) / 2
    goal = np.array([*base.position[:2], base.top + lowest + gap])
    return goal - (held.position - hand.sight.tcp)


def _overlap(hand: Hand, upper: str, lower: str, way: NDArray[np.float64]) -> float:
    """How far one block has to go along a direction to be beside another, metres."""
    one, other = hand.sight.blocks[upper], hand.sight.blocks[lower]
    return (_reach(one, way) + _reach(other, way)) / 2 - float((one.position - other.position) @ way)


def _slide_way(hand: Hand, lower: Block) -> NDArray[np.float64]:
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


def _reach(block: Block, way: NDArray[np.float64]) -> float:
    """How far a block extends along a direction, metres."""
    return float(np.abs(way @ block.axes) @ block.sides)
