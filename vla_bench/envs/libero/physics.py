"""One control step: 25 physics steps under robosuite's operational-space controller, the plain way and the short one.

The short way computes the same numbers, bit for bit, without what robosuite computes twice or looks up by name:

- robosuite makes three forward passes per physics step at one position and velocity: one of its own, one in the
  controller, one in `mj_step`. All three are needed, for each leaves the solver's warm start to the next. But
  kinematics, collisions, constraints and inertia depend on position and velocity alone: passes two and three take them
      as they are.
- sensors are computed in no pass: nothing that an episode shows reads them.
- the controller's arithmetic is done in the same order on arrays of the same layout, by robosuite's own compiled
  functions; names, limits and index lists are looked up once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.libero.package import SimulatorPackage

__all__ = ["N_PHYSICS_STEPS", "Arm", "PlainPasses", "ReusingPasses"]

N_PHYSICS_STEPS = 25

_EVERYTHING = mujoco.mjtStage.mjSTAGE_NONE
_ACCELERATION_ONLY = mujoco.mjtStage.mjSTAGE_VEL
_NO_SENSORS = 1


class PlainPasses:
    """The three forward passes of one physics step as robosuite makes them."""

    def __init__(self, model: Any, data: Any) -> None:
        self._model, self._data = model, data

    def first(self) -> None:
        """The pass that begins a physics step."""
        mujoco.mj_forward(self._model, self._data)

    def second(self) -> None:
        """The controller's."""
        mujoco.mj_forward(self._model, self._data)

    def advance(self) -> None:
        """The third, with the controls set, and the integration."""
        mujoco.mj_step(self._model, self._data)


class ReusingPasses:
    """The same three, of which later ones reuse what depends on position and velocity alone.

    Each pass first normalises the quaternions in the position, and rounding can make the second normalisation change
    what the first one left: then position is not the same, and the whole pass is made.
    """

    def __init__(self, model: Any, data: Any) -> None:
        self._model, self._data = model, data
        self._position: NDArray[np.float64] = data.qpos  # a live view
        self._normalised = np.empty_like(self._position)

    def first(self) -> None:
        """The pass that begins a physics step."""
        mujoco.mj_forwardSkip(self._model, self._data, _EVERYTHING, _NO_SENSORS)

    def second(self) -> None:
        """The controller's."""
        np.copyto(self._normalised, self._position)
        mujoco.mj_normalizeQuat(self._model, self._normalised)
        is_same = (self._normalised == self._position).all()
        mujoco.mj_forwardSkip(self._model, self._data, _ACCELERATION_ONLY if is_same else _EVERYTHING, _NO_SENSORS)

    def advance(self) -> None:
        """The third, with the controls set, and the integration: `mj_step` in its parts."""
        mujoco.mj_checkPos(self._model, self._data)
        mujoco.mj_checkVel(self._model, self._data)
        self.second()
        mujoco.mj_checkAcc(self._model, self._data)
        mujoco.mj_Euler(self._model, self._data)


class Arm:
    """robosuite's `OSC_POSE` and gripper for one scene, without its look-ups.

    Goals, gains and the null-space target stay in robosuite's own controller object, which a reset makes anew.
    """

    def __init__(self, robot: Any, package: SimulatorPackage, passes: PlainPasses | ReusingPasses) -> None:
        """Look up everything that an episode does not change.

        Args:
            robot: robosuite's, after a reset.
            package: for the compiled functions.
            passes: one of them is the controller's.
        """
        self._robot = robot
        self._model, self._data = robot.sim.model._model, robot.sim.data._data
        self._site = robot.eef_site_id
        self._qpos = np.array(robot._ref_joint_pos_indexes)
        self._qvel = np.array(robot._ref_joint_vel_indexes)
        self._torques = np.array(robot._ref_joint_actuator_indexes)
        self._low, self._high = robot.torque_limits
        fingers = np.array(robot._ref_joint_gripper_actuator_indexes)
        span = self._model.actuator_ctrlrange[fingers]
        self._fingers = fingers
        self._bias, self._weight = 0.5 * (span[:, 1] + span[:, 0]), 0.5 * (span[:, 1] - span[:, 0])
        n = self._model.nv
        self._jacobian_position, self._jacobian_rotation = np.zeros((3, n)), np.zeros((3, n))
        self._inertia = np.zeros((n, n))
        compiled = package.robosuite.utils.control_utils
        self._orientation_error: Callable[..., Any] = compiled.orientation_error
        self._matrices: Callable[..., Any] = compiled.opspace_matrices
        self._nullspace_torques: Callable[..., Any] = compiled.nullspace_torques
        self._passes = passes

    def control(self, action: NDArray[np.float64], *, is_new: bool) -> None:
        """Set the controls for the next physics step.

        Args:
            action: float64 `[7]`.
            is_new: whether this is the first physics step under it, at which the goal is set.
        """
        controller = self._robot.controller
        if controller.new_update:  # not at an episode's first step: the controller has looked when it was made
            self._update(controller)
        if is_new:
            controller.set_goal(action[:6])
        self._data.ctrl[self._torques] = np.clip(self._torque(controller), self._low, self._high)
        controller.new_update = True
        self._data.ctrl[self._fingers] = self._bias + self._weight * self._robot.gripper.format_action(action[6:])

    def _update(self, controller: Any) -> None:
        """What the controller reads of the simulation: its `update`, after which it does none of its own."""
        model, data = self._model, self._data
        self._passes.second()
        position, rotation = self._jacobian_position, self._jacobian_rotation
        mujoco.mj_jacSite(model, data, position, rotation, self._site)
        controller.ee_pos = data.site_xpos[self._site].copy()
        controller.ee_ori_mat = data.site_xmat[self._site].reshape(3, 3).copy()
        velocity = data.qvel
        controller.ee_pos_vel, controller.ee_ori_vel = np.dot(position, velocity), np.dot(rotation, velocity)
        controller.joint_pos, controller.joint_vel = data.qpos[self._qpos], velocity[self._qvel]
        # The compiled functions are chosen by the memory layout of their arguments, and so are the last bits.
        controller.J_pos, controller.J_ori = position[:, self._qvel], rotation[:, self._qvel]
        controller.J_full = np.vstack([controller.J_pos, controller.J_ori])
        mujoco.mj_fullM(model, self._inertia, data.qM)
        controller.mass_matrix = self._inertia[self._qvel, :][:, self._qvel]
        controller.new_update = False

    def _torque(self, controller: Any) -> NDArray[np.float64]:
        kp, kd = controller.kp, controller.kd
        rotation_error = self._orientation_error(np.array(controller.goal_ori), controller.ee_ori_mat)
        force = (controller.goal_pos - controller.ee_pos) * kp[:3] + -controller.ee_pos_vel * kd[:3]
        torque = rotation_error * kp[3:6] + -controller.ee_ori_vel * kd[3:6]
        inertia = controller.mass_matrix
        _, position, rotation, nullspace = self._matrices(
            inertia, controller.J_full, controller.J_pos, controller.J_ori
        )
        wrench = np.concatenate([np.dot(position, force), np.dot(rotation, torque)])
        torques: NDArray[np.float64] = np.dot(controller.J_full.T, wrench) + self._data.qfrc_bias[self._qvel]
        torques += self._nullspace_torques(
            inertia, nullspace, controller.initial_joint, controller.joint_pos, controller.joint_vel
        )
        return torques
