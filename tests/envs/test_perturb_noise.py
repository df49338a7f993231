"""Sensor noise: a frame's own, whatever was drawn before it; stronger level by level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.envs.perturb import LEVELS, NOISE_KINDS, Dimension, add_noise, generator, noise_kind, strengths

RNG = np.random.default_rng(3)
# Smooth and structured, as pictures are: blur changes nothing in pure noise.
PICTURE = np.repeat(np.repeat(RNG.integers(0, 256, (8, 12, 3), dtype=np.uint8), 12, axis=0), 12, axis=1)


def noisy(kind: str, level: int, *key: str | int) -> np.ndarray:
    return add_noise(PICTURE, kind, strengths(Dimension.NOISE, level).strength, generator(1000, "task", *key))


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_noise_grows_with_the_level_and_leaves_its_input_alone(kind: str):
    before = PICTURE.copy()
    pictures = [noisy(kind, level, "front", 7) for level in LEVELS]
    assert np.array_equal(PICTURE, before)
    assert {(p.shape, p.dtype) for p in pictures} == {(PICTURE.shape, PICTURE.dtype)}
    off = [np.abs(picture.astype(int) - PICTURE).mean() for picture in pictures]
    assert off == sorted(off)
    assert 0 < off[0] < off[4]


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_a_frame_has_its_own_noise_whatever_was_drawn_before(kind: str):
    alone = noisy(kind, 3, "front", 8)
    for step in range(8):
        noisy(kind, 3, "front", step)
    assert np.array_equal(noisy(kind, 3, "front", 8), alone)
    assert not np.array_equal(noisy(kind, 3, "front", 9), alone)
    assert not np.array_equal(noisy(kind, 3, "wrist", 8), alone)


def test_five_trials_have_one_of_each_kind():
    assert {noise_kind(seed) for seed in range(1000, 1005)} == set(NOISE_KINDS)


@given(
    height=st.integers(4, 40),
    width=st.integers(4, 40),
    kind=st.sampled_from(NOISE_KINDS),
    level=st.sampled_from(LEVELS),
)
def test_any_size_works_and_one_colour_stays_in_range(height: int, width: int, kind: str, level: int):
    for value in (0, 255):
        picture = np.full((height, width, 3), value, np.uint8)
        found = add_noise(picture, kind, strengths(Dimension.NOISE, level).strength, generator(0, kind))
        assert found.shape == picture.shape
        if kind in ("motion", "zoom", "glass"):
            # They move pixels and mix them: nothing new can come in.
            assert np.array_equal(found, picture)


def test_generators_depend_on_all_of_their_names():
    draws = {generator(*key).integers(1 << 60) for key in [(1, "a"), (1, "b"), (2, "a"), (1, "a", 1), (1, "a1")]}
    assert len(draws) == 5
