"""Perturbs a scene of LIBERO with the general library and prints, as one line of JSON, what that did to it.

A program for LIBERO's own interpreter, from the repository's root: `python tests/envs/perturb_libero.py`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import mujoco  # noqa: E402
import numpy as np  # noqa: E402

from tests.envs.perturb_scene import differences, everything  # noqa: E402
from vla_bench.envs.libero.env import LiberoEnv  # noqa: E402
from vla_bench.envs.perturb import Dimension, Scene, generator, strengths  # noqa: E402
from vla_bench.envs.perturb.perturber import Perturber  # noqa: E402
from vla_bench.envs.registry import find_suite  # noqa: E402
from vla_bench.spec.episode import make_plan  # noqa: E402

SCENE = Scene(
    cameras=("agentview",),
    pivot_m=(0.0, 0.0, 0.95),
    textures=("sky", "tex-table", "tex-wall"),
    robot="robot0_base",
    joints=tuple(f"robot0_joint{number}" for number in range(1, 8)),
    bodies=("akita_black_bowl_1_main", "cookies_1_main"),
    workspace_m=((-0.4, -0.4, 0.85), (0.3, 0.4, 1.4)),
)


def main() -> None:
    suite = find_suite("libero_spatial")
    env = LiberoEnv(suite)
    episode = make_plan(suite, tasks=[suite.tasks[0].id], n_trials=1).episodes[0]
    env.start(episode)
    simulator = env.simulator
    perturber, plain = Perturber(simulator.model, SCENE), everything(simulator.model)

    def perturbed(dimension: Dimension, level: int) -> dict[str, Any]:
        perturber.restore()
        env.start(episode)
        before = simulator.data.qpos.copy()
        facts = perturber.apply(simulator.data, strengths(dimension, level), generator(7, episode.task, dimension))
        mujoco.mj_forward(simulator.model, simulator.data)
        moved = np.flatnonzero(simulator.data.qpos != before).tolist()
        deepest = min((contact.dist for contact in simulator.data.contact), default=0.0)
        model = everything(simulator.model)
        fields = sorted(differences(plain, model))
        digest = hashlib.blake2b(b"".join(model[field].tobytes() for field in fields), digest_size=8)
        return {
            "facts": dict(facts), "fields": fields, "model": digest.hexdigest(), "joints": moved,
            "deepest_m": float(deepest),
        }  # fmt: skip

    found = {}
    for dimension in (Dimension.CAMERA, Dimension.ROBOT, Dimension.LIGHT, Dimension.BACKGROUND, Dimension.LAYOUT):
        first, other = perturbed(dimension, 3), perturbed(dimension, 5)
        found[dimension.value] = {"first": first, "other": other, "again": perturbed(dimension, 3)}
    perturber.restore()
    env.start(episode)
    left = differences(plain, everything(simulator.model))
    print("FOUND", json.dumps({"dimensions": found, "left": left}), flush=True)
    env.close()


if __name__ == "__main__":
    main()
