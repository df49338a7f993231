"""Robot initial states: the arm starts from other joint angles, within its limits and free of everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import mujoco
import numpy as np

from vla_bench.envs.perturb.scene import Scene
from vla_bench.envs.perturb.soundness import (
    TOLERANCE_M,
    bodies_below,
    geoms_of,
    new_overlap,
    overlaps,
    solid_geoms,
)
from vla_bench.spec.errors import EnvRaised

__all__ = ["displace_arm"]

_TRIES: Final = 200
_SOFT_RAD: Final = 0.01
"""Limits are soft: an arm whose plain state leans on one is a little beyond it."""
_STATE: Final = mujoco.mjtState.mjSTATE_INTEGRATION


def displace_arm(
    model: Any,
    data: Any,
    scene: Scene,
    strength: Mapping[str, float],
    rng: np.random.Generator,
    settle: Callable[[], bool] = lambda: True,
) -> Mapping[str, Any]:
    """Turn the arm's joints away from where they are, by a vector of given length in joint space.

    Args:
        model: `mujoco.MjModel`.
        data: `mujoco.MjData` at the episode's plain initial state; ends at the displaced one.
        scene: names the arm and its joints.
        strength: `joints_rad`.
        rng: of this episode.
        settle: called after the joints were set, with positions up to date; lets the simulator's controller hold the
            arm there, and says whether the suite is content. What it does to `data` stays where the draw is kept.

    Returns:
        The angles added to the joints, radians, and the number of draws.

    Raises:
        EnvRaised: no sound state was found.
    """
    joints = [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name) for name in scene.joints]
    at = model.jnt_qposadr[joints]
    arm = bodies_below(model, [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, scene.robot)])
    around = solid_geoms(model, frozenset(range(model.nbody)) - arm)
    before = overlaps(model, data, geoms_of(model, arm), around)
    plain = np.empty(mujoco.mj_stateSize(model, _STATE))
    mujoco.mj_getState(model, data, plain, _STATE)
    home = data.qpos[at].copy()
    for draw in range(1, _TRIES + 1):
        direction = rng.standard_normal(len(joints))
        added = strength["joints_rad"] * direction / np.linalg.norm(direction)
        if _are_within_limits(model, joints, home + added):
            data.qpos[at] = home + added
            mujoco.mj_kinematics(model, data)
            if settle() and _are_within_limits(model, joints, data.qpos[at]):
                mujoco.mj_kinematics(model, data)
                if new_overlap(before, overlaps(model, data, geoms_of(model, arm), around)) <= TOLERANCE_M:
                    return {"joints_rad": added.tolist(), "draws": draw}
            mujoco.mj_setState(model, data, plain, _STATE)
            mujoco.mj_kinematics(model, data)
    raise EnvRaised(f"no sound state of the arm in {_TRIES} draws at {dict(strength)}")


def _are_within_limits(model: Any, joints: list[int], angles: Any) -> bool:
    limited = model.jnt_limited[joints].astype(bool)
    low, high = model.jnt_range[joints].T
    return bool(np.all(~limited | ((low - _SOFT_RAD <= angles) & (angles <= high + _SOFT_RAD))))
