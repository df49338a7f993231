"""Lifting, turning, moving and setting down blocks."""

from __future__ import annotations

import numpy as np

from vla_bench.policies.builtin.experts.calvin.hand import DOWN_YAW, SLOW_M, Hand, Motion
from vla_bench.policies.builtin.experts.calvin.taking import (
    REACH_IN,
    TABLE_Z,
    free_spot,
    held_colour,
    leave,
    lies_on_desk,
    reach_in,
    retake,
    take,
)

__all__ = ["lift", "lift_from_slider", "place_in_drawer", "place_in_slider", "push", "push_into_drawer", "rotate"]

_DROP_M = 0.012
"""A block that falls so far lies when the fingers have left it, and still as it was held."""


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


def place_in_slider(hand: Hand) -> Motion:
    """Put the held block into the open half of the cabinet."""
    colour = held_colour(hand)
    while True:
        yield from retake(hand, colour)
        middle = -0.24 if hand.sight.slide < 0.14 else 0.07
        x = free_spot(hand, [(middle + dx, 0.09) for dx in (0.0, 0.06, -0.06)], 0.46)[0]
        yield from hand.move((x, -0.10, 0.60), yaw=DOWN_YAW, pitch=REACH_IN)
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
        goal = free_spot(hand, [(x + far * way, row) for far in (0.125, 0.16, 0.20) for row in rows], TABLE_Z)
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
