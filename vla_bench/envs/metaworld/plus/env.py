"""`MetaWorldPlusEnv`: Meta-World's tasks under perturbation behind `SuiteEnv`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.metaworld.env import MetaWorldEnv
from vla_bench.envs.metaworld.pictures import Painter
from vla_bench.envs.metaworld.plus.simulator import PerturbedSimulator
from vla_bench.envs.metaworld.simulator import Simulator
from vla_bench.envs.perturb import Dimension, Perturbation, add_noise, generator, noise_kind
from vla_bench.spec.episode import Episode

__all__ = ["MetaWorldPlusEnv"]


class MetaWorldPlusEnv(MetaWorldEnv):
    """Seven dimensions on one compiled model per base task."""

    def _new_simulator(self, task: str) -> Simulator:
        return PerturbedSimulator(task)

    def _base_task(self, episode: Episode) -> str:
        return str(episode.params["base_task"])

    def _begin(self, simulator: Simulator, episode: Episode) -> Mapping[str, Any]:
        assert isinstance(simulator, PerturbedSimulator)
        perturbation = Perturbation.from_params(episode.params)
        rng = generator(episode.env_seed, self._base_task(episode), perturbation.dimension)
        facts = simulator.begin_perturbed(episode.env_seed, perturbation, rng)
        self._perturbation = perturbation
        if perturbation.dimension is Dimension.NOISE:
            facts = {**facts, "perturbation": {"kind": noise_kind(episode.env_seed)}}
        return facts

    def _render(self, camera: str) -> NDArray[np.uint8]:
        picture = super()._render(camera)
        episode = self.episode
        assert episode is not None, "reset() comes first"
        if self._perturbation.dimension is not Dimension.NOISE:
            return picture
        rng = generator(episode.env_seed, self._base_task(episode), Dimension.NOISE, camera, self.n_steps)
        return add_noise(picture, noise_kind(episode.env_seed), self._perturbation.strength, rng)

    def _paint(self) -> Painter:
        is_new = self._painter is None
        painter = super()._paint()
        assert isinstance(self._present, PerturbedSimulator)
        stale = self._present.stale_textures
        if not is_new:
            painter.upload(sorted(stale))
        stale.clear()
        return painter
