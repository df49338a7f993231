"""Taking blocks and getting away with them; where there is room to put one."""

from __future__ import annotations

import numpy as np

from vla_bench.policies.builtin.experts.calvin.desk import HOVER_M
from vla_bench.policies.builtin.experts.calvin.hand import DOWN_YAW, SLOW_M, Hand, Motion, yaw_for
from vla_bench.policies.builtin.experts.calvin.sight import Block

__all__ = [
    "REACH_IN", "TABLE_Z", "free_spot", "held_colour", "leave", "lies_on_desk", "reach_in", "retake", "take",
]  # fmt: skip

TABLE_Z = 0.46
"""Height of the centre of a block that lies on the desk."""
REACH_IN = -0.7
"""Pitch of the hand for what lies in the cabinet."""


def take(hand: Hand, colour: str, *, above: float = 0.09) -> Motion:
    """Take a block from above, across its narrower side."""
    block = hand.sight.blocks[colour]
    yaw = _best_yaw(block)
    x, y, z = block.position
    yield from hand.open(1)
    yield from hand.move((x, y, max(z + above, 0.53)), yaw=yaw, pitch=0.0)
    x, y, z = hand.sight.blocks[colour].position
    yield from hand.move((x, y, z + 0.03))
    yield from hand.move((x, y, z - 0.001), speed=SLOW_M)
    yield from hand.close(8)


def _best_yaw(block: Block) -> float:
    """Across the narrower side; of a cube, the way that turns the hand less."""
    grips = block.grips()
    narrow = grips[0][1]
    return min((yaw_for(angle) for angle, width in grips if width < narrow + 0.01), key=lambda yaw: abs(yaw - DOWN_YAW))


def reach_in(hand: Hand, colour: str) -> Motion:
    """Take a block in the cabinet and raise it a little."""
    x, y, z = hand.sight.blocks[colour].position
    yield from hand.open(1)
    yield from hand.move((x, -0.10, 0.58), yaw=DOWN_YAW, pitch=REACH_IN)
    yield from hand.move((x, -0.02, 0.54))
    yield from hand.move((x, y - 0.01, 0.50), speed=0.01)
    yield from hand.move((x, y, z), speed=SLOW_M)
    yield from hand.close(8)
    yield from hand.move((x, y, z + 0.045), speed=0.01)


def leave(hand: Hand) -> Motion:
    """Leave the cabinet, the drawer or the desk for the space above, whatever is held."""
    if hand.sight.tcp[1] > 0.0:
        yield from hand.shift((0, 0, max(0.0, 0.50 - hand.sight.tcp[2])), speed=0.01, patience=4)
        yield from hand.move((np.nan, -0.10, max(hand.sight.tcp[2], 0.55)), speed=0.015, patience=6)
    if hand.sight.tcp[2] < HOVER_M - 0.05:
        yield from hand.move((np.nan, np.nan, HOVER_M), speed=0.015, patience=6)


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


def held_colour(hand: Hand) -> str:
    """Which block is in the hand, or nearest to it."""
    held = hand.sight.held()
    near = min(hand.sight.blocks.values(), key=lambda b: float(np.linalg.norm(b.position - hand.sight.tcp)))
    return (held or near).colour


def free_spot(hand: Hand, spots: list[tuple[float, float]], z: float) -> tuple[float, float]:
    """The first spot with no other block near, or the freest."""
    held = hand.sight.held()
    others = [b.position for b in hand.sight.blocks.values() if b is not held and abs(b.position[2] - z) < 0.06]

    def room(spot: tuple[float, float]) -> float:
        return min((float(np.hypot(spot[0] - p[0], spot[1] - p[1])) for p in others), default=1.0)

    return next((spot for spot in spots if room(spot) > 0.075), max(spots, key=room))


def lies_on_desk(block: Block) -> bool:
    """Whether it lies on the desk itself, in front of the cabinet."""
    return bool(abs(block.position[2] - TABLE_Z) < 0.03 and block.position[1] < 0.04)
