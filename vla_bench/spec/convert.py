"""Converters between conventions: rotations, grippers, pictures. Pure NumPy, any leading batch dimensions.

Every rotation goes through its matrix. Formulas: Shuster 1993, "A survey of attitude representations"; the
6-number form is Zhou et al. 2019 (arXiv 1812.07035).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vla_bench.spec.conventions import ColourOrder, Gripper, ImageConvention, Orientation, Rotation, rotation_size

__all__ = ["convert_gripper", "convert_rotation", "rotation_from_matrix", "rotation_to_matrix", "to_upright_rgb"]

Float = NDArray[np.float64]

_SMALL_ANGLE = 1e-8
"""Below this many radians an axis is not defined by its angle: the first-order series is used."""


def convert_rotation(values: NDArray[np.floating], source: Rotation, target: Rotation) -> Float:
    """Rewrite rotations `[..., n]` from one form into another.

    Quaternions come out with a non-negative real part, axis-angles with an angle in [0, π], Euler angles with the
    middle one in [-π/2, π/2]. Equal forms are passed through untouched: code that relies on an unnormalised
    axis-angle gets it as it is.

    Raises:
        ValueError: wrong length, a zero quaternion, or one side has no rotation and the other has.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape[-1] != rotation_size(source):
        raise ValueError(f"{source.value} has {rotation_size(source)} numbers, got {array.shape[-1]}")
    if source is target:
        return array
    return rotation_from_matrix(rotation_to_matrix(array, source), target)


def rotation_to_matrix(values: NDArray[np.floating], source: Rotation) -> Float:
    """Rotation matrices `[..., 3, 3]` of rotations `[..., n]` in the given form.

    Raises:
        ValueError: a quaternion of norm 0, two parallel columns in `rot6d`, or `none`.
    """
    array = np.asarray(values, dtype=np.float64)
    match source:
        case Rotation.AXIS_ANGLE:
            return _matrix_of_axis_angle(array)
        case Rotation.QUAT_WXYZ:
            return _matrix_of_quat(array)
        case Rotation.QUAT_XYZW:
            return _matrix_of_quat(np.roll(array, 1, axis=-1))
        case Rotation.EULER_XYZ:
            return _matrix_of_euler(array)
        case Rotation.ROT6D:
            return _matrix_of_6d(array)
        case Rotation.NONE:
            raise ValueError("there is no rotation to convert")


def rotation_from_matrix(matrix: NDArray[np.floating], target: Rotation) -> Float:
    """Rotations `[..., n]` in the given form of rotation matrices `[..., 3, 3]`.

    Raises:
        ValueError: the target is `none`.
    """
    m = np.asarray(matrix, dtype=np.float64)
    match target:
        case Rotation.QUAT_WXYZ:
            return _quat_of_matrix(m)
        case Rotation.QUAT_XYZW:
            return np.roll(_quat_of_matrix(m), -1, axis=-1)
        case Rotation.AXIS_ANGLE:
            return _axis_angle_of_quat(_quat_of_matrix(m))
        case Rotation.EULER_XYZ:
            return _euler_of_matrix(m)
        case Rotation.ROT6D:
            return np.concatenate([m[..., :, 0], m[..., :, 1]], axis=-1)
        case Rotation.NONE:
            raise ValueError("there is no rotation to convert")


def convert_gripper(values: NDArray[np.floating], source: Gripper, target: Gripper) -> Float:
    """Rewrite gripper numbers of any shape; linear, so that half open stays half open.

    Raises:
        ValueError: one side has no gripper and the other has.
    """
    array = np.asarray(values, dtype=np.float64)
    if source is target:
        return array
    if Gripper.NONE in (source, target):
        raise ValueError(f"no gripper conversion from {source.value!r} to {target.value!r}")
    openness = {  # in [-1, 1], +1 is open
        Gripper.PLUS_OPENS: array,
        Gripper.PLUS_CLOSES: -array,
        Gripper.ZERO_ONE_OPEN: 2.0 * array - 1.0,
    }[source]
    match target:
        case Gripper.PLUS_OPENS:
            return openness
        case Gripper.PLUS_CLOSES:
            return -openness
        case _:
            return (openness + 1.0) / 2.0


