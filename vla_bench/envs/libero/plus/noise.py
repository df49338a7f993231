"""The fifty picture noises of LIBERO-Plus, pixel for pixel upstream's, drawing from a generator that is handed in.

Upstream takes motion blur from ImageMagick and the Gaussian from scikit-image; both are few lines of arithmetic, so
that no system library is needed. What looks odd here (constants of other picture sizes, a swap that is none) is
upstream's, and decides the pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["add_noise", "draw_noise"]

Image = NDArray[np.uint8]

_MOTION = ((5, 2), (8, 3), (10, 4), (12, 5), (15, 6), (18, 8), (20, 10), (25, 12), (30, 15), (35, 20))
"""Radius and standard deviation, pixels."""
_ZOOM = (
    (1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03),
    (1.36, 0.01), (1.41, 0.01), (1.46, 0.02), (1.51, 0.02), (1.56, 0.03),
)  # fmt: skip
"""End and step of the factors, from 1."""
_FOG = (
    (0.5, 3.0), (1.0, 2.8), (1.5, 2.5), (2.0, 2.2), (2.5, 2.0),
    (3.0, 1.8), (3.5, 1.6), (4.0, 1.5), (4.5, 1.4), (5.0, 1.3),
)  # fmt: skip
"""Thickness, and how fast the fractal's roughness decays."""
_FOG_SIZE = 256
_GLASS = (
    (0.5, 1, 3), (0.7, 1, 3), (0.9, 2, 3), (1.0, 2, 2), (1.1, 3, 2),
    (1.3, 3, 2), (1.5, 4, 2), (1.8, 4, 2), (2.2, 5, 1), (2.5, 5, 1),
)  # fmt: skip
"""Standard deviation of the blur, reach of the displacement, rounds."""
_GLASS_SIZE = 224
"""Upstream displaces the pixels of a 224 picture, whatever the size of the picture."""


def draw_noise(noise: int, generator: np.random.RandomState) -> Any:
    """Draw what one frame's noise needs, exactly as much as upstream draws for it.

    Args:
        noise: 1–50: motion blur, Gaussian blur, zoom blur, fog, glass blur, ten severities each.
        generator: of upstream's kind; for upstream's own stream, in its state.

    Returns:
        For `add_noise`; None where nothing is random.
    """
    kind, severity = divmod(noise - 1, 10)
    if kind == 0:
        return generator.uniform(-45, 45)
    if kind == 3:
        return _plasma(_FOG[severity][1], generator)
    if kind == 4:
        _, reach, rounds = _GLASS[severity]
        n_places = len(_displaced(reach)) ** 2
        return [generator.randint(-reach, reach, size=(n_places, 2)) for _ in range(rounds)]
    return None


def add_noise(image: Image, noise: int, drawn: Any) -> Image:
    """Apply one noise.

    Args:
        image: uint8 `[H, W, 3]`, as the simulator returns it (lowest row first); 256 by 256 pixels, or less for fog.
        noise: 1–50.
        drawn: what `draw_noise` drew for it.

    Returns:
        A new picture of the same shape.
    """
    kind, severity = divmod(noise - 1, 10)
    if kind == 0:
        return _motion_blur(image, *_MOTION[severity], drawn)
    if kind == 1:
        return _as_picture(np.clip(_blurred(image / 255.0, severity + 1), 0, 1))
    if kind == 2:
        return _zoom_blur(image, *_ZOOM[severity])
    if kind == 3:
        return _fog(image, _FOG[severity][0], drawn)
    return _glass_blur(image, _GLASS[severity][0], _GLASS[severity][1], drawn)


def _as_picture(values: NDArray[Any]) -> Image:
    picture: Image = (values * 255).astype(np.uint8)
    return picture


