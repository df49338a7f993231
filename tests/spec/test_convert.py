"""Converters agree with SciPy, undo one another, and keep their promises where angles are near 0, π and the poles."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation as Reference

from vla_bench.spec.conventions import ColourOrder, Gripper, ImageConvention, Orientation, Rotation, rotation_size
from vla_bench.spec.convert import (
    convert_gripper,
    convert_rotation,
    rotation_from_matrix,
    rotation_to_matrix,
    to_upright_rgb,
)

Float = NDArray[np.float64]
FORMS = [rotation for rotation in Rotation if rotation is not Rotation.NONE]
PAIRS = list(product(FORMS, FORMS))
EXACT = 1e-12

UNIT = st.floats(-1, 1, width=64)
AXES = st.tuples(UNIT, UNIT, UNIT).filter(lambda axis: np.linalg.norm(axis) > 1e-3)
# Where series and square roots go wrong: near no turn at all, and near half a turn.
NEAR = st.floats(0, 1e-5) | st.sampled_from([0.0, 1e-300, 1e-12, 0.99e-8, 1.01e-8, 1e-7])
ANGLES = st.floats(0, np.pi) | NEAR | NEAR.map(lambda angle: np.pi - angle)
TURNS = st.builds(
    lambda axis, angle: Reference.from_rotvec(np.array(axis) / np.linalg.norm(axis) * angle), AXES, ANGLES
)
POLES = st.builds(
    lambda x, side, away, z: Reference.from_euler("xyz", [x, side * (np.pi / 2 - away), z]),
    st.floats(-3, 3),
    st.sampled_from([-1, 1]),
    st.sampled_from([0.0, 1e-15, 1e-12, 1e-9, 1e-7, 1.4e-6, 1e-5, 1e-3]),
    st.floats(-3, 3),
)


def written(turn: Reference, form: Rotation) -> Float:
    """A rotation as SciPy writes it."""
    match form:
        case Rotation.AXIS_ANGLE:
            return np.asarray(turn.as_rotvec())
        case Rotation.QUAT_XYZW:
            return np.asarray(turn.as_quat())
        case Rotation.QUAT_WXYZ:
            return np.roll(turn.as_quat(), 1)
        case Rotation.EULER_XYZ:
            y = np.arctan2(-turn.as_matrix()[2, 0], np.hypot(*turn.as_matrix()[:2, 0]))
            if abs(y) > np.pi / 2 - 1e-5:  # SciPy warns there
                return convert_rotation(turn.as_rotvec(), Rotation.AXIS_ANGLE, form)
            return np.asarray(turn.as_euler("xyz"))
        case _:
            return np.concatenate(turn.as_matrix()[:, :2].T)


def same_turn(values: Float, form: Rotation, turn: Reference) -> bool:
    return bool(np.allclose(rotation_to_matrix(values, form), turn.as_matrix(), rtol=0, atol=EXACT))


@pytest.mark.parametrize("form", FORMS)
@given(turn=TURNS)
def test_the_matrix_of_a_form_is_scipys(form: Rotation, turn: Reference) -> None:
    assert same_turn(written(turn, form), form, turn)


def test_euler_angles_are_extrinsic_x_then_y_then_z() -> None:
    angles = np.array([0.3, -0.7, 1.9])
    assert same_turn(angles, Rotation.EULER_XYZ, Reference.from_euler("xyz", angles))
    assert not same_turn(angles, Rotation.EULER_XYZ, Reference.from_euler("XYZ", angles))


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(turn=TURNS | POLES)
@example(turn=Reference.identity())
@example(turn=Reference.from_rotvec([np.pi, 0, 0]))
@example(turn=Reference.from_rotvec([0, -np.pi, 0]))
@example(turn=Reference.from_quat([0.5, 0.5, 0.5, 0.5]))
def test_a_rotation_stays_the_same_there_and_back(source: Rotation, target: Rotation, turn: Reference) -> None:
    there = convert_rotation(written(turn, source), source, target)
    assert there.shape == (rotation_size(target),)
    assert same_turn(there, target, turn)
    assert same_turn(convert_rotation(there, target, source), source, turn)


@given(POLES)
def test_euler_angles_are_exact_at_and_near_the_poles(turn: Reference) -> None:
    angles = convert_rotation(turn.as_rotvec(), Rotation.AXIS_ANGLE, Rotation.EULER_XYZ)
    assert same_turn(angles, Rotation.EULER_XYZ, turn)


@given(TURNS | POLES)
def test_results_lie_where_they_are_promised(turn: Reference) -> None:
    matrix = turn.as_matrix()
    assert rotation_from_matrix(matrix, Rotation.QUAT_WXYZ)[0] >= 0
    assert rotation_from_matrix(matrix, Rotation.QUAT_XYZW)[3] >= 0
    for form in (Rotation.QUAT_WXYZ, Rotation.QUAT_XYZW):
        assert np.linalg.norm(rotation_from_matrix(matrix, form)) == pytest.approx(1, abs=EXACT)
    assert np.linalg.norm(rotation_from_matrix(matrix, Rotation.AXIS_ANGLE)) <= np.pi + EXACT
    assert abs(rotation_from_matrix(matrix, Rotation.EULER_XYZ)[1]) <= np.pi / 2


@given(AXES, st.floats(1e-300, 1e-6))
def test_tiny_rotations_keep_their_size(axis: tuple[float, float, float], angle: float) -> None:
    """Delta actions are often tiny: none may be rounded to no turn at all on its way through a quaternion."""
    rotvec = np.array(axis) / np.linalg.norm(axis) * angle
    quat = convert_rotation(rotvec, Rotation.AXIS_ANGLE, Rotation.QUAT_WXYZ)
    assert quat[1:] == pytest.approx(rotvec / 2, rel=1e-6, abs=1e-16)
    euler = convert_rotation(rotvec, Rotation.AXIS_ANGLE, Rotation.EULER_XYZ)
    assert euler == pytest.approx(rotvec, rel=1e-5, abs=1e-12)


@given(arrays(np.float64, 6, elements=st.floats(-10, 10)))
def test_six_numbers_that_are_no_columns_are_made_into_columns(values: Float) -> None:
    if np.linalg.norm(np.cross(values[:3], values[3:])) < 1e-3 or np.linalg.norm(values[:3]) < 1e-3:
        return
    matrix = rotation_to_matrix(values, Rotation.ROT6D)
    assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert np.dot(matrix[:, 0], values[:3]) == pytest.approx(np.linalg.norm(values[:3]))


@given(TURNS, st.floats(1e-3, 1e3), st.sampled_from([-1, 1]))
def test_the_length_and_the_sign_of_a_quaternion_do_not_matter(turn: Reference, length: float, sign: int) -> None:
    assert same_turn(turn.as_quat() * length * sign, Rotation.QUAT_XYZW, turn)


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (0,), (2, 3)])
def test_any_leading_dimensions_are_kept(source: Rotation, target: Rotation, shape: tuple[int, ...]) -> None:
    turns = Reference.random(int(np.prod(shape)), random_state=1) if 0 not in shape else None
    rows = [written(turn, source) for turn in turns] if turns is not None else []
    values = np.array(rows).reshape(*shape, rotation_size(source))
    converted = convert_rotation(values, source, target)
    assert converted.shape == (*shape, rotation_size(target))
    for index in np.ndindex(*shape):
        assert converted[index] == pytest.approx(convert_rotation(values[index], source, target))


@given(arrays(np.float64, 3, elements=st.floats(-100, 100)))
def test_equal_forms_pass_untouched(values: Float) -> None:
    for form in (Rotation.AXIS_ANGLE, Rotation.EULER_XYZ):
        assert convert_rotation(values, form, form).tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("values", "source"),
    [
        ([0.0, 0, 0, 0], Rotation.QUAT_WXYZ),
        ([[1.0, 0, 0, 0], [0, 0, 0, 0]], Rotation.QUAT_XYZW),
        ([0.0, 0, 0, 0, 1, 0], Rotation.ROT6D),
        ([1.0, 2, 3, 2, 4, 6], Rotation.ROT6D),
        ([1.0, 2, 3, 4], Rotation.AXIS_ANGLE),
        ([1.0, 2, 3], Rotation.QUAT_WXYZ),
        ([], Rotation.NONE),
    ],
)
def test_what_is_no_rotation_is_refused(values: list[float], source: Rotation) -> None:
    with pytest.raises(ValueError, match=r"no rotation|has \d numbers"):
        convert_rotation(np.array(values), source, Rotation.EULER_XYZ)


def test_no_rotation_is_only_equal_to_itself() -> None:
    assert convert_rotation(np.zeros((2, 0)), Rotation.NONE, Rotation.NONE).shape == (2, 0)
    with pytest.raises(ValueError, match="no rotation"):
        convert_rotation(np.zeros(3), Rotation.AXIS_ANGLE, Rotation.NONE)


GRIPPERS = [gripper for gripper in Gripper if gripper is not Gripper.NONE]


@pytest.mark.parametrize(
    ("gripper", "opened", "half", "closed"),
    [(Gripper.PLUS_OPENS, 1, 0, -1), (Gripper.PLUS_CLOSES, -1, 0, 1), (Gripper.ZERO_ONE_OPEN, 1, 0.5, 0)],
)
def test_open_half_and_closed_mean_the_same_everywhere(
    gripper: Gripper, opened: float, half: float, closed: float
) -> None:
    values = np.array([opened, half, closed])
    assert convert_gripper(values, gripper, Gripper.PLUS_OPENS).tolist() == [1, 0, -1]
    assert convert_gripper(values, gripper, Gripper.PLUS_CLOSES).tolist() == [-1, 0, 1]
    assert convert_gripper(values, gripper, Gripper.ZERO_ONE_OPEN).tolist() == [1, 0.5, 0]


@pytest.mark.parametrize(("source", "target"), list(product(GRIPPERS, GRIPPERS)))
@given(values=arrays(np.float64, array_shapes(max_dims=3), elements=st.floats(-1, 1)))
def test_grippers_go_there_and_back(source: Gripper, target: Gripper, values: Float) -> None:
    there = convert_gripper(values, source, target)
    assert there.shape == values.shape
    assert convert_gripper(there, target, source) == pytest.approx(values, abs=1e-15)


@pytest.mark.parametrize("other", GRIPPERS)
def test_no_gripper_is_only_equal_to_itself(other: Gripper) -> None:
    assert convert_gripper(np.zeros((2, 0)), Gripper.NONE, Gripper.NONE).shape == (2, 0)
    for pair in ((Gripper.NONE, other), (other, Gripper.NONE)):
        with pytest.raises(ValueError, match="no gripper conversion"):
            convert_gripper(np.zeros(1), *pair)


CONVENTIONS = [ImageConvention(orientation=o, colour_order=c) for o, c in product(Orientation, ColourOrder)]
PICTURES = arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3)))


@pytest.mark.parametrize("convention", CONVENTIONS, ids=str)
@given(image=PICTURES)
def test_turning_a_picture_twice_gives_it_back(convention: ImageConvention, image: NDArray[np.uint8]) -> None:
    before = image.copy()
    turned = to_upright_rgb(image, convention)
    assert turned.flags.c_contiguous
    assert (turned.dtype, turned.shape) == (image.dtype, image.shape)
    assert np.array_equal(to_upright_rgb(turned, convention), image)
    assert np.array_equal(image, before)


def test_an_upright_rgb_picture_is_not_copied() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    assert to_upright_rgb(image, ImageConvention()) is image


def test_pictures_are_turned_as_their_names_say() -> None:
    corner = np.zeros((2, 3, 3), np.uint8)
    corner[0, 0] = (1, 2, 3)  # the upper left
    upside_down = to_upright_rgb(corner, ImageConvention(orientation=Orientation.ROTATED_180))
    assert upside_down[1, 2].tolist() == [1, 2, 3]
    mirrored = to_upright_rgb(corner, ImageConvention(orientation=Orientation.FLIPPED_VERTICALLY))
    assert mirrored[1, 0].tolist() == [1, 2, 3]
    assert to_upright_rgb(corner, ImageConvention(colour_order=ColourOrder.BGR))[0, 0].tolist() == [3, 2, 1]
