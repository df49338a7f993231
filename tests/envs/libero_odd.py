"""Asks LIBERO questions that no ordinary episode asks, and prints the answers as one line of JSON.

A program for the suite's own interpreter, from the repository's root: `python tests/envs/libero_odd.py`.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from vla_bench.envs.base import EnvOptions  # noqa: E402
from vla_bench.envs.libero.env import LiberoEnv  # noqa: E402
from vla_bench.envs.libero.package import simulator_package  # noqa: E402
from vla_bench.envs.libero.randomness import global_stream, present_state, state_of_seed  # noqa: E402
from vla_bench.envs.libero.simulator import Start  # noqa: E402
from vla_bench.envs.registry import find_suite  # noqa: E402
from vla_bench.spec.episode import Episode, make_plan  # noqa: E402
from vla_bench.spec.errors import EnvUnstable  # noqa: E402

SUITE = find_suite("libero_goal")
(STOVE,) = (task.id for task in SUITE.tasks if task.id == "turn_on_the_stove")
STILL = np.zeros((1, 7), np.float32)


class StoveIsOn(LiberoEnv):
    """Starts with the knob turned: the goal holds before the policy does anything."""

    def beginning(self, episode: Episode) -> Start:
        start, model = super().beginning(episode), self.simulator.model
        (knob,) = (index for index in range(model.njnt) if "stove" in model.joint(index).name)
        state = start.init_state.copy()
        state[1 + model.jnt_qposadr[knob]] = 1.0  # radians; on from half of that
        return replace(start, init_state=state)


def solved_while_waiting() -> dict[str, Any]:
    env = StoveIsOn(SUITE)
    state = env.start(make_plan(SUITE, tasks=[STOVE]).episodes[0])
    answer = {"facts": dict(state.facts), "at_reset": [state.success, state.is_over]}
    state = env.advance(np.repeat(STILL, 8, axis=0))
    env.close()
    return answer | {"after": [state.success, state.is_over], "step": state.step}


def unstable() -> str:
    """Velocities that no episode has: MuJoCo resets such a state by itself and only counts it."""
    env = LiberoEnv(SUITE)
    env.start(make_plan(SUITE, tasks=[STOVE]).episodes[0])
    env.simulator.data.qvel[0] = 1e11
    try:
        env.advance(STILL)
    except EnvUnstable as error:
        return str(error)
    finally:
        env.close()
    return ""


def stream_of_others() -> dict[str, bool]:
    """NumPy's process-wide stream, which upstream seeds and draws from: used by others, and left to them."""
    env = LiberoEnv(SUITE, EnvOptions())
    episode = make_plan(SUITE, tasks=[STOVE]).episodes[3]
    digests, is_left_alone = [], True
    for seed in (1, 2):
        with global_stream(state_of_seed(seed)):
            before = present_state()
            digests.append(env.start(episode).digest)
            after = present_state()
        is_left_alone &= np.array_equal(before[1], after[1]) and before[2:] == after[2:]
    env.close()
    return {"is_same": digests[0] == digests[1], "is_left_alone": is_left_alone}


def upstream_order() -> dict[str, list[str]]:
    """The tasks of each suite as upstream numbers them; its package around this file would import torch."""
    path = simulator_package().folder / "benchmark" / "libero_suite_task_map.py"
    spec = importlib.util.spec_from_file_location("task_map", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, list[str]] = module.libero_task_map
    return found


def main() -> None:
    questions = (solved_while_waiting, unstable, stream_of_others, upstream_order)
    print("ANSWERS" + json.dumps({question.__name__: question() for question in questions}))


if __name__ == "__main__":
    main()
