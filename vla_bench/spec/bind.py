"""`bind()` joins a policy and a suite: it returns the conversion between them, or refuses with every mismatch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_bench.spec.conventions import ActionConvention, Gripper, ImageConvention, Orientation, Rotation, rotation_size
from vla_bench.spec.convert import convert_gripper, convert_rotation
from vla_bench.spec.errors import ConventionMismatch
from vla_bench.spec.messages import PolicyInfo, PolicyKind
from vla_bench.spec.settings import EvalSettings, Resize
from vla_bench.spec.suite import Camera, Suite

__all__ = ["Binding", "CameraBinding", "bind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraBinding:
    """One camera as the policy gets it: a picture of `height` × `width` pixels in the policy's convention."""

    name: str
    height: int
    width: int
    convention: ImageConvention


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The conversion between one policy and one suite.

    Attributes:
        cameras: pictures to render and send, empty for a policy that sees none.
        state_keys: proprioception to send.
        history: offsets of earlier frames to send, negative, in steps.
        wants_depth, wants_privileged: whether the env must give these.
        chunk_length: the most actions that the policy returns at once.
        policy_action: what the policy's actions mean; the suite's own convention for a policy that adapts.
        suite_action: what the env takes.
    """

    cameras: tuple[CameraBinding, ...]
    state_keys: tuple[str, ...]
    history: tuple[int, ...]
    wants_depth: bool
    wants_privileged: bool
    chunk_length: int
    policy_action: ActionConvention
    suite_action: ActionConvention

    def to_suite_actions(self, actions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rewrite a chunk float32 `[k, A_policy]` into float32 `[k, A_suite]`. Equal conventions pass bit for bit.

        Raises:
            ValueError: a rotation is none (a quaternion of norm 0), or a converted number is outside of float32.
        """
        source, target = self.policy_action, self.suite_action
        if source == target or source.name:
            return actions
        n = rotation_size(source.rotation)
        position, rotation, gripper = actions[:, :3], actions[:, 3 : 3 + n], actions[:, 3 + n :]
        parts = [position * np.float64(source.position_unit_m / target.position_unit_m)]
        if source.rotation is not Rotation.NONE:
            true_angles = _scaled(rotation, source.rotation, source.rotation_unit_rad)
            target_angles = convert_rotation(true_angles, source.rotation, target.rotation)
            parts.append(_scaled(target_angles, target.rotation, 1.0 / target.rotation_unit_rad))
        if source.gripper is not Gripper.NONE:
            parts.append(convert_gripper(gripper, source.gripper, target.gripper))
        with np.errstate(over="ignore"):
            converted = np.concatenate(parts, axis=1).astype(np.float32)
        if not np.isfinite(converted).all():
            raise ValueError("a converted number is outside the range of float32")
        return converted


def _scaled(rotation: NDArray[np.floating], form: Rotation, unit: float) -> NDArray[np.float64]:
    """Angles times their unit; only forms made of angles have one."""
    values = np.asarray(rotation, dtype=np.float64)
    return values * unit if form in (Rotation.AXIS_ANGLE, Rotation.EULER_XYZ) else values


