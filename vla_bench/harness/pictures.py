"""From the suite's picture to the policy's: crop, resize, JPEG, orientation, in this order.

These decide scores: every knob is in `EvalSettings` and so in the eval hash.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vla_bench.spec.bind import CameraBinding
from vla_bench.spec.convert import to_upright_rgb
from vla_bench.spec.settings import EvalSettings, Resize

__all__ = ["picture_for_policy"]


def picture_for_policy(image: NDArray[np.uint8], camera: CameraBinding, settings: EvalSettings) -> NDArray[np.uint8]:
    """Bring one picture to what the policy asked for.

    Args:
        image: uint8 `[H, W, 3]`, upright RGB, as the suite rendered it.
        camera: size and convention that the policy wants.
        settings: crop, resize, JPEG quality.

    Returns:
        uint8 `[camera.height, camera.width, 3]`; the very array where nothing has to be done.
    """
    if settings.crop < 1.0:
        image = _cropped(image, settings.crop)
    if image.shape[:2] != (camera.height, camera.width):
        image = _resized(image, camera, keep_aspect=settings.resize is Resize.PAD)
    if settings.jpeg_quality:
        image = _through_jpeg(image, settings.jpeg_quality)
    return to_upright_rgb(image, camera.convention)


def _cropped(image: NDArray[np.uint8], side: float) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    new_height, new_width = max(1, round(side * height)), max(1, round(side * width))
    top, left = (height - new_height) // 2, (width - new_width) // 2
    return image[top : top + new_height, left : left + new_width]


def _resized(image: NDArray[np.uint8], camera: CameraBinding, *, keep_aspect: bool) -> NDArray[np.uint8]:
    """Bilinear with Pillow's antialiasing."""
    picture = Image.fromarray(image)
    size = (camera.width, camera.height)
    if not keep_aspect:
        return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    # Rounded exactly as openpi's client rounds: policies are trained on these very borders.
    ratio = max(picture.width / size[0], picture.height / size[1])
    inner = (max(1, int(picture.width / ratio)), max(1, int(picture.height / ratio)))
    canvas = Image.new("RGB", size)
    canvas.paste(
        picture.resize(inner, Image.Resampling.BILINEAR), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    )
    return np.asarray(canvas)


def _through_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
