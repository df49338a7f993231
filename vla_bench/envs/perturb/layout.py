"""Objects layout: things stand elsewhere, none of them in another or out of reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.perturb.scene import Scene
from vla_bench.envs.perturb.soundness import TOLERANCE_M, bodies_below, new_overlap, overlaps, solid_geoms
from vla_bench.spec.errors import EnvRaised

__all__ = ["move_bodies", "offsets"]

_TRIES: Final = 200

Vector = NDArray[np.float64]


def offsets(n: int, strength: Mapping[str, float], rng: np.random.Generator) -> Iterator[Vector]:
    """Endless draws of horizontal displacements float64 `[n, 3]`, metres, each row of the given length.

    Args:
        n: things to move.
        strength: `distance_m`.
        rng: of this episode.
    """
    while True:
        angles = rng.uniform(0, 2 * np.pi, n)
        yield strength["distance_m"] * np.stack([np.cos(angles), np.sin(angles), np.zeros(n)], axis=1)


def move_bodies(
    model: Any, data: Any, scene: Scene, strength: Mapping[str, float], rng: np.random.Generator
) -> Mapping[str, Any]:
    """Move each body of the scene horizontally, in a direction of its own.

    For suites whose goals do not depend on where an object began. Where they do, the suite moves what its own rule
    places, by `offsets`, and asks `soundness`.

    Args:
        model: `mujoco.MjModel`; bodies without a free joint are moved in it.
        data: `mujoco.MjData` at the episode's plain initial state; ends at the displaced one.
        scene: names the bodies and the workspace.
        strength: `distance_m`.
        rng: of this episode.

    Returns:
        Body → displacement, metres, and the number of draws.

    Raises:
        EnvRaised: no sound layout was found.
    """
    bodies = [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name) for name in scene.bodies]
    pairs = [(solid_geoms(model, bodies_below(model, [body])), body) for body in bodies]
    everything = solid_geoms(model, frozenset(range(model.nbody)))
    before = [_overlaps(model, data, geoms, everything) for geoms, _ in pairs]
    stands = data.xpos[bodies].copy()
    low, high = np.array(scene.workspace_m)
    draws = offsets(len(bodies), strength, rng)
    for draw in range(1, _TRIES + 1):
        moved = next(draws)
        for body, offset in zip(bodies, moved, strict=True):
            _shift(model, data, body, offset)
        mujoco.mj_kinematics(model, data)
        after = [_overlaps(model, data, geoms, everything) for geoms, _ in pairs]
        there = stands + moved
        # What stands outside of the workspace already is not to go farther out.
        is_in_reach = np.all((there >= np.minimum(low, stands) - 1e-9) & (there <= np.maximum(high, stands) + 1e-9))
        if is_in_reach and all(new_overlap(*each) <= TOLERANCE_M for each in zip(before, after, strict=True)):
            return {"offset_m": dict(zip(scene.bodies, moved.tolist(), strict=True)), "draws": draw}
        for body, offset in zip(bodies, moved, strict=True):
            _shift(model, data, body, -offset)
    raise EnvRaised(f"no sound layout of {', '.join(scene.bodies)} in {_TRIES} draws at {dict(strength)}")


def _overlaps(model: Any, data: Any, geoms: list[int], everything: list[int]) -> Mapping[tuple[int, int], float]:
    return overlaps(model, data, geoms, [geom for geom in everything if geom not in geoms])


def _shift(model: Any, data: Any, body: int, offset: Vector) -> None:
    joint = int(model.body_jntadr[body])
    if joint >= 0 and model.jnt_type[joint] == int(mujoco.mjtJoint.mjJNT_FREE):
        at = int(model.jnt_qposadr[joint])
        data.qpos[at : at + 3] += offset
        return
    parent = int(model.body_parentid[body])
    model.body_pos[body] += data.xmat[parent].reshape(3, 3).T @ offset
