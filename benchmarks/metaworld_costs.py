"""What Meta-World costs here: a reset, a step, a state digest, a picture of each protocol.

    python benchmarks/metaworld_costs.py [--steps 200] [--pictures 20]

Times are medians over the tasks of MT10, in milliseconds: wall clock, and processor time of all threads.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time

import numpy as np

from vla_bench.envs.base import SuiteEnv
from vla_bench.envs.registry import make_suite_env
from vla_bench.envs.runtime.rendering import choose_renderer
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import NoRenderer

SUITE = "metaworld_mt10"


def cost(action: Callable[[], object], n: int) -> tuple[float, float]:
    """Milliseconds of one call: wall, processor."""
    wall, cpu = perf_counter(), process_time()
    for _ in range(n):
        action()
    return 1e3 * (perf_counter() - wall) / n, 1e3 * (process_time() - cpu) / n


def show(name: str, costs: list[tuple[float, float]]) -> None:
    wall, cpu = (median(column) for column in zip(*costs, strict=True))
    print(f"{name:34} {wall:9.3f} {cpu:9.3f}")


def measure_states(env: SuiteEnv, n_steps: int) -> None:
    rows: dict[str, list[tuple[float, float]]] = {"first reset (compiles the task)": [], "reset": [], "step": []}
    rows["state digest"] = []
    actions = np.random.default_rng(0).uniform(-1, 1, (n_steps, 4)).astype(np.float32)
    for episode in make_plan(env.suite, n_trials=1).episodes:

        def start(episode=episode) -> None:
            env.start(episode)

        rows["first reset (compiles the task)"].append(cost(start, 1))
        rows["reset"].append(cost(start, 5))
        wall, cpu = cost(lambda: env.advance(actions), 1)
        rows["step"].append((wall / env.n_steps, cpu / env.n_steps))
        rows["state digest"].append(cost(env.state_digest, 500))
    for name, costs in rows.items():
        show(name, costs)


def measure_pictures(protocol: str, n_pictures: int) -> None:
    env = make_suite_env(SUITE, protocol=protocol, cameras=("front", "wrist"))
    first, later = [], []
    for episode in make_plan(env.suite, n_trials=1).episodes[:4]:
        env.start(episode)
        first.append(cost(lambda episode=episode: env.start(episode), 1))
        later.append(cost(env.render, n_pictures))
    show(f"{protocol}: front picture", later)
    show(f"{protocol}: reset with both pictures", first)
    env.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=20)
    given = parser.parse_args()
    print(f"{'ms, median over tasks':34} {'wall':>9} {'CPU':>9}")
    env = make_suite_env(SUITE)
    measure_states(env, given.steps)
    env.close()
    try:
        os.environ.update(choose_renderer("mujoco").env)
    except NoRenderer as error:
        print(error)
        return
    for protocol in ("standard", "compact"):
        measure_pictures(protocol, given.pictures)


if __name__ == "__main__":
    main()
