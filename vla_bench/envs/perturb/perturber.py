"""`Perturber`: the dimensions that live in a compiled model, applied to it and taken back without a trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from vla_bench.envs.perturb.background import paint_background
from vla_bench.envs.perturb.baseline import Baseline
from vla_bench.envs.perturb.camera import move_cameras
from vla_bench.envs.perturb.layout import move_bodies
from vla_bench.envs.perturb.levels import Dimension, Perturbation
from vla_bench.envs.perturb.light import change_light
from vla_bench.envs.perturb.robot import displace_arm
from vla_bench.envs.perturb.scene import Scene

__all__ = ["Perturber"]


class Perturber:
    """Perturbs one compiled model, one episode after the other.

    An episode calls `restore` before the suite builds its plain initial state, and `apply` after it. Between two calls
    of `restore` the model carries one perturbation at most.

    Attributes:
        stale_textures: whose pixels have changed since a renderer uploaded them; the renderer's owner empties it.
    """

    def __init__(self, model: Any, scene: Scene) -> None:
        """Copy what may be written over.

        Args:
            model: `mujoco.MjModel` as the suite compiled it.
            scene: what the suite says of it.

        Raises:
            ValueError: the model lacks a texture that the scene names.
        """
        self._model, self._scene = model, scene
        self._baseline = Baseline(model, scene.textures)
        self._is_painted = False
        self.stale_textures: set[int] = set()

    def restore(self) -> None:
        """Put the model back, bit for bit. Positions in `mujoco.MjData` follow at the next forward pass."""
        self._baseline.restore()
        if self._is_painted:
            for texture in self._baseline.textures:
                self._baseline.restore_texture(texture)
            self.stale_textures |= self._baseline.textures.keys()
            self._is_painted = False

    def apply(self, data: Any, perturbation: Perturbation, rng: np.random.Generator) -> Mapping[str, Any]:
        """Perturb the present scene. Language and noise leave a model alone: instruction and pictures carry them.

        Args:
            data: `mujoco.MjData` at the plain initial state, with up to date positions.
            perturbation: dimension, level and strengths.
            rng: see `draws.generator`.

        Returns:
            What was drawn, plain JSON values, for the facts of the attempt.

        Raises:
            EnvRaised: no sound scene was found.
        """
        model, scene, strength = self._model, self._scene, perturbation.strength
        match perturbation.dimension:
            case Dimension.CAMERA:
                facts = move_cameras(model, data, scene, strength, rng)
                mujoco.mj_camlight(model, data)
                return facts
            case Dimension.ROBOT:
                return displace_arm(model, data, scene, strength, rng)
            case Dimension.LIGHT:
                facts = change_light(model, scene, strength, rng)
                mujoco.mj_camlight(model, data)
                return facts
            case Dimension.BACKGROUND:
                facts = paint_background(model, scene, self._baseline, strength, rng)
                self._is_painted = True
                self.stale_textures |= self._baseline.textures.keys()
                return facts
            case Dimension.LAYOUT:
                return move_bodies(model, data, scene, strength, rng)
            case _:
                return {}
