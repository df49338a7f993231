"""What perturbations cost: a reset without pictures, the first picture, and a later one, CPU milliseconds.

    python benchmarks/metaworld_plus_costs.py [--protocol compact] [--task push-v3]

The plain suite stands in the first row; all rows are measured in one process, the median of `--repeats` episodes each.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import process_time

import numpy as np

from vla_bench.envs.base import SuiteEnv
from vla_bench.envs.perturb import NOISE_KINDS, Dimension
from vla_bench.envs.registry import make_suite_env
from vla_bench.spec.episode import Episode, make_plan

ACTION = np.zeros((1, 4), np.float32)


def episodes(env: SuiteEnv, task: str, n: int) -> tuple[Episode, ...]:
    """The first trials of a task."""
    return make_plan(env.suite, tasks=[task], n_trials=n).episodes


def resets(env: SuiteEnv, chosen: tuple[Episode, ...]) -> float:
    """Median of a reset; one is made before, so that nothing is compiled within."""
    env.start(chosen[-1])
    times = []
    for episode in chosen:
        begin = process_time()
        env.start(episode)
        times.append(process_time() - begin)
    return 1e3 * median(times)


def steps(env: SuiteEnv, episode: Episode, n: int = 8) -> float:
    """Median of a step with its picture."""
    env.start(episode)
    times = []
    for _ in range(n):
        begin = process_time()
        env.advance(ACTION)
        times.append(process_time() - begin)
    return 1e3 * median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", default="compact")
    parser.add_argument("--task", default="push-v3")
    parser.add_argument("--repeats", type=int, default=10)
    given = parser.parse_args()
    rows = {"plain": ("metaworld_mt10", given.task)}
    rows |= {str(dimension): ("metaworld_plus", f"{given.task}.{dimension}-5") for dimension in Dimension}
    envs = {}
    for suite in ("metaworld_mt10", "metaworld_plus"):
        for cameras in ((), ("front",)):
            envs[suite, cameras] = make_suite_env(suite, protocol=given.protocol, cameras=cameras)
    print(f"{'dimension':12}{'reset':>8}{'with picture':>14}{'a step with picture':>21}   CPU ms")
    for row, (suite, task) in rows.items():
        blind, seeing = envs[suite, ()], envs[suite, ("front",)]
        chosen = episodes(blind, task, given.repeats)
        later = steps(seeing, chosen[0])
        print(f"{row:12}{resets(blind, chosen):8.1f}{resets(seeing, chosen):14.1f}{later:21.1f}", flush=True)
    for trial, kind in enumerate(NOISE_KINDS):
        seeing = envs["metaworld_plus", ("front",)]
        episode = episodes(seeing, f"{given.task}.noise-5", len(NOISE_KINDS))[trial]
        print(f"  {kind:10}{'':22}{steps(seeing, episode):21.1f}")
    for env in envs.values():
        env.close()


if __name__ == "__main__":
    main()
