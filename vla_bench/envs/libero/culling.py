"""Which parts of a scene can be seen at all: boxes against the pyramid that a camera sees, and against a mirror's.

Everything here errs to the side of seeing: a box that is left out cannot have a single pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Boxes", "View", "mirrored"]

Array = NDArray[np.float64]

_MARGIN_M = 0.002
_COVER_MARGIN_M, _COVER_MARGIN = 0.005, 0.005  # about a pixel at any distance, and more than the depth buffer's grain
_MARGIN_NDC = 0.02  # about two pixels of 256


@dataclass(frozen=True, slots=True)
class Boxes:
    """Oriented boxes around things: centre `[n, 3]`, three half axes as rows `[n, 3, 3]`, metres in the world."""

    centre: Array
    half_axes: Array

    def touch(self, planes: Array) -> NDArray[np.bool_]:
        """Which boxes are not wholly outside any of the half spaces `[p, 4]` (normal inwards, offset)."""
        distance = self.centre @ planes[:, :3].T + planes[:, 3]
        reach = np.abs(self.half_axes @ planes[:, :3].T).sum(axis=1)
        touching: NDArray[np.bool_] = (distance + reach > -_MARGIN_M).all(axis=1)
        return touching

    def behind(self, eye: Array, centre: Array, half_axes: Sequence[Array]) -> NDArray[np.bool_]:
        """Which boxes are wholly covered, as seen by the eye, by one side of an opaque box.

        Args:
            eye: `[3]`.
            centre: of the covering box, `[3]`.
            half_axes: of the covering box, the first across the side that is meant, the one towards the eye.
        """
        out, *across = half_axes
        if (eye - centre) @ out < 0:
            out = -out
        side = centre + out
        if (eye - side) @ out <= _MARGIN_M:
            return np.zeros(len(self.centre), np.bool_)
        planes = [_half_space(-out, side)]
        for along, other in (across, across[::-1]):
            for sign in (-1.0, 1.0):
                normal = np.cross(side + sign * along - eye, other)
                planes.append(_half_space(normal if (side - eye) @ normal > 0 else -normal, eye))
        distance = self.centre @ np.array(planes)[:, :3].T + np.array(planes)[:, 3]
        reach = np.abs(self.half_axes @ np.array(planes)[:, :3].T).sum(axis=1)
        margin = _COVER_MARGIN_M + _COVER_MARGIN * np.linalg.norm(self.centre - eye, axis=1)
        covered: NDArray[np.bool_] = (distance - reach > margin[:, None]).all(axis=1)
        return covered


def _half_space(normal: Array, point: Array) -> Array:
    unit = normal / np.linalg.norm(normal)
    return np.append(unit, -unit @ point)


@dataclass(frozen=True, slots=True)
class View:
    """A camera's pyramid: eye, right, up, forward, and the slopes of its sides at distance 1."""

    eye: Array
    right: Array
    up: Array
    forward: Array
    slope_x: float
    slope_y: float
    near: float

    def planes(self, window: tuple[float, float, float, float] = (-1.0, 1.0, -1.0, 1.0)) -> Array:
        """Half spaces `[5, 4]` of what is seen through a window (left, right, bottom, top; 1 is the picture's edge)."""
        left, right, bottom, top = window
        normals = np.stack(
            [
                self.forward,
                self.right - left * self.slope_x * self.forward,
                right * self.slope_x * self.forward - self.right,
                self.up - bottom * self.slope_y * self.forward,
                top * self.slope_y * self.forward - self.up,
            ]
        )
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return np.column_stack([normals, -normals @ self.eye])

    def window_of(self, corners: Array) -> tuple[float, float, float, float] | None:
        """The window around a surface with these corners `[k, 3]`; the whole picture where some are behind the eye.

        Returns:
            None where the surface lies outside the picture.
        """
        offset = corners - self.eye
        depth = offset @ self.forward
        if (depth < self.near).any():
            return None if (depth < 0).all() else (-1.0, 1.0, -1.0, 1.0)
        x, y = offset @ self.right / (depth * self.slope_x), offset @ self.up / (depth * self.slope_y)
        window = (
            max(-1.0, float(x.min()) - _MARGIN_NDC),
            min(1.0, float(x.max()) + _MARGIN_NDC),
            max(-1.0, float(y.min()) - _MARGIN_NDC),
            min(1.0, float(y.max()) + _MARGIN_NDC),
        )
        return window if window[0] < window[1] and window[2] < window[3] else None


def mirrored(boxes: Boxes, point: Array, normal: Array) -> Boxes:
    """The boxes as a plane through `point` mirrors them."""
    reflection = np.eye(3) - 2.0 * np.outer(normal, normal)
    return Boxes((boxes.centre - point) @ reflection + point, boxes.half_axes @ reflection)
