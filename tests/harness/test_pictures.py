"""What the policy sees is what the settings say, pixel for pixel."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from vla_bench.harness.pictures import picture_for_policy
from vla_bench.spec.bind import CameraBinding
from vla_bench.spec.conventions import ColourOrder, ImageConvention, Orientation
from vla_bench.spec.settings import EvalSettings, Resize

Picture = NDArray[np.uint8]


def noise(height: int, width: int) -> Picture:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def seen(image: Picture, height: int, width: int, convention: ImageConvention | None = None, **knobs: Any) -> Picture:
    camera = CameraBinding(name="front", height=height, width=width, convention=convention or ImageConvention())
    return picture_for_policy(image, camera, EvalSettings(**knobs))


def test_a_picture_of_the_right_size_passes_as_it_is() -> None:
    image = noise(48, 64)
    assert seen(image, 48, 64) is image


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    wanted=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    resize=st.sampled_from([Resize.STRETCH, Resize.PAD]),
    crop=st.sampled_from([1.0, 0.9, 0.5, 0.01]),
    jpeg=st.sampled_from([0, 1, 95]),
    orientation=st.sampled_from(Orientation),
)
def test_every_picture_has_the_size_that_was_asked_for(
    size: tuple[int, int], wanted: tuple[int, int], resize: Resize, crop: float, jpeg: int, orientation: Orientation
) -> None:
    convention = ImageConvention(orientation=orientation, colour_order=ColourOrder.BGR)
    image = noise(*size)
    before = image.copy()
    picture = seen(image, *wanted, convention, resize=resize, crop=crop, jpeg_quality=jpeg)
    assert (picture.shape, picture.dtype) == ((*wanted, 3), np.uint8)
    assert picture.flags.c_contiguous
    assert np.array_equal(image, before)


def test_stretching_is_pillows_bilinear_filter() -> None:
    image = noise(48, 64)
    expected = np.asarray(Image.fromarray(image).resize((20, 30), Image.Resampling.BILINEAR))
    assert np.array_equal(seen(image, 30, 20, resize="stretch"), expected)


@pytest.mark.parametrize(
    ("size", "wanted", "inner", "corner"),
    [
        ((48, 64), (32, 32), (24, 32), (4, 0)),
        ((64, 48), (32, 32), (32, 24), (0, 4)),
        ((64, 64), (32, 32), (32, 32), (0, 0)),
        ((480, 640), (224, 224), (168, 224), (28, 0)),
        ((720, 1280), (224, 224), (126, 224), (49, 0)),
        ((10, 10), (21, 30), (21, 21), (0, 4)),
        ((100, 1), (8, 8), (8, 1), (0, 3)),
    ],
)
def test_padding_keeps_the_aspect_ratio_inside_black_borders(
    size: tuple[int, int], wanted: tuple[int, int], inner: tuple[int, int], corner: tuple[int, int]
) -> None:
    image = np.maximum(noise(*size), 1)
    picture = seen(image, *wanted, resize="pad")
    (top, left), (height, width) = corner, inner
    shown = picture[top : top + height, left : left + width]
    expected = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    assert np.array_equal(shown, expected)
    black = picture.copy()
    black[top : top + height, left : left + width] = 0
    assert not black.any()


@pytest.mark.parametrize("size", [(256, 256), (480, 640), (128, 128), (512, 512), (240, 320), (720, 1280)])
@pytest.mark.parametrize("side", [224, 256, 384])
def test_no_usual_size_leaves_a_border_that_it_need_not(size: tuple[int, int], side: int) -> None:
    picture = seen(np.full((*size, 3), 9, np.uint8), side, side, resize="pad")
    assert picture[:, [0, -1]].any(axis=(1, 2)).sum() == picture.any(axis=(1, 2)).sum()
    assert picture.any(axis=(0, 2)).all()


@pytest.mark.parametrize(("crop", "rows", "columns"), [(0.5, (12, 36), (16, 48)), (0.9, (2, 45), (3, 61))])
def test_a_crop_is_centred_and_fills_the_picture(crop: float, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    image = noise(48, 64)
    part = image[slice(*rows), slice(*columns)]
    expected = np.asarray(Image.fromarray(part).resize((64, 48), Image.Resampling.BILINEAR))
    assert np.array_equal(seen(image, 48, 64, crop=crop), expected)


def test_a_crop_that_has_the_wanted_size_is_not_resized() -> None:
    image = noise(48, 64)
    assert np.array_equal(seen(image, 24, 32, crop=0.5), image[12:36, 16:48])


def test_jpeg_comes_after_the_resize() -> None:
    image = noise(48, 64)
    buffer = io.BytesIO()
    Image.fromarray(image).resize((32, 24), Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=80)
    assert np.array_equal(seen(image, 24, 32, resize="stretch", jpeg_quality=80), np.asarray(Image.open(buffer)))


def test_a_better_jpeg_is_nearer_to_the_picture() -> None:
    image = np.asarray(Image.fromarray(noise(6, 8)).resize((64, 48), Image.Resampling.BICUBIC))
    errors = [np.abs(seen(image, 48, 64, jpeg_quality=q).astype(int) - image).mean() for q in (10, 50, 95)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1] > 0


@pytest.mark.parametrize("orientation", Orientation)
@pytest.mark.parametrize("order", ColourOrder)
def test_the_policys_convention_comes_last(orientation: Orientation, order: ColourOrder) -> None:
    """JPEG works in blocks from the upper left corner: turning before it would give other pixels."""
    image = noise(20, 30)
    convention = ImageConvention(orientation=orientation, colour_order=order)
    upright = seen(image, 20, 30, jpeg_quality=50)
    picture = seen(image, 20, 30, convention, jpeg_quality=50)
    rows = slice(None, None, 1 if orientation is Orientation.UPRIGHT else -1)
    columns = slice(None, None, -1 if orientation is Orientation.ROTATED_180 else 1)
    channels = slice(None, None, -1 if order is ColourOrder.BGR else 1)
    assert np.array_equal(picture, upright[rows, columns, channels])
