"""Camera viewpoints: a fixed camera is turned round what it looks at, moved along its gaze, turned in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.perturb.scene import Scene
from vla_bench.spec.errors import EnvRaised

__all__ = ["move_cameras"]

_TRIES: Final = 100
_ELEVATION_DEG: Final = (10.0, 80.0)
"""A camera below the first looks along the table; above the second a small azimuth is a large turn of the picture."""
_CLEAR_M: Final = 0.2
"""Nothing may stand nearer than this before the lens, and the camera in nothing."""

Vector = NDArray[np.float64]


class _Pose(NamedTuple):
    """Of a camera in the world: position, metres, and its axes as columns (right, up, backwards)."""

    position: Vector
    axes: Vector


def move_cameras(
    model: Any, data: Any, scene: Scene, strength: Mapping[str, float], rng: np.random.Generator
) -> Mapping[str, float]:
    """Move every camera of the scene, all by the same angles.

    Args:
        model: `mujoco.MjModel`, its cameras where they were compiled.
        data: `mujoco.MjData` with up to date positions of bodies.
        scene: names the cameras and their pivot; the first one's height over it decides how far down is still sound.
        strength: `orbit_deg`, `distance`, `turn_deg`.
        rng: of this episode.

    Returns:
        Azimuth, elevation, distance and turns as drawn.

    Raises:
        EnvRaised: a camera rides on a moving body, or no sound viewpoint was found.
    """
    cameras = [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, name) for name in scene.cameras]
    poses = [_pose(model, data, camera) for camera in cameras]
    pivot = np.array(scene.pivot_m)
    elevation_deg = _elevation_deg(poses[0].position - pivot)
    for _ in range(_TRIES):
        drawn = _draw(strength, elevation_deg, rng)
        moved = [_moved(pose, pivot, drawn) for pose in poses]
        if all(_is_clear(model, data, camera, pose) for camera, pose in zip(cameras, moved, strict=True)):
            for camera, pose in zip(cameras, moved, strict=True):
                _place(model, data, camera, pose)
            return drawn
    raise EnvRaised(f"no sound viewpoint of {', '.join(scene.cameras)} in {_TRIES} draws at {dict(strength)}")


def _draw(strength: Mapping[str, float], elevation_deg: float, rng: np.random.Generator) -> dict[str, float]:
    """Draw a direction; what the height may not take goes sideways, so that the whole turn is as strong as said."""
    direction, turn = rng.uniform(0, 2 * np.pi, 2)
    is_farther = rng.random() < 0.5
    orbit, in_place = strength["orbit_deg"], strength["turn_deg"]
    lowest, highest = _ELEVATION_DEG
    up = float(np.clip(orbit * np.sin(direction), min(lowest - elevation_deg, 0.0), max(highest - elevation_deg, 0.0)))
    sideways = float(np.sqrt(orbit**2 - up**2))
    return {
        "azimuth_deg": sideways if np.cos(direction) >= 0 else -sideways,
        "elevation_deg": up,
        "distance": 1.0 + strength["distance"] * (1 if is_farther else -1),
        "pan_deg": in_place * float(np.cos(turn)),
        "tilt_deg": in_place * float(np.sin(turn)),
    }


def _elevation_deg(arm: Vector) -> float:
    return float(np.rad2deg(np.arctan2(arm[2], np.hypot(arm[0], arm[1]))))


def _pose(model: Any, data: Any, camera: int) -> _Pose:
    body = int(model.cam_bodyid[camera])
    if model.body_weldid[body] != 0:
        raise EnvRaised(f"camera {camera} rides on a body that moves: it cannot be turned round a fixed point")
    frame = data.xmat[body].reshape(3, 3)
    axes = np.empty(9)
    mujoco.mju_quat2Mat(axes, model.cam_quat[camera])
    return _Pose(data.xpos[body] + frame @ model.cam_pos[camera], frame @ axes.reshape(3, 3))


def _place(model: Any, data: Any, camera: int, pose: _Pose) -> None:
    body = int(model.cam_bodyid[camera])
    frame = data.xmat[body].reshape(3, 3)
    model.cam_pos[camera] = frame.T @ (pose.position - data.xpos[body])
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.ascontiguousarray(frame.T @ pose.axes).ravel())
    model.cam_quat[camera] = quat


def _moved(pose: _Pose, pivot: Vector, drawn: Mapping[str, float]) -> _Pose:
    arm = pose.position - pivot
    # Positive elevation lifts the camera: the axis is horizontal, at right angles to the arm.
    sideways = np.cross(arm, (0.0, 0.0, 1.0))
    sideways /= max(float(np.linalg.norm(sideways)), 1e-9)
    turn = _rotation((0.0, 0.0, 1.0), drawn["azimuth_deg"]) @ _rotation(sideways, drawn["elevation_deg"])
    in_place = _rotation((0.0, 1.0, 0.0), drawn["pan_deg"]) @ _rotation((1.0, 0.0, 0.0), drawn["tilt_deg"])
    return _Pose(pivot + drawn["distance"] * (turn @ arm), turn @ pose.axes @ in_place)


def _rotation(axis: Any, angle_deg: float) -> Vector:
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], np.float64)
    angle = np.deg2rad(angle_deg)
    turned: Vector = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return turned


def _is_clear(model: Any, data: Any, camera: int, pose: _Pose) -> bool:
    """Whether nothing stands close before the lens: in the middle of the picture or towards its corners."""
    half = np.tan(np.deg2rad(model.cam_fovy[camera]) / 2)
    places = [(0.0, 0.0), *((x, y) for x in (-0.7, 0.7) for y in (-0.7, 0.7))]
    for x, y in places:
        gaze = pose.axes @ (x * half, y * half, -1.0)
        hit = mujoco.mj_ray(model, data, pose.position, gaze, None, 1, -1, np.empty((1, 1), np.int32))
        if 0 <= hit < _CLEAR_M:
            return False
    return True
