"""The simulator's truth for scripted experts: where things stand, what is held, which goals hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.libero.simulator import Simulator

__all__ = ["read_truth"]

_FINGERS = ("left_finger", "right_finger")


def read_truth(simulator: Simulator) -> Mapping[str, NDArray[np.float64]]:
    """Describe the scene as it is now, at the end of the step, in world coordinates.

    Returns:
        Keys are words, so that nothing has to be known beforehand; every value is float64 `[n]`:

        - `eef`: gripper's grasping point, position 3 (metres) and quaternion 4 (w x y z);
        - `base`: where the robot's foot stands, position 3: it differs between scenes, and the arm's reach is limited;
        - `gripper`: the two finger joints, metres; open is 0.04 and -0.04, closed 0 and 0;
        - `object/<name>`: a movable object's body, position 3 and quaternion 4 (w x y z);
        - `fixture/<name>`: the same of what stands fixed (cabinet, stove, rack);
        - `site/<name>`: a region of the goal or of an object (drawer, burner, plate), position 3, rotation matrix 9
          (row by row), half sizes 3;
        - `joint/<name>`: positions of a fixture's joints (drawers, knobs, doors), metres or radians;
        - `touch/<name>`: whether the left and the right finger touch the object, 0 or 1 each;
        - `goal/<predicate> <names>`: 1 where this part of the goal holds, else 0 (`goal/on bowl_1 plate_1`).
    """
    env, data = simulator.env, simulator.data
    robot = env.robots[0]
    truth: dict[str, NDArray[np.float64]] = {
        "eef": _site_pose(data, robot.eef_site_id),
        "base": data.xpos[mujoco.mj_name2id(simulator.model, mujoco.mjtObj.mjOBJ_BODY, "robot0_base")].copy(),
        "gripper": data.qpos[robot._ref_gripper_joint_pos_indexes],
    }
    for kind, table in (("object", env.objects_dict), ("fixture", env.fixtures_dict)):
        for name in table:
            body = env.obj_body_id[name]
            truth[f"{kind}/{name}"] = np.concatenate([data.xpos[body], data.xquat[body]])
    truth |= _sites(simulator) | _joints(env) | _touches(simulator)
    for predicate in env.parsed_problem["goal_state"]:
        truth[f"goal/{' '.join(predicate)}"] = np.array([float(env._eval_predicate(predicate))])
    return truth


def _site_pose(data: Any, site: int) -> NDArray[np.float64]:
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, data.site_xmat[site])
    return np.concatenate([data.site_xpos[site], quaternion])


def _sites(simulator: Simulator) -> dict[str, NDArray[np.float64]]:
    model, data = simulator.model, simulator.data
    found = {}
    for name in simulator.env.object_sites_dict:
        site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, name)
        found[f"site/{name}"] = np.concatenate([data.site_xpos[site], data.site_xmat[site], model.site_size[site]])
    return found


def _joints(env: Any) -> dict[str, NDArray[np.float64]]:
    found = {}
    for name, fixture in env.fixtures_dict.items():
        addresses = [env.sim.model.get_joint_qpos_addr(joint) for joint in fixture.joints]
        if addresses:
            found[f"joint/{name}"] = env.sim.data.qpos[addresses]
    return found


def _touches(simulator: Simulator) -> dict[str, NDArray[np.float64]]:
    env, model, data = simulator.env, simulator.model, simulator.data
    pairs = {(contact.geom1, contact.geom2) for contact in data.contact[: data.ncon]}
    touching = pairs | {(second, first) for first, second in pairs}
    fingers = [_geoms(model, env.robots[0].gripper.important_geoms[finger]) for finger in _FINGERS]
    found = {}
    for name, object_ in env.objects_dict.items():
        own = _geoms(model, object_.contact_geoms)
        hits = [any((finger, geom) in touching for finger in geoms for geom in own) for geoms in fingers]
        found[f"touch/{name}"] = np.array(hits, np.float64)
    return found


def _geoms(model: Any, names: Any) -> list[int]:
    return [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, name) for name in names]
