"""Draws balls in NumPy, orthographically, with depth: no GL library, equal bits everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ball", "Picture", "draw"]


@dataclass(frozen=True, slots=True)
class Ball:
    """A ball as a camera sees it, metres.

    Attributes:
        right, up, away: its centre seen from the middle of the picture; `away` from the camera.
        radius: its size.
        colour: red, green, blue, each 0..255.
    """

    right: float
    up: float
    away: float
    radius: float
    colour: tuple[int, int, int]


class Picture(NamedTuple):
    """`image`: uint8 `[H, W, 3]`, upright RGB. `depth`: float32 `[H, W]`, metres."""

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]


def draw(balls: Sequence[Ball], *, height: int, width: int, extent_m: float, background_m: float) -> Picture:
    """Draw balls before a background that is brighter at the top.

    Args:
        balls: in any order; the nearer one hides the farther one.
        height: of the picture, pixels.
        width: of the picture, pixels.
        extent_m: half the height of what is seen.
        background_m: distance of the background.
    """
    up = extent_m * (1 - (2 * np.arange(height) + 1) / height)[:, None]
    right = extent_m * ((2 * np.arange(width) + 1) / width - 1)[None, :] * (width / height)
    grey = np.broadcast_to(170 + 50 * up / extent_m, (height, width))
    image = np.repeat(grey[:, :, None], 3, axis=2)
    depth = np.full((height, width), background_m)
    for ball in balls:
        bulge = ball.radius**2 - (right - ball.right) ** 2 - (up - ball.up) ** 2
        front = ball.away - np.sqrt(np.maximum(bulge, 0))
        is_seen = (bulge > 0) & (front < depth)
        depth[is_seen] = front[is_seen]
        # Darker towards the rim, so that it looks round.
        light = 0.5 + 0.5 * np.sqrt(bulge[is_seen]) / ball.radius
        image[is_seen] = light[:, None] * ball.colour
    return Picture(image=image.astype(np.uint8), depth=depth.astype(np.float32))
