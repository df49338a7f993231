"""Textures from nothing: patterns in drawn colours, uint8 `[H, W, 3]`. They tile: a repeated texture has no seam."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["PATTERNS", "colours", "pattern", "smooth_noise"]

Picture = NDArray[np.uint8]
Share = NDArray[np.float32]


def colours(rng: np.random.Generator) -> NDArray[np.float32]:
    """Two colours float32 `[2, 3]`, 0 … 255, that are told apart by hue or by brightness."""
    hue, other, saturation, value = rng.random(4)
    first = colorsys.hsv_to_rgb(hue, 0.25 + 0.45 * saturation, 0.45 + 0.45 * value)
    apart = (hue + 0.25 + 0.5 * other) % 1.0
    second = colorsys.hsv_to_rgb(apart, 0.25 + 0.45 * (1 - saturation), 0.45 + 0.45 * (1 - value))
    return 255 * np.array([first, second], np.float32)


def pattern(kind: str, height: int, width: int, rng: np.random.Generator) -> Picture:
    """A pattern in two colours.

    Args:
        kind: one of `PATTERNS`.
        height: of the texture, pixels.
        width: of the texture, pixels.
        rng: of this texture.
    """
    pair = colours(rng)
    share = PATTERNS[kind](height, width, rng)[..., None]
    return np.rint(pair[0] + share * (pair[1] - pair[0])).astype(np.uint8)


def smooth_noise(height: int, width: int, cells: int, rng: np.random.Generator) -> Share:
    """Random heights between grid points, float32 `[height, width]`, 0 … 1; its edges fit together.

    Args:
        height: in pixels.
        width: in pixels.
        cells: grid cells along each side.
        rng: draws the `cells × cells` heights of the grid points.
    """
    grid = rng.random((cells, cells), dtype=np.float32)
    rows, columns = _stations(height, cells), _stations(width, cells)
    grid = grid[rows[0]] + rows[2][:, None] * (grid[rows[1]] - grid[rows[0]])
    smooth: Share = grid[:, columns[0]] + columns[2] * (grid[:, columns[1]] - grid[:, columns[0]])
    return smooth


def _stations(size: int, cells: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Share]:
    """For each pixel the grid points before and after it, and how far it is between them."""
    at = np.arange(size, dtype=np.float32) * np.float32(cells / size)
    before = at.astype(np.intp) % cells
    share = at - np.floor(at)
    return before, (before + 1) % cells, share * share * (3 - 2 * share)


def _checks(height: int, width: int, rng: np.random.Generator) -> Share:
    n = 2 * int(rng.integers(2, 5))
    return ((_cells(height, n)[:, None] + _cells(width, n)) % 2).astype(np.float32)


def _stripes(height: int, width: int, rng: np.random.Generator) -> Share:
    n, slope = 2 * int(rng.integers(3, 7)), int(rng.integers(-1, 2))
    across = np.arange(width) * n / width + slope * (np.arange(height) * n / height)[:, None]
    return (np.floor(across) % 2).astype(np.float32)


def _dots(height: int, width: int, rng: np.random.Generator) -> Share:
    n, radius = int(rng.integers(4, 9)), 0.25 + 0.15 * float(rng.random())
    y, x = (np.arange(size) * n / size % 1 - 0.5 for size in (height, width))
    return (np.hypot(y[:, None], x) < radius).astype(np.float32)


def _bricks(height: int, width: int, rng: np.random.Generator) -> Share:
    n = 2 * int(rng.integers(2, 5))
    row = np.arange(height) * 2 * n / height
    column = np.arange(width) * n / width + 0.5 * (np.floor(row) % 2)[:, None]
    return ((row % 1 < 0.12)[:, None] | (column % 1 < 0.06)).astype(np.float32)


def _clouds(height: int, width: int, rng: np.random.Generator) -> Share:
    octaves = [smooth_noise(height, width, 4 << octave, rng) / (1 << octave) for octave in range(4)]
    clouds: Share = np.clip(1.5 * np.sum(octaves, axis=0, dtype=np.float32) / np.float32(1.875) - 0.25, 0, 1)
    return clouds


def _cells(size: int, n: int) -> NDArray[np.intp]:
    return (np.arange(size) * n // size).astype(np.intp)


PATTERNS: Final[dict[str, Callable[[int, int, np.random.Generator], Share]]] = {
    "checks": _checks,
    "stripes": _stripes,
    "dots": _dots,
    "bricks": _bricks,
    "clouds": _clouds,
}
"""Kind → share of the second colour at each pixel."""