def to_upright_rgb(image: NDArray[np.uint8], convention: ImageConvention) -> NDArray[np.uint8]:
    """Turn a picture `[H, W, 3]` of the given convention into upright RGB, and an upright RGB one into the convention.

    Each of these changes is its own inverse. The result is contiguous; an upright RGB picture is returned as it is.
    """
    turned = image
    if convention.orientation is Orientation.ROTATED_180:
        turned = turned[::-1, ::-1]
    elif convention.orientation is Orientation.FLIPPED_VERTICALLY:
        turned = turned[::-1]
    if convention.colour_order is ColourOrder.BGR:
        turned = turned[..., ::-1]
    return np.ascontiguousarray(turned)


def _matrix_of_axis_angle(rotvec: Float) -> Float:
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    safe = np.where(angle < _SMALL_ANGLE, 1.0, angle)
    half = angle / 2.0
    # sin(half)/angle tends to 1/2, which keeps tiny rotations exact to first order.
    scale = np.where(angle < _SMALL_ANGLE, 0.5, np.sin(half) / safe)
    return _matrix_of_quat(np.concatenate([np.cos(half), rotvec * scale], axis=-1))


def _matrix_of_quat(quat_wxyz: Float) -> Float:
    norm = np.linalg.norm(quat_wxyz, axis=-1, keepdims=True)
    if not np.all(norm > 0):
        raise ValueError("a quaternion of norm 0 is no rotation")
    w, x, y, z = np.moveaxis(quat_wxyz / norm, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _matrix_of_euler(angles: Float) -> Float:
    """Extrinsic x, then y, then z: `Rz @ Ry @ Rx`."""
    (cx, cy, cz), (sx, sy, sz) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _matrix_of_6d(values: Float) -> Float:
    """Gram-Schmidt on the first two columns."""
    a, b = values[..., :3], values[..., 3:]
    first = _unit(a)
    second = _unit(b - np.sum(first * b, axis=-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def _unit(vector: Float) -> Float:
    norm = np.linalg.norm(vector, axis=-1, keepdims=True)
    if not np.all(norm > 1e-9):
        raise ValueError("a rot6d with a zero or parallel column is no rotation")
    unit: Float = vector / norm
    return unit


def _quat_of_matrix(m: Float) -> Float:
    """The largest of the four squared components is divided by, so that no case loses precision (Shepperd 1978)."""
    diagonal = np.stack([m[..., i, i] for i in range(3)], axis=-1)
    trace = diagonal.sum(axis=-1)
    squares = np.concatenate([trace[..., None], diagonal], axis=-1)
    largest = np.argmax(squares, axis=-1)
    yz, zx, xy = m[..., 2, 1], m[..., 0, 2], m[..., 1, 0]
    zy, xz, yx = m[..., 1, 2], m[..., 2, 0], m[..., 0, 1]
    candidates = np.stack(
        [
            np.stack([1 + trace, yz - zy, zx - xz, xy - yx], axis=-1),
            np.stack([yz - zy, 1 + 2 * diagonal[..., 0] - trace, xy + yx, zx + xz], axis=-1),
            np.stack([zx - xz, xy + yx, 1 + 2 * diagonal[..., 1] - trace, yz + zy], axis=-1),
            np.stack([xy - yx, zx + xz, yz + zy, 1 + 2 * diagonal[..., 2] - trace], axis=-1),
        ],
        axis=-2,
    )
    quat = np.take_along_axis(candidates, largest[..., None, None], axis=-2)[..., 0, :]
    quat = quat / np.linalg.norm(quat, axis=-1, keepdims=True)
    result: Float = np.where(quat[..., :1] < 0, -quat, quat)
    return result


def _axis_angle_of_quat(quat_wxyz: Float) -> Float:
    vector = quat_wxyz[..., 1:]
    sine = np.linalg.norm(vector, axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, quat_wxyz[..., :1])
    scale = np.where(sine < _SMALL_ANGLE, 2.0, angle / np.where(sine < _SMALL_ANGLE, 1.0, sine))
    rotvec: Float = vector * scale
    return rotvec


def _euler_of_matrix(m: Float) -> Float:
    cosine_y = np.hypot(m[..., 0, 0], m[..., 1, 0])
    # At the poles x and z turn about one axis: all of it is given to x. Near them z is ill-conditioned, and x is taken
    # from what is left once that very z is undone, so that together they are exact.
    z = np.where(cosine_y < 1e-14, 0.0, np.arctan2(m[..., 1, 0], m[..., 0, 0]))
    cz, sz = np.cos(z), np.sin(z)
    x = np.arctan2(sz * m[..., 0, 2] - cz * m[..., 1, 2], cz * m[..., 1, 1] - sz * m[..., 0, 1])
    return np.stack([x, np.arctan2(-m[..., 2, 0], cosine_y), z], axis=-1)