def _motion_blur(image: Image, radius: int, sigma: float, degrees: float) -> Image:
    """ImageMagick 6's motion blur (16 bits per channel) in a direction of ±45 degrees."""
    angle = math.radians(degrees)
    n = 2 * radius + 1
    weights = [math.exp(-(i * i) / (2.0 * sigma * sigma)) / (math.sqrt(2.0 * math.pi) * sigma) for i in range(n)]
    total = sum(weights)
    height, width = image.shape[:2]
    quanta = np.pad(image.astype(np.float64) * 257, ((n, n), (n, n), (0, 0)), mode="edge")
    blurred = np.zeros(image.shape)
    part = np.empty_like(blurred)
    step_x, step_y = n * math.cos(angle), n * math.sin(angle)
    length = math.hypot(step_y, step_x)
    for i, weight in enumerate(weights):
        x, y = n + math.ceil(i * step_x / length - 0.5), n + math.ceil(i * step_y / length - 0.5)
        blurred += np.multiply(quanta[y : y + height, x : x + width], weight / total, out=part)
    return ((blurred + 0.5).astype(np.uint32) // 257).astype(np.uint8)


def _blurred(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """scikit-image's `gaussian` over the two axes of the picture."""
    from scipy import ndimage

    found: NDArray[np.float64] = ndimage.gaussian_filter(values, (sigma, sigma, 0), mode="nearest", truncate=4.0)
    return found


def _zoom_blur(image: Image, end: float, step: float) -> Image:
    values = (image / 255.0).astype(np.float32)
    out = np.zeros_like(values)
    factors = np.arange(1, end, step)
    for factor in factors:
        out += _zoomed(values, factor)
    return _as_picture(np.clip((values + out) / (len(factors) + 1), 0, 1))


def _zoomed(values: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """The middle of the picture, enlarged to the picture's size."""
    from scipy import ndimage

    height = values.shape[0]
    side = int(np.ceil(height / float(factor)))
    top = (height - side) // 2
    middle = values[top : top + side, top : top + side]
    large: NDArray[np.float32] = ndimage.zoom(middle, (factor, factor, 1), order=1)
    trim = (large.shape[0] - height) // 2
    return large[trim : trim + height, trim : trim + height]


def _fog(image: Image, thickness: float, plasma: NDArray[np.float64]) -> Image:
    values = image / 255.0
    brightest = values.max()
    height, width = image.shape[:2]
    values = values + thickness * plasma[:height, :width, np.newaxis]
    return _as_picture(np.clip(values * brightest / (brightest + thickness), 0, 1))


def _plasma(decay: float, generator: np.random.RandomState) -> NDArray[np.float64]:
    """A plasma fractal by the diamond-square algorithm on a torus, from 0 to 1."""
    size = _FOG_SIZE
    plasma = np.zeros((size, size))
    wibble = 100.0

    def wibbled(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return sums / 4 + wibble * generator.uniform(-wibble, wibble, sums.shape)

    step = size
    while step >= 2:
        half = step // 2
        corners = plasma[::step, ::step]
        squares = corners + np.roll(corners, -1, axis=0)
        squares = squares + np.roll(squares, -1, axis=1)
        plasma[half::step, half::step] = wibbled(squares)
        centres = plasma[half::step, half::step]
        above_and_below = centres + np.roll(centres, 1, axis=0)
        left_and_right = corners + np.roll(corners, -1, axis=1)
        plasma[::step, half::step] = wibbled(above_and_below + left_and_right)
        beside = centres + np.roll(centres, 1, axis=1)
        over_and_under = corners + np.roll(corners, -1, axis=0)
        plasma[half::step, ::step] = wibbled(beside + over_and_under)
        step = half
        wibble /= decay
    plasma -= plasma.min()
    return plasma / plasma.max()


def _glass_blur(image: Image, sigma: float, reach: int, drawn: list[NDArray[np.int64]]) -> Image:
    values = np.uint8(_blurred(image / 255.0, sigma) * 255)
    height, width = image.shape[:2]
    # Upstream means to swap two pixels, and copies one over the other: through views, the first assignment has already
    # overwritten what the second one reads. So it is enough to follow where each pixel comes from.
    sources = list(range(height * width))
    places = [h * width + w for h in _displaced(reach) for w in _displaced(reach)]
    for shifts in drawn:
        offsets = (shifts[:, 1] * width + shifts[:, 0]).tolist()
        for place, offset in zip(places, offsets, strict=True):
            sources[place] = sources[place + offset]
    displaced = values.reshape(-1, 3)[sources].reshape(image.shape)
    return _as_picture(np.clip(_blurred(displaced / 255.0, sigma), 0, 1))


def _displaced(reach: int) -> range:
    """Rows, and columns, that are displaced, in upstream's order."""
    return range(_GLASS_SIZE - reach, reach, -1)
