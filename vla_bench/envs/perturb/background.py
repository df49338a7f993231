"""Background textures: floor, table, walls and sky are painted over, more of the new texture at each level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.perturb.baseline import Baseline, texture_pixels
from vla_bench.envs.perturb.patterns import PATTERNS, colours, pattern
from vla_bench.envs.perturb.scene import Scene

__all__ = ["paint_background"]


def paint_background(
    model: Any, scene: Scene, baseline: Baseline, strength: Mapping[str, float], rng: np.random.Generator
) -> Mapping[str, Any]:
    """Paint the textures and materials of the scene, each with a pattern of its own.

    Args:
        model: `mujoco.MjModel`; the pixels change in its memory, a renderer wants them uploaded.
        scene: names textures and materials.
        baseline: has the pixels as they were.
        strength: `mix`.
        rng: of this episode.

    Returns:
        Texture or material → kind of pattern, or `colour`.
    """
    mix = np.float32(strength["mix"])
    facts: dict[str, Any] = {}
    for texture, before in baseline.textures.items():
        is_sky = model.tex_type[texture] == int(mujoco.mjtTexture.mjTEXTURE_SKYBOX)
        # The sides of a sky box would show where they meet.
        kind = "colour" if is_sky else str(rng.choice(list(PATTERNS)))
        new = colours(rng)[0] if is_sky else _tiled(kind, before.shape[0], before.shape[1], rng)
        mixed = np.rint(before[..., :3] + mix * (new - before[..., :3].astype(np.float32)))
        texture_pixels(model, texture)[..., :3] = mixed.astype(np.uint8)
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_TEXTURE, texture)
        facts[name or "sky"] = kind
    for material in scene.materials:
        index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_MATERIAL, material)
        rgb = model.mat_rgba[index, :3]
        rgb[:] += mix * (colours(rng)[0] / 255 - rgb)
        facts[material] = "colour"
    return facts


def _tiled(kind: str, height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A pattern for a texture; the sides of a cube, which stand below one another, are alike."""
    if height % width:
        return pattern(kind, height, width, rng)
    return np.tile(pattern(kind, width, width, rng), (height // width, 1, 1))
