"""Where LIBERO-Plus puts the camera `agentview`.

Every task of LIBERO-Plus passes through this, a neutral view too: upstream rounds to four decimals at each stage, so
that its camera stands 0.1 mm off LIBERO's own in every task.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["view_pose"]

_PIVOT: Final = np.array([0.0, 0.0, 0.8])
_Y, _Z = (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)

Vector = NDArray[np.float64]


def view_pose(
    position: Sequence[float], quat_wxyz: Sequence[float], view: Sequence[int]
) -> tuple[list[float], list[float]]:
    """Move a camera as upstream does.

    Args:
        position: of LIBERO's camera in the world, metres.
        quat_wxyz: its orientation.
        view: angle about the world's z axis and about the y axis through the pivot (0, 0, 0.8), degrees; distance from
            the pivot, percent; angles about z and y by which the camera is turned in place, degrees.

    Returns:
        Position and orientation, each number rounded to four decimals; the orientation is not a unit quaternion.
    """
    horizontal, vertical, scale, rotation, tilt = view
    place, turn = np.asarray(position, np.float64), np.asarray(quat_wxyz, np.float64)
    if vertical != 0:
        about_y = _rotation(_Y, -vertical)
        place = _rounded(_rotated(place - _PIVOT, about_y) + _PIVOT)
        turn = _rounded(_product(about_y, turn))
    about_z = _rotation(_Z, horizontal)
    place = _rounded(_rotated(place, about_z))
    turn = _rounded(_product(about_z, turn))
    if scale != 100:
        place = _rounded(_PIVOT + (place - _PIVOT) * (scale / 100))
    if rotation != 0:
        turn = _rounded(_product(_rotation(_Z, rotation), turn))
    if tilt != 0:
        turn = _rounded(_product(_rotation(_Y, -tilt), turn))
    return place.tolist(), turn.tolist()


def _rotation(axis: Sequence[float], degrees: int) -> Vector:
    """Unit quaternion w x y z."""
    half = math.radians(degrees) / 2
    return np.array([math.cos(half), *(math.sin(half) * part for part in axis)])


def _product(left: Vector, right: Vector) -> Vector:
    """Hamilton product of a unit quaternion and one that is normalised here."""
    w, x, y, z = left
    a, b, c, d = right / math.sqrt(float(np.dot(right, right)))
    return np.array(
        [
            w * a - x * b - y * c - z * d,
            w * b + x * a + y * d - z * c,
            w * c - x * d + y * a + z * b,
            w * d + x * c - y * b + z * a,
        ]
    )


def _rotated(vector: Vector, turn: Vector) -> Vector:
    w, axis = turn[0], turn[1:]
    return vector + 2 * np.cross(axis, np.cross(axis, vector) + w * vector)


def _rounded(values: Vector) -> Vector:
    return np.array([round(float(value), 4) for value in values])
