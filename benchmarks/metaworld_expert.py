"""How well Meta-World's scripted experts solve its tasks under our episode rule, and what a step costs.

    python benchmarks/metaworld_expert.py [--suite metaworld_mt50] [--trials 10]

Prints a table per task, the total, and a digest of all final states: two runs on one machine print the same one.
"""

from __future__ import annotations

import argparse
import hashlib
from time import perf_counter, process_time

from vla_bench.envs.base import SuiteEnv
from vla_bench.envs.registry import find_suite, make_suite_env
from vla_bench.policies.builtin.experts.metaworld import controller
from vla_bench.spec.episode import Episode, make_plan


def solve(env: SuiteEnv, episode: Episode) -> tuple[bool, int, str]:
    """Run one episode: success, steps, digest of the final state."""
    expert = controller(episode.task)
    state = env.start(episode)
    while not state.is_over:
        state = env.advance(expert(state.privileged)[None])
    return state.success, state.step, state.digest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="metaworld_mt50")
    parser.add_argument("--trials", type=int, default=10)
    given = parser.parse_args()
    suite = find_suite(given.suite)
    env = make_suite_env(suite.name, privileged=True)
    digest, n_success, n_steps = hashlib.blake2b(digest_size=8), 0, 0
    begin, cpu = perf_counter(), process_time()
    print(f"{'task':32} {'difficulty':10} {'ok':>7}  steps to success")
    for task in suite.tasks:
        results = [solve(env, e) for e in make_plan(suite, tasks=[task.id], n_trials=given.trials).episodes]
        steps = [taken for success, taken, _ in results if success]
        n_success, n_steps = n_success + len(steps), n_steps + sum(taken for _, taken, _ in results)
        digest.update("".join(final for _, _, final in results).encode())
        spread = f"{min(steps)}–{max(steps)}" if steps else "none"
        print(f"{task.id:32} {task.tags['difficulty']:10} {len(steps):3}/{len(results):<3}  {spread}", flush=True)
    env.close()
    wall, cpu = perf_counter() - begin, process_time() - cpu
    print(f"{n_success}/{len(suite.tasks) * given.trials} solved in {n_steps} steps")
    print(f"{1e3 * wall / n_steps:.2f} ms wall, {1e3 * cpu / n_steps:.2f} ms CPU per step, resets and experts included")
    print(f"final states {digest.hexdigest()}")


if __name__ == "__main__":
    main()
