"""Golden Meta-World episodes. Recorded anew, after a change of protocol or simulator only, with

    python -m tests.envs.metaworld_golden

A placement (`rand_vec`) is the same everywhere. Digests of physics hold on the fingerprint they were recorded on, since
other processors round differently in the last bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vla_bench.envs.base import EnvOptions, SuiteEnv
from vla_bench.envs.metaworld import family
from vla_bench.envs.runtime.fingerprint import take_fingerprint
from vla_bench.spec.episode import make_plan

PATH = Path(__file__).parent.parent / "golden" / "metaworld.json"
N_STEPS = 30


def actions_of(task: str) -> np.ndarray:
    """Actions float32 `[30, 4]` that are the same everywhere: small integers divided by a power of two."""
    generator = np.random.default_rng(list(task.encode()))
    return (generator.integers(-8, 9, (N_STEPS, 4)) / 8).astype(np.float32)


def play(env: SuiteEnv, task: str, trial: int = 0) -> dict[str, Any]:
    """Run the fixed actions from a trial's initial state."""
    episode = make_plan(env.suite, tasks=[task], n_trials=trial + 1).episodes[trial]
    start = env.start(episode)
    state = env.advance(actions_of(task))
    return {"rand_vec": start.facts["rand_vec"], "initial": start.digest, "final": state.digest}


def record() -> dict[str, Any]:
    """Play every task once, in this process."""
    env = family.make_env(family.suite("metaworld_mt50"), EnvOptions())
    try:
        episodes = {task.id: play(env, task.id) for task in env.suite.tasks}
        return {"fingerprint": take_fingerprint(env.packages()).id, "episodes": episodes}
    finally:
        env.close()


if __name__ == "__main__":
    PATH.write_text(json.dumps(record(), indent=1) + "\n")
