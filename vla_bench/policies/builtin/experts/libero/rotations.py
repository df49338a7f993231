"""Rotation matrices for hands that point down: the few formulas that the LIBERO expert needs."""

from __future__ import annotations

from math import atan2, cos, sin
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DOWN",
    "Matrix",
    "Vector",
    "about",
    "from_quat",
    "heading",
    "leaning",
    "rotation_vector",
    "turn_between",
    "turned",
]

Vector: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = NDArray[np.float64]

_UP: Final[Vector] = np.array([0.0, 0.0, 1.0])
DOWN: Final[Matrix] = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
"""The hand at home: pointing down, closing along the world's y axis."""


def from_quat(quat_wxyz: Vector) -> Matrix:
    """The rotation matrix `[3, 3]` of a unit quaternion `[4]` w, x, y, z."""
    w, x, y, z = quat_wxyz / np.linalg.norm(quat_wxyz)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def about(axis: Vector, angle: float) -> Matrix:
    """The rotation by `angle` rad about a unit axis of the world (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + sin(angle) * cross + (1 - cos(angle)) * (cross @ cross))


def turned(yaw: float) -> Matrix:
    """A hand that points down, turned by `yaw` rad about the world's z axis from home."""
    return about(_UP, yaw) @ DOWN


def leaning(outwards: Vector, tilt: float) -> Matrix:
    """A hand that closes across a horizontal direction and leans back along it by `tilt` rad from pointing down."""
    across = np.cross(_UP, outwards)
    return about(across, tilt) @ turned(heading(across))


def heading(direction: Vector) -> float:
    """The yaw, within −72° and 108°, at which a hand that points down closes along a horizontal direction.

    The range is where the last joint, at 45° of ±166° at home, has room on both sides.
    """
    yaw = atan2(direction[1], direction[0]) - np.pi / 2
    return float((yaw + 0.4 * np.pi) % np.pi - 0.4 * np.pi)


def rotation_vector(rotation: Matrix) -> Vector:
    """Axis times angle of a rotation matrix, rad; the angle lies within [0, π]."""
    twice_sine = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    sine, cosine = np.linalg.norm(twice_sine) / 2, (np.trace(rotation) - 1) / 2
    angle = atan2(sine, cosine)
    if sine > 1e-6:
        return np.asarray(twice_sine / (2 * sine) * angle)
    if cosine > 0:
        return np.zeros(3)
    # Half a turn: the axis is the column of (R + I) that is farthest from zero.
    column = (rotation + np.eye(3))[:, int(np.argmax(np.diag(rotation)))]
    return np.asarray(column / np.linalg.norm(column) * angle)


def turn_between(start: Matrix, end: Matrix) -> Vector:
    """The rotation vector, in the world, that takes a hand from one rotation to another: the shorter way round, rad.

    Nearly half a turn goes the way on which the last joint does not meet its stop.
    """
    vector = rotation_vector(end @ start.T)
    angle = float(np.linalg.norm(vector))
    if angle > 2.2 and vector[2] * (_yaw(end) - _yaw(start)) < 0:
        return vector * (1 - 2 * np.pi / angle)
    return vector


def _yaw(rotation: Matrix) -> float:
    """The yaw of a hand that points more or less down, within −126° and 234°: the seam is behind the stops."""
    yaw = atan2(rotation[1, 0], rotation[0, 0]) - np.pi / 2
    return float((yaw + 0.7 * np.pi) % (2 * np.pi) - 0.7 * np.pi)
