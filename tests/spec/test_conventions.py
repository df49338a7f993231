"""Conventions are checked values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vla_bench.spec.canonical import canonical_json
from vla_bench.spec.conventions import (
    ActionConvention,
    ColourOrder,
    Frame,
    Gripper,
    ImageConvention,
    Orientation,
    Reference,
    Rotation,
    rotation_size,
)


@pytest.mark.parametrize(
    ("rotation", "gripper", "n_entries"),
    [
        (Rotation.NONE, Gripper.NONE, 3),
        (Rotation.NONE, Gripper.PLUS_CLOSES, 4),
        (Rotation.AXIS_ANGLE, Gripper.PLUS_OPENS, 7),
        (Rotation.EULER_XYZ, Gripper.NONE, 6),
        (Rotation.QUAT_WXYZ, Gripper.ZERO_ONE_OPEN, 8),
        (Rotation.QUAT_XYZW, Gripper.NONE, 7),
        (Rotation.ROT6D, Gripper.PLUS_OPENS, 10),
    ],
)
def test_the_length_of_an_action_follows_from_its_parts(rotation: Rotation, gripper: Gripper, n_entries: int) -> None:
    assert ActionConvention(rotation=rotation, gripper=gripper).n_entries == n_entries
    assert n_entries == 3 + rotation_size(rotation) + (gripper is not Gripper.NONE)


def test_a_named_convention_has_the_length_that_it_says() -> None:
    assert ActionConvention(name="joint targets", size=9).n_entries == 9


@pytest.mark.parametrize(
    "bad",
    [
        {"position_unit_m": 0},
        {"position_unit_m": -0.01},
        {"position_unit_m": float("nan")},
        {"rotation_unit_rad": 0},
        {"rotation_unit_rad": float("inf")},
        {"low": 1.0, "high": 1.0},
        {"low": 1.0, "high": -1.0},
        {"low": float("nan")},
        {"low": float("-inf")},
        {"high": float("inf")},
        {"name": "joints"},
        {"size": 7},
        {"name": "joints", "size": -7},
        {"rotation": "quaternion"},
        {"frame": "camera"},
        {"reference": "relative"},
        {"gripper": "open"},
    ],
    ids=repr,
)
def test_what_means_nothing_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ActionConvention(**bad)


def test_conventions_are_read_from_text() -> None:
    read = ActionConvention(rotation="euler_xyz", frame="base", reference="absolute", gripper="0..1 open")  # type: ignore[arg-type]
    assert (read.rotation, read.frame) == (Rotation.EULER_XYZ, Frame.BASE)
    assert (read.reference, read.gripper) == (Reference.ABSOLUTE, Gripper.ZERO_ONE_OPEN)
    image = ImageConvention(orientation="rotated_180", colour_order="bgr")  # type: ignore[arg-type]
    assert image == ImageConvention(orientation=Orientation.ROTATED_180, colour_order=ColourOrder.BGR)
    with pytest.raises(ValueError, match="sideways"):
        ImageConvention(orientation="sideways")  # type: ignore[arg-type]


def test_whole_numbers_make_the_same_convention() -> None:
    whole, real = ActionConvention(position_unit_m=1, low=-1, high=1), ActionConvention()
    assert canonical_json(whole) == canonical_json(real)
    assert canonical_json(replace(whole, high=2)) == canonical_json(replace(real, high=2.0))
