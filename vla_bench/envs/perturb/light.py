"""Light conditions: lamps and the light from the camera grow brighter or darker, coloured, and come from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from vla_bench.envs.perturb.scene import Scene

__all__ = ["change_light"]

_MOST: Final = 1.0
"""OpenGL's own limit, of a lamp's colour and of the light on a surface."""
_MAKES_UP: Final = 0.6
"""Share of the light that the camera loses which the lamps gain, so that a scene grows harder more than darker."""


def change_light(
    model: Any, scene: Scene, strength: Mapping[str, float], rng: np.random.Generator
) -> Mapping[str, Any]:
    """Change every lamp of the model, all in the same way.

    Args:
        model: `mujoco.MjModel`, its lamps as compiled.
        scene: its pivot is what lamps are turned round.
        strength: `brightness_log2`, `tint`, `turn_deg`, `headlight`.
        rng: of this episode.

    Returns:
        Factor of each colour, angle, and what is left of the camera's own light.
    """
    wants_brighter, is_clockwise = rng.random(2) < 0.5
    cast = rng.standard_normal(3)
    cast -= cast.mean()
    cast /= np.abs(cast).max()
    brighter = 2.0 ** strength["brightness_log2"]
    # More light than white shows nothing more: where a scene has no room upwards, it grows darker.
    is_brighter = wants_brighter and brighter * _brightness(model) <= _MOST
    colour = (brighter if is_brighter else 1 / brighter) * (1.0 + strength["tint"] * cast)
    angle_deg = strength["turn_deg"] * (1 if is_clockwise else -1)
    head = model.vis.headlight
    lost = strength["headlight"] * float(np.mean(head.diffuse)) if model.nlight else 0.0
    for kind in (head.ambient, head.diffuse, head.specular):
        kind[:] = np.clip(kind * colour, 0.0, _MOST)
    if model.nlight:
        head.diffuse[:] *= 1.0 - strength["headlight"]
        gained = _MAKES_UP * lost / model.nlight
        model.light_diffuse[:] = np.clip((model.light_diffuse + gained) * colour, 0.0, _MOST)
        for kind in (model.light_ambient, model.light_specular):
            kind[:] = np.clip(kind * colour, 0.0, _MOST)
        _turn(model, scene, angle_deg)
    return {"colour": colour.tolist(), "turn_deg": angle_deg, "headlight": 1.0 - strength["headlight"]}


def _brightness(model: Any) -> float:
    """The light on a surface that faces half of the lamps, 1 for white."""
    head = model.vis.headlight
    lamps = 0.5 * model.light_diffuse.sum(axis=0) + model.light_ambient.sum(axis=0)
    return float(np.mean(head.ambient + 0.5 * head.diffuse + lamps))


def _turn(model: Any, scene: Scene, angle_deg: float) -> None:
    """Turn lamps that stand in the world round the vertical through the pivot; those on bodies stay."""
    cosine, sine = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    pivot = np.array(scene.pivot_m)
    for light in range(model.nlight):
        if model.light_bodyid[light] == 0:
            model.light_dir[light] = turn @ model.light_dir[light]
            model.light_pos[light] = pivot + turn @ (model.light_pos[light] - pivot)
