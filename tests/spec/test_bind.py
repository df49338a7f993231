"""A policy and a suite are joined without a silent change of meaning, or refused with every reason at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation as Reference

from tests.spec.small import ACTION, small_policy, small_suite
from vla_bench.spec.bind import Binding, bind
from vla_bench.spec.conventions import ActionConvention, Frame, Gripper, ImageConvention, Orientation, Rotation
from vla_bench.spec.conventions import Reference as Pose
from vla_bench.spec.errors import ConventionMismatch
from vla_bench.spec.messages import CameraRequest, PolicyInfo, PolicyKind
from vla_bench.spec.settings import EvalSettings, Resize
from vla_bench.spec.suite import Suite

CHUNKS = arrays(np.float32, st.tuples(st.integers(1, 4), st.just(7)), elements=st.floats(-3, 3, width=32))


def joined(
    policy: PolicyInfo | None = None, suite: Suite | None = None, settings: EvalSettings | None = None
) -> Binding:
    return bind(policy or small_policy(), suite or small_suite(), settings or EvalSettings())


def between(policy: ActionConvention, suite: ActionConvention) -> Binding:
    return joined(small_policy(action=policy), small_suite(action=suite))


def refusal(policy: PolicyInfo | None = None, suite: Suite | None = None, settings: EvalSettings | None = None) -> str:
    with pytest.raises(ConventionMismatch) as caught:
        joined(policy, suite, settings)
    return str(caught.value)


def test_a_binding_says_what_the_env_gives_and_the_policy_gets() -> None:
    binding = joined(small_policy(state={"gripper": 1, "hand": 3}, history=(-2,)))
    assert [(camera.name, camera.height, camera.width) for camera in binding.cameras] == [("front", 48, 64)]
    assert binding.state_keys == ("gripper", "hand")
    assert binding.history == (-2,)
    assert binding.chunk_length == 4
    assert (binding.wants_depth, binding.wants_privileged) == (False, False)
    assert binding.policy_action == binding.suite_action == ACTION


def test_a_policy_that_adapts_gets_the_suites_convention() -> None:
    assert joined(small_policy(action=None)).policy_action == ACTION


# Actions.


@given(CHUNKS)
def test_equal_conventions_pass_bit_for_bit(actions: NDArray[np.float32]) -> None:
    assert joined().to_suite_actions(actions) is actions


@given(CHUNKS)
def test_conventions_that_differ_in_bounds_alone_pass_bit_for_bit(actions: NDArray[np.float32]) -> None:
    converted = between(replace(ACTION, low=-0.5, high=0.5), ACTION).to_suite_actions(actions)
    assert converted.dtype == np.float32
    assert np.array_equal(converted, actions)


@given(CHUNKS)
def test_units_of_length_are_scaled(actions: NDArray[np.float32]) -> None:
    """The policy speaks in metres, one unit of the suite is a centimetre."""
    converted = between(ACTION, replace(ACTION, position_unit_m=0.01)).to_suite_actions(actions)
    assert converted[:, :3] == pytest.approx(actions[:, :3] * np.float64(100), rel=1e-6)
    assert np.array_equal(converted[:, 3:], actions[:, 3:])
    back = between(replace(ACTION, position_unit_m=0.01), ACTION).to_suite_actions(converted)
    assert back == pytest.approx(actions, rel=1e-6)


@given(CHUNKS)
def test_units_of_angle_are_scaled(actions: NDArray[np.float32]) -> None:
    converted = between(ACTION, replace(ACTION, rotation_unit_rad=0.5)).to_suite_actions(actions)
    assert converted[:, 3:6] == pytest.approx(actions[:, 3:6] * 2.0, rel=1e-6)
    assert np.array_equal(converted[:, [0, 1, 2, 6]], actions[:, [0, 1, 2, 6]])


@given(CHUNKS)
def test_euler_angles_become_an_axis_angle_and_the_gripper_turns_round(actions: NDArray[np.float32]) -> None:
    policy = replace(ACTION, rotation=Rotation.EULER_XYZ, gripper=Gripper.PLUS_OPENS, rotation_unit_rad=0.5)
    suite = replace(ACTION, rotation_unit_rad=0.25)
    converted = between(policy, suite).to_suite_actions(actions)
    assert converted.dtype == np.float32
    turns = Reference.from_euler("xyz", actions[:, 3:6].astype(np.float64) * 0.5)
    arrived = Reference.from_rotvec(converted[:, 3:6].astype(np.float64) * 0.25)
    assert (turns * arrived.inv()).magnitude() == pytest.approx(0, abs=1e-5)
    assert np.array_equal(converted[:, :3], actions[:, :3])
    assert np.array_equal(converted[:, 6], -actions[:, 6])


@pytest.mark.parametrize("rotation", [Rotation.QUAT_WXYZ, Rotation.QUAT_XYZW, Rotation.ROT6D])
def test_a_form_without_angles_has_no_unit(rotation: Rotation) -> None:
    policy = replace(ACTION, rotation=rotation, rotation_unit_rad=0.5)
    turn = Reference.from_rotvec([0.1, -0.2, 0.3])
    numbers = {
        Rotation.QUAT_XYZW: turn.as_quat(),
        Rotation.QUAT_WXYZ: np.roll(turn.as_quat(), 1),
        Rotation.ROT6D: np.concatenate(turn.as_matrix()[:, :2].T),
    }[rotation]
    actions = np.concatenate([[1, 2, 3], numbers, [-1]]).astype(np.float32)[None]
    converted = between(policy, ACTION).to_suite_actions(actions)
    assert converted[0] == pytest.approx([1, 2, 3, 0.1, -0.2, 0.3, -1], abs=1e-6)
    assert between(ACTION, policy).to_suite_actions(converted)[0] == pytest.approx(actions[0], abs=1e-6)


def test_a_half_open_gripper_stays_half_open() -> None:
    policy = replace(ACTION, gripper=Gripper.ZERO_ONE_OPEN)
    actions = np.zeros((3, 7), np.float32)
    actions[:, 6] = (0.0, 0.5, 1.0)
    assert between(policy, ACTION).to_suite_actions(actions)[:, 6].tolist() == [1.0, 0.0, -1.0]


def test_an_action_of_position_alone_is_converted() -> None:
    bare = ActionConvention(position_unit_m=0.02)
    converted = between(bare, replace(bare, position_unit_m=0.01)).to_suite_actions(np.ones((2, 3), np.float32))
    assert converted.tolist() == [[2.0] * 3] * 2


def test_named_conventions_pass_as_they_are() -> None:
    joints = ActionConvention(name="joints", size=5)
    actions = np.ones((2, 5), np.float32)
    assert between(joints, replace(joints, low=-2.0, high=2.0)).to_suite_actions(actions) is actions


@pytest.mark.parametrize(
    ("policy", "entries"),
    [
        (replace(ACTION, rotation=Rotation.QUAT_WXYZ), np.zeros(8)),
        (replace(ACTION, rotation=Rotation.ROT6D), np.zeros(10)),
        (replace(ACTION, position_unit_m=1e6), np.full(7, 3e38)),
    ],
    ids=["no quaternion", "no columns", "too far"],
)
def test_finite_numbers_that_mean_nothing_are_refused(policy: ActionConvention, entries: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match=r"no rotation|range of float32"):
        between(policy, ACTION).to_suite_actions(entries.astype(np.float32)[None])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reference": Pose.ABSOLUTE}, "policy gives absolute poses, suite takes delta ones"),
        ({"frame": Frame.WORLD}, "policy writes them in the world frame, suite in the base frame"),
        ({"rotation": Rotation.NONE}, "policy rotation is none, suite rotation is axis_angle"),
        ({"gripper": Gripper.NONE}, "policy gripper is 'none', suite gripper is '\\+1 closes'"),
    ],
)
def test_what_cannot_be_converted_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConventionMismatch, match=reason):
        between(replace(ACTION, **change), ACTION)


@pytest.mark.parametrize(
    "policy", [ActionConvention(name="joints", size=7), ActionConvention(name="whole body", size=5), ACTION]
)
def test_a_named_convention_binds_to_itself_alone(policy: ActionConvention) -> None:
    suite = ActionConvention(name="joints", size=5)
    assert "named conventions must be equal" in refusal(small_policy(action=policy), small_suite(action=suite))


# Pictures, state, privileges.


def test_a_camera_keeps_the_suites_size_unless_another_is_wanted() -> None:
    turned = ImageConvention(orientation=Orientation.ROTATED_180)
    request = CameraRequest(name="wrist", height=32, convention=turned)
    (camera,) = joined(small_policy(cameras=(request,))).cameras
    assert (camera.height, camera.width, camera.convention) == (32, 32, turned)


def test_another_size_is_refused_unless_the_settings_say_how() -> None:
    policy = small_policy(cameras=(CameraRequest(name="front", height=224, width=224),))
    assert "policy wants 224x224, suite renders 48x64 (choose how with the setting `resize`" in refusal(policy)
    for resize in (Resize.STRETCH, Resize.PAD):
        (camera,) = joined(policy, settings=EvalSettings(resize=resize)).cameras
        assert (camera.height, camera.width) == (224, 224)


def test_an_oracle_needs_a_suite_with_privileged_state() -> None:
    oracle = small_policy(kind=PolicyKind.ORACLE)
    assert "is an oracle and the suite gives no privileged state" in refusal(oracle)
    assert joined(oracle, small_suite(privileged=True)).wants_privileged
    assert not joined(suite=small_suite(privileged=True)).wants_privileged


def test_depth_is_that_of_the_cameras_asked_for() -> None:
    assert joined(small_policy(wants_depth=True)).wants_depth
    assert "wants depth and names no camera" in refusal(small_policy(wants_depth=True, cameras=()))


def test_depth_that_does_not_lie_as_its_picture_is_refused() -> None:
    small = small_policy(wants_depth=True, cameras=(CameraRequest(name="front", height=24, width=32),))
    assert "depth comes as the suite renders it" in refusal(small, settings=EvalSettings(resize=Resize.STRETCH))
    assert "depth comes as the suite renders it" in refusal(
        small_policy(wants_depth=True), settings=EvalSettings(crop=0.9)
    )
    turned = CameraRequest(name="front", convention=ImageConvention(orientation=Orientation.ROTATED_180))
    assert "depth comes as the suite renders it" in refusal(small_policy(wants_depth=True, cameras=(turned,)))


@pytest.mark.parametrize(("horizon", "fits"), [(None, True), (1, True), (4, True), (5, False)])
def test_no_more_actions_are_kept_than_a_chunk_has(horizon: int | None, fits: bool) -> None:
    settings = EvalSettings(replan_horizon=horizon)
    if fits:
        joined(settings=settings)
    else:
        assert "replan horizon 5 is longer than the policy's chunks (4)" in refusal(settings=settings)


def test_history_is_the_policys_and_the_settings_only_repeat_it() -> None:
    policy = small_policy(history=[-2, -1])
    assert joined(policy).history == (-2, -1)
    assert joined(policy, settings=EvalSettings(history=(-2, -1))).history == (-2, -1)
    assert "history [-3], the policy for [-2, -1]" in refusal(policy, settings=EvalSettings(history=(-3,)))


def test_every_mismatch_is_in_one_message() -> None:
    policy = small_policy(
        kind=PolicyKind.ORACLE,
        action=replace(
            ACTION, frame=Frame.WORLD, reference=Pose.ABSOLUTE, gripper=Gripper.NONE, rotation=Rotation.NONE
        ),
        cameras=(CameraRequest(name="side"), CameraRequest(name="front", height=224, width=224)),
        state={"joints": 7, "hand": 6},
        history=(-1,),
    )
    message = refusal(policy, settings=EvalSettings(replan_horizon=9, history=(-2,)))
    first, *reasons = message.splitlines()
    assert first == "policy 'lamp' cannot be bound to suite 'small':"
    expected = [
        "absolute poses", "world frame", "policy rotation", "policy gripper", "camera 'side' does not exist",
        "camera 'front'", "state 'joints' does not exist; the suite has hand, gripper",
        "state 'hand': policy wants 6 numbers, suite gives 3", "is an oracle", "replan horizon 9", "history [-2]",
    ]  # fmt: skip
    assert len(reasons) == len(expected)
    for reason, words in zip(reasons, expected, strict=True):
        assert reason.startswith("  - ")
        assert words in reason


def test_a_suite_without_cameras_or_state_says_so() -> None:
    message = refusal(suite=small_suite(cameras=(), state={}))
    assert "camera 'front' does not exist; the suite has none" in message
    assert "state 'hand' does not exist; the suite has none" in message
