"""Perturbations for any MuJoCo suite, applied to the compiled model: seven dimensions, five levels, seeded, bounded.

`levels` says how strong, `draws` draws, `Perturber` applies; nothing here reads or writes a model's XML. What is
exported here imports no simulator; `vla_bench.envs.perturb.perturber` does. See docs/perturbations.md.
"""

from vla_bench.envs.perturb.draws import generator
from vla_bench.envs.perturb.levels import LEVELS, NOISE_KINDS, Dimension, Perturbation, strengths
from vla_bench.envs.perturb.noise import add_noise, noise_kind
from vla_bench.envs.perturb.scene import Scene

__all__ = [
    "LEVELS", "NOISE_KINDS", "Dimension", "Perturbation", "Scene", "add_noise", "generator", "noise_kind", "strengths",
]  # fmt: skip
