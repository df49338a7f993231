"""Drawer, slider, button and switch. Places are those of scene D."""

from __future__ import annotations

import numpy as np

from vla_bench.policies.builtin.experts.calvin.hand import DOWN_YAW, Hand, Motion

__all__ = ["close_drawer", "move_slider", "open_drawer", "press_button", "turn_off_bulb", "turn_on_bulb"]

HOVER_M = 0.60
"""Height at which nothing on the desk is in the way."""
_BAR_Y, _BAR_Z, _DRAWER_X = -0.25, 0.36, 0.18
_HANDLE = (0.04, 0.01, 0.57)
_BUTTON = (-0.12, -0.12)
_SWITCH_X = 0.30


def press_button(hand: Hand) -> Motion:
    """Press the button and let go."""
    yield from hand.close(2)
    yield from hand.move((*_BUTTON, 0.54), yaw=DOWN_YAW, pitch=0.0)
    while True:
        yield from hand.move((*_BUTTON, 0.46), speed=0.012, patience=4)
        yield from hand.move((*_BUTTON, 0.54), patience=2)


def turn_on_bulb(hand: Hand) -> Motion:
    """Push the switch up its slope."""
    while True:
        yield from hand.close(2)
        yield from hand.move((_SWITCH_X, -0.08, 0.57), yaw=DOWN_YAW, pitch=0.0)
        yield from hand.move((_SWITCH_X, -0.06, 0.515))
        yield from hand.move((_SWITCH_X, 0.06, 0.545), speed=0.01)
        yield from hand.move((_SWITCH_X, 0.10, 0.62), speed=0.01)
        yield from hand.move((_SWITCH_X, -0.08, 0.62))


def turn_off_bulb(hand: Hand) -> Motion:
    """Push the switch down its slope, the hand tilted: a vertical one does not reach behind it."""
    while True:
        yield from hand.close(2)
        yield from hand.move((0.28, -0.05, 0.66), yaw=DOWN_YAW, pitch=-0.9)
        yield from hand.move((0.28, 0.075, 0.66))
        yield from hand.move((0.28, 0.02, 0.54), speed=0.006)
        yield from hand.move((0.28, -0.08, 0.62))


def open_drawer(hand: Hand) -> Motion:
    """Reach behind the bar from above and pull."""
    while True:
        yield from hand.close(2)
        behind = _BAR_Y + 0.04 - hand.sight.drawer
        yield from hand.move((_DRAWER_X, behind, 0.50), yaw=DOWN_YAW, pitch=0.0)
        yield from hand.move((_DRAWER_X, behind, _BAR_Z))
        yield from hand.move((_DRAWER_X, -0.47, _BAR_Z))
        yield from hand.move((_DRAWER_X, np.nan, 0.55))


def close_drawer(hand: Hand) -> Motion:
    """Push the bar from the front."""
    while True:
        yield from hand.close(2)
        front = _BAR_Y - 0.07 - hand.sight.drawer
        yield from hand.move((_DRAWER_X, front, 0.50), yaw=DOWN_YAW, pitch=0.0)
        yield from hand.move((_DRAWER_X, front, _BAR_Z))
        yield from hand.move((_DRAWER_X, -0.27, _BAR_Z), speed=0.015)
        yield from hand.move((_DRAWER_X, front, 0.55))


def move_slider(hand: Hand, *, to_left: bool) -> Motion:
    """Push the door by its handle."""
    side = 1.0 if to_left else -1.0
    while True:
        yield from hand.close(2)
        x, y, z = _HANDLE
        begin = x - hand.sight.slide + 0.06 * side
        yield from hand.move((begin, -0.10, 0.60), yaw=DOWN_YAW, pitch=0.0)
        yield from hand.move((begin, y, z))
        yield from hand.move((begin - 0.33 * side, y, z), speed=0.015)
        yield from hand.move((np.nan, -0.10, 0.62))