def bind(policy: PolicyInfo, suite: Suite, settings: EvalSettings) -> Binding:
    """Join a policy and a suite.

    Raises:
        ConventionMismatch: with every mismatch in one message.
    """
    action = suite.action_of(settings.control_mode)
    problems = _action_problems(policy.action, action) if policy.action else []
    cameras, camera_problems = _bind_cameras(policy, suite.cameras, settings)
    problems += camera_problems
    problems += _state_problems(policy, suite)
    if policy.kind is PolicyKind.ORACLE and not suite.privileged:
        problems.append("the policy is an oracle and the suite gives no privileged state")
    if policy.wants_depth and not policy.cameras:
        problems.append("the policy wants depth and names no camera")
    if policy.wants_depth and (settings.crop < 1.0 or any(_is_changed(camera, suite) for camera in cameras)):
        problems.append("depth comes as the suite renders it: its pictures cannot be cropped, resized or turned")
    if settings.replan_horizon is not None and settings.replan_horizon > policy.chunk_length:
        problems.append(
            f"replan horizon {settings.replan_horizon} is longer than the policy's chunks ({policy.chunk_length})"
        )
    if settings.control_mode and settings.control_mode not in suite.control_modes:
        modes = ", ".join(suite.control_modes) or "only its default one"
        problems.append(f"control mode {settings.control_mode!r} does not exist; the suite has {modes}")
    if settings.history and settings.history != policy.history:
        problems.append(f"settings ask for history {list(settings.history)}, the policy for {list(policy.history)}")
    if problems:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        raise ConventionMismatch(f"policy {policy.name!r} cannot be bound to suite {suite.name!r}:{lines}")
    return Binding(
        cameras=cameras,
        state_keys=tuple(policy.state),
        history=policy.history,
        wants_depth=policy.wants_depth,
        wants_privileged=policy.kind is PolicyKind.ORACLE,
        chunk_length=policy.chunk_length,
        policy_action=policy.action or action,
        suite_action=action,
    )


def _action_problems(policy: ActionConvention, suite: ActionConvention) -> list[str]:
    if policy.name or suite.name:
        if (policy.name, policy.size) == (suite.name, suite.size):
            return []
        return [f"actions: policy {_label(policy)}, suite {_label(suite)}; named conventions must be equal"]
    problems = []
    if policy.reference is not suite.reference:
        problems.append(f"actions: policy gives {policy.reference} poses, suite takes {suite.reference} ones")
    if policy.frame is not suite.frame:
        problems.append(f"actions: policy writes them in the {policy.frame} frame, suite in the {suite.frame} frame")
    if (policy.rotation is Rotation.NONE) != (suite.rotation is Rotation.NONE):
        problems.append(f"actions: policy rotation is {policy.rotation}, suite rotation is {suite.rotation}")
    if (policy.gripper is Gripper.NONE) != (suite.gripper is Gripper.NONE):
        problems.append(
            f"actions: policy gripper is {policy.gripper.value!r}, suite gripper is {suite.gripper.value!r}"
        )
    return problems


def _label(action: ActionConvention) -> str:
    return f"{action.name or 'pose'} with {action.n_entries} entries"


def _is_changed(camera: CameraBinding, suite: Suite) -> bool:
    rendered = next(known for known in suite.cameras if known.name == camera.name)
    is_resized = (camera.height, camera.width) != (rendered.height, rendered.width)
    return is_resized or camera.convention.orientation is not Orientation.UPRIGHT


def _bind_cameras(
    policy: PolicyInfo, cameras: tuple[Camera, ...], settings: EvalSettings
) -> tuple[tuple[CameraBinding, ...], list[str]]:
    by_name = {camera.name: camera for camera in cameras}
    bound, problems = [], []
    for wanted in policy.cameras:
        camera = by_name.get(wanted.name)
        if camera is None:
            problems.append(f"camera {wanted.name!r} does not exist; the suite has {', '.join(by_name) or 'none'}")
            continue
        height, width = wanted.height or camera.height, wanted.width or camera.width
        if (height, width) != (camera.height, camera.width) and settings.resize is Resize.REFUSE:
            problems.append(
                f"camera {wanted.name!r}: policy wants {height}x{width}, suite renders {camera.height}x{camera.width}"
                " (choose how with the setting `resize`: stretch or pad)"
            )
        bound.append(CameraBinding(name=wanted.name, height=height, width=width, convention=wanted.convention))
    return tuple(bound), problems


def _state_problems(policy: PolicyInfo, suite: Suite) -> list[str]:
    problems = []
    for key, n in policy.state.items():
        if key not in suite.state:
            problems.append(f"state {key!r} does not exist; the suite has {', '.join(suite.state) or 'none'}")
        elif suite.state[key] != n:
            problems.append(f"state {key!r}: policy wants {n} numbers, suite gives {suite.state[key]}")
    return problems
