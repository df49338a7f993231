"""The Panda arm with its long fingers: loading, start, one action, what it feels.

Numbers and order of calls are those of calvin_env @ 797142c (conf/robot/panda_longer_finger.yaml): both decide bits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.calvin.bullet import bullet
from vla_bench.spec.errors import ActionError

__all__ = ["CAMERA_LINK", "CLOSED", "OPEN", "POSITION_UNIT_M", "ROTATION_UNIT_RAD", "Arm"]

_BASE: Final = (-0.34, -0.46, 0.24)
_JOINTS: Final = (0, 1, 2, 3, 4, 5, 6)
_FINGERS: Final = (9, 11)
_OPEN_M: Final = 0.04  # of one finger
_TCP_LINK: Final = 15
CAMERA_LINK: Final = 14
_REST: Final = (-1.21779206, 1.03987646, 2.11978261, -2.34205014, -0.87015947, 1.64119353, 0.55344866)
_LOWER: Final = (-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973)
_UPPER: Final = (2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973)
_FORCE_N: Final = 200.0
_ARM_VELOCITY: Final = 2.0
_FINGER_VELOCITY: Final = 1.0
_OPENING_FORCE_N: Final = 2.0

OPEN: Final = 1
CLOSED: Final = -1
POSITION_UNIT_M: Final = 0.02
ROTATION_UNIT_RAD: Final = 0.05

# The null space of the inverse kinematics: nine degrees of freedom, the fingers' included.
_NULL_LOWER: Final = [-7.0] * 9
_NULL_UPPER: Final = [7.0] * 9
_NULL_RANGE: Final = [7.0] * 9
_NULL_REST: Final = [*_REST, _OPEN_M, _OPEN_M]


class Arm:
    """The robot of one loaded world.

    Attributes:
        body: PyBullet's id.
        pedestal: the id of what it stands on.
        gripper_action: the last one, 1 open, -1 closed.
        target_position, target_euler: what relative actions add to, float64 `[3]` each, metres and radians. They follow
            the actions and not the arm, so that targets out of reach wind up.
    """

    def __init__(self, client: int, assets: Path) -> None:
        """Load arm, pedestal and the gear between the fingers, and put the arm at rest.

        The reset comes before anything else is loaded: it decides the last bits of what follows.
        """
        self._client = client
        upright = bullet.getQuaternionFromEuler((0.0, 0.0, 0.0))
        model = str(assets / "franka_panda/panda_longer_finger.urdf")
        self.body: int = bullet.loadURDF(model, _BASE, upright, useFixedBase=True, physicsClientId=client)
        self.pedestal = self._add_pedestal()
        gear = bullet.createConstraint(
            self.body, _FINGERS[0], self.body, _FINGERS[1], bullet.JOINT_GEAR, [1, 0, 0], [0, 0, 0], [0, 0, 0],
            physicsClientId=client,
        )  # fmt: skip
        bullet.changeConstraint(gear, gearRatio=-1, erp=0.1, maxForce=50, physicsClientId=client)
        self.gripper_action = OPEN
        self.target_position = np.zeros(3)
        self.target_euler = np.zeros(3)
        self.reset(_REST, _OPEN_M)

    def _add_pedestal(self) -> int:
        place = [_BASE[0] - 0.05, _BASE[1], _BASE[2] / 2]
        shape = bullet.createVisualShape(
            bullet.GEOM_CYLINDER, radius=0.13, length=_BASE[2], rgbaColor=[1, 1, 1, 1], visualFramePosition=place,
            physicsClientId=self._client,
        )  # fmt: skip
        body: int = bullet.createMultiBody(baseVisualShapeIndex=shape, physicsClientId=self._client)
        return body

    def reset(self, joints: NDArray[np.float64] | tuple[float, ...], finger: float) -> None:
        """Put the arm at 7 joint angles (radians) and each finger at `finger` metres, at rest, and hold it there."""
        for joint, angle in zip(_JOINTS, joints, strict=True):
            bullet.resetJointState(self.body, joint, angle, physicsClientId=self._client)
            self._hold(joint, angle, _FORCE_N, _ARM_VELOCITY)
        for joint in _FINGERS:
            bullet.resetJointState(self.body, joint, finger, physicsClientId=self._client)
            self._hold(joint, finger, _FORCE_N, _FINGER_VELOCITY)
        position, euler = self.tcp()
        self.target_position, self.target_euler = np.array(position), np.array(euler)

    def apply_relative(self, motion: NDArray[np.floating], gripper: int) -> None:
        """Move the target and aim the motors at it.

        The motion is scaled in its own precision: float32 actions give other bits than the same numbers in float64.

        Args:
            motion: `[6]`, position in units of 0.02 m and Euler angles in units of 0.05 rad; nothing is clipped.
            gripper: 1 opens, -1 closes.

        Raises:
            ActionError: see `apply_absolute`.
        """
        _check(motion, gripper)
        self.target_position += motion[:3] * motion.dtype.type(POSITION_UNIT_M)
        self.target_euler += motion[3:] * motion.dtype.type(ROTATION_UNIT_RAD)
        self._aim(self.target_position, self.target_euler, gripper)

    def apply_absolute(self, pose: NDArray[np.floating], gripper: int) -> None:
        """Aim the motors at a pose of the TCP in the world; what relative actions add to stays where it was.

        Args:
            pose: `[6]`, position in metres and extrinsic xyz Euler angles in radians.
            gripper: 1 opens, -1 closes.

        Raises:
            ActionError: wrong dtype, length or gripper, or a number that is not finite.
        """
        _check(pose, gripper)
        self._aim(pose[:3], pose[3:], gripper)

    def _aim(self, position: NDArray[np.floating], euler: NDArray[np.floating], gripper: int) -> None:
        self.gripper_action = gripper
        quaternion = bullet.getQuaternionFromEuler(euler)
        joints = bullet.calculateInverseKinematics(
            self.body, _TCP_LINK, position, quaternion, _NULL_LOWER, _NULL_UPPER, _NULL_RANGE, _NULL_REST,
            physicsClientId=self._client,
        )  # fmt: skip
        for joint in _JOINTS:
            angle = min(max(joints[joint], _LOWER[joint]), _UPPER[joint])
            self._hold(joint, angle, _FORCE_N, _ARM_VELOCITY)
        finger, force = (_OPEN_M, _OPENING_FORCE_N) if gripper == OPEN else (0.0, _FORCE_N)
        for joint in _FINGERS:
            self._hold(joint, finger, force, _FINGER_VELOCITY)

    def _hold(self, joint: int, target: float, force: float, velocity: float) -> None:
        bullet.setJointMotorControl2(
            self.body, joint, bullet.POSITION_CONTROL, targetPosition=target, force=force, maxVelocity=velocity,
            physicsClientId=self._client,
        )  # fmt: skip

    def tcp(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Position (metres) and extrinsic xyz Euler angles (radians) of the tool's centre, world frame."""
        position, quaternion = bullet.getLinkState(self.body, _TCP_LINK, physicsClientId=self._client)[:2]
        return position, bullet.getEulerFromQuaternion(quaternion)

    def camera(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Position (metres) and quaternion xyzw of the wrist camera's link, world frame."""
        pose = bullet.getLinkState(self.body, CAMERA_LINK, physicsClientId=self._client)[:2]
        return pose[0], pose[1]

    def observation(self) -> NDArray[np.float64]:
        """Upstream's `robot_obs`, float64 `[15]`: TCP position, TCP Euler, width, 7 joint angles, gripper action."""
        position, euler = self.tcp()
        states = bullet.getJointStates(self.body, (*_JOINTS, *_FINGERS), physicsClientId=self._client)
        angles = [state[0] for state in states]
        width = angles[7] + angles[8]
        return np.array([*position, *euler, width, *angles[:7], self.gripper_action], np.float64)


def _check(numbers: NDArray[np.floating], gripper: int) -> None:
    if not isinstance(numbers, np.ndarray) or numbers.dtype.kind != "f" or numbers.shape != (6,):
        found = f"{numbers.dtype} {list(numbers.shape)}" if isinstance(numbers, np.ndarray) else type(numbers).__name__
        raise ActionError(f"an action is float32 or float64 [6] and a gripper, got {found}")
    if not np.isfinite(numbers).all():
        raise ActionError(f"an action is not finite: {numbers.tolist()}")
    if gripper not in (CLOSED, OPEN):
        raise ActionError(f"the gripper is 1 (open) or -1 (close), got {gripper}: threshold it first")
