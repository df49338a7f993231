"""Sensor noise on finished pictures: five kinds, whole arrays at a time, NumPy alone. No simulator.

Every frame's generator is keyed by the episode's seed, the step and the camera. A picture is the same whether it is the
only one drawn or one of all, which upstream's global stream cannot promise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.perturb.levels import NOISE_KINDS
from vla_bench.envs.perturb.patterns import smooth_noise

__all__ = ["add_noise", "noise_kind"]

Picture = NDArray[np.uint8]

_ZOOMS: Final = 16
"""Pictures that are averaged; an even number of bits so that the mean is a shift."""
_FOG: Final = np.float32(225.0)
"""Grey of the fog, of 255."""


def noise_kind(env_seed: int) -> str:
    """The kind of an episode's noise."""
    return NOISE_KINDS[env_seed % len(NOISE_KINDS)]


def add_noise(picture: Picture, kind: str, strength: Mapping[str, float], rng: np.random.Generator) -> Picture:
    """Disturb one picture.

    Args:
        picture: uint8 `[H, W, 3]`; left as it is.
        kind: one of `NOISE_KINDS`.
        strength: the noise row of a level, of which `kind` takes its own number.
        rng: of this frame.

    Returns:
        Another uint8 `[H, W, 3]`.
    """
    function, name = _KINDS[kind]
    return function(picture, strength[name], rng)


def _gaussian(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    noise *= np.float32(sigma)
    noise += picture
    return np.clip(np.rint(noise, out=noise), 0, 255, out=noise).astype(np.uint8)


def _motion(picture: Picture, length: float, rng: np.random.Generator) -> Picture:
    """The mean of copies along a straight path; the picture's edge stands for what lies outside."""
    pixels = max(length * picture.shape[1], 1.0)
    angle = rng.uniform(0, np.pi)
    at = np.linspace(-pixels / 2, pixels / 2, int(np.ceil(pixels)) + 1)
    rows, columns = (np.rint(at * part).astype(np.intp) for part in (np.sin(angle), np.cos(angle)))
    return _mean_of_shifts(picture, list(zip(rows.tolist(), columns.tolist(), strict=True)))


def _mean_of_shifts(picture: Picture, shifts: list[tuple[int, int]]) -> Picture:
    margin = max(max(abs(row), abs(column)) for row, column in shifts)
    padded = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    height, width = picture.shape[:2]
    total = np.zeros(picture.shape, np.uint32)
    for row, column in shifts:
        total += padded[margin + row : margin + row + height, margin + column : margin + column + width]
    total += len(shifts) // 2
    return (total // len(shifts)).astype(np.uint8)


def _zoom(picture: Picture, factor: float, rng: np.random.Generator) -> Picture:
    """The mean of pictures zoomed in step by step, round a point near the middle."""
    height, width = picture.shape[:2]
    y, x = (size * (0.5 + 0.1 * (rng.random() - 0.5)) for size in (height, width))
    total = np.zeros(picture.shape, np.uint32)
    for zoom in np.linspace(1.0, factor, _ZOOMS):
        rows = np.floor(y + (np.arange(height) + 0.5 - y) / zoom).astype(np.intp)
        columns = np.floor(x + (np.arange(width) + 0.5 - x) / zoom).astype(np.intp)
        total += picture[rows].take(columns, axis=1)
    total += _ZOOMS // 2
    return (total // _ZOOMS).astype(np.uint8)


def _fog(picture: Picture, density: float, rng: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    octaves = [smooth_noise(height, width, 2 << octave, rng) / (1 << octave) for octave in range(5)]
    cloud = np.sum(octaves, axis=0, dtype=np.float32)
    cloud -= cloud.min()
    cloud /= max(float(cloud.max()), 1e-6)
    # Nowhere is the air clear: a third of the fog is everywhere.
    share = np.float32(density) * (np.float32(1 / 3) + np.float32(2 / 3) * cloud)[..., None]
    return np.rint(picture + share * (_FOG - picture)).astype(np.uint8)


def _glass(picture: Picture, radius: float, rng: np.random.Generator) -> Picture:
    """Each pixel comes from a random place nearby; a small blur joins them again."""
    height, width = picture.shape[:2]
    reach = max(round(radius * width), 1)
    throw = rng.integers(-reach, reach + 1, (2, height, width), dtype=np.int16)
    rows = np.clip(np.arange(height)[:, None] + throw[0], 0, height - 1)
    columns = np.clip(np.arange(width) + throw[1], 0, width - 1)
    return _mean_of_shifts(picture[rows, columns], [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)])


_KINDS: Final[dict[str, tuple[Callable[[Picture, float, np.random.Generator], Picture], str]]] = {
    "gaussian": (_gaussian, "gaussian_sigma"),
    "motion": (_motion, "motion_length"),
    "zoom": (_zoom, "zoom_factor"),
    "fog": (_fog, "fog_density"),
    "glass": (_glass, "glass_radius"),
}
"""Kind → function and the name of its strength."""
