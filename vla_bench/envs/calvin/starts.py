"""From a symbolic initial state to the numbers that put robot and scene there (mees/calvin @ fa03f01).

The seed of a start is a 32-bit FNV-1 hash over the UTF-16 text of the state's printed values, begun at 0: what
upstream's hash library does, and not what the literature calls FNV-1 over UTF-8.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.calvin.scenes import COLOURS, Scene, scene
from vla_bench.envs.calvin.symbols import KEYS, State

__all__ = ["ROBOT_START", "hash_text", "scene_start", "seed_of"]

ROBOT_START: Final = (
    0.02586889, -0.2313129, 0.5712808, 3.09045411, -0.02908596, 1.50013585, 0.07999963, -1.21779124, 1.03987629,
    2.11978254, -2.34205014, -0.87015899, 1.64119093, 0.55344928, 1.0,
)  # fmt: skip
"""The `robot_obs` that every chain starts from."""

_SLIDER: Final = {
    "slider_left": (-0.240851662, 0.0924044687, 0.460990009),
    "slider_right": (0.070341633, 0.0924044687, 0.460990009),
}
_TABLE: Final = ((0.0500000896, -0.120000177, 0.459990009), (0.229995412, -0.11999514, 0.45999001))
_YAW: Final = (math.pi / 2 - math.pi / 8, math.pi / 2 + math.pi / 8)
# Ours, for subtasks alone: a block between the open fingers of the start, which close on it while it settles; one above
# the open drawer; one on another.
_HELD: Final = (0.0259, -0.2313, 0.5713, 0.0, 0.0, math.pi / 2)
_DRAWER: Final = (0.18, -0.28, 0.38)
_BLOCK_HEIGHT_M: Final = 0.04
_SLIDE_LEFT_M: Final = 0.28
_DRAWER_OPEN_M: Final = 0.22
_SWITCH_ON_M: Final = 0.088
_FNV_PRIME: Final = 0x01000193


def hash_text(text: str) -> int:
    """FNV-1, 32 bits, over the UTF-16 little-endian bytes of `text`, begun at 0."""
    value = 0
    for byte in text.encode("utf-16-le"):
        value = (value * _FNV_PRIME) & 0xFFFFFFFF ^ byte
    return value


def seed_of(state: State) -> int:
    """The seed of a state's start pose, `0 <= seed < 2**32`."""
    return hash_text(f"dict_values({[state[key] for key in KEYS]!r})")


def scene_start(state: State, where: Scene | None = None) -> NDArray[np.float64]:
    """The `scene_obs` that a chain starts from.

    Args:
        state: one of `initial_states()`; or one that tasks lead to from there, for subtasks alone.
        where: scene D where left out; the blocks come in the scene's own order.

    Returns:
        float64 `[24]`.
    """
    where = where or scene("D")
    random = np.random.RandomState(seed_of(state))
    slots = list(_TABLE)
    random.shuffle(slots)
    yaws, spots = {}, {}
    for colour, slot in zip(COLOURS, _slots(state), strict=True):
        # Drawn for blocks in the cabinet as well.
        yaws[colour] = random.uniform(*_YAW)
        spots[colour] = slots[slot]
    poses = {colour: _pose(state, colour, spots, yaws[colour]) for colour in COLOURS}
    joints = (
        _SLIDE_LEFT_M if state["slider"] == "left" else 0.0,
        _DRAWER_OPEN_M if state["drawer"] == "open" else 0.0,
        0.0,
        _SWITCH_ON_M if state["lightbulb"] else 0.0,
    )
    blocks = (poses[block.colour] for block in where.blocks)
    return np.array([*joints, state["lightbulb"], state["led"], *(value for pose in blocks for value in pose)], float)


def _slots(state: State) -> tuple[int, int, int]:
    """Which slot of the table red, blue and pink take where they lie there."""
    return 0, int(state["red_block"] == "table"), 1


def _pose(state: State, colour: str, spots: Mapping[str, tuple[float, float, float]], yaw: float) -> tuple[float, ...]:
    """Position and Euler angles of a block."""
    place = str(state[f"{colour}_block"])
    if place == "grasped":
        return _HELD
    if place == "stacked_top":
        below = next(other for other in COLOURS if state[f"{other}_block"] == "stacked_bottom")
        x, y, z = spots[below]
        return x, y, z + _BLOCK_HEIGHT_M, 0.0, 0.0, yaw
    position = _SLIDER.get(place) or (_DRAWER if place == "drawer" else spots[colour])
    return *position, 0.0, 0.0, yaw
