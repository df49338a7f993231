"""How often Meta-World's scripted experts solve the perturbed tasks: where they cannot, nobody is to be blamed.

    python benchmarks/metaworld_plus_expert.py [--trials 5] [--dimensions robot layout]
    python benchmarks/metaworld_plus_expert.py --suite metaworld_plus_mt50 --trials 2

The experts read the simulator's state, so that only the dimensions that change it can hurt them: robot and layout. Of
the other five the initial states are compared with those of the plain tasks instead: the rates are then the same.
Prints one row per task and one line of totals; two runs on one machine print the same digest.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import defaultdict
from time import process_time

from vla_bench.envs.base import SuiteEnv
from vla_bench.envs.metaworld.plus.suite import SUITES
from vla_bench.envs.perturb import LEVELS, Dimension
from vla_bench.envs.registry import make_suite_env
from vla_bench.policies.builtin.experts.metaworld import controller
from vla_bench.spec.episode import Episode, make_plan

CHANGES_STATES = (Dimension.ROBOT, Dimension.LAYOUT)


def solve(env: SuiteEnv, episode: Episode) -> tuple[bool, int, str]:
    """Run one episode: success, steps, digest of the final state."""
    expert = controller(episode.task)
    state = env.start(episode)
    while not state.is_over:
        state = env.advance(expert(state.privileged)[None])
    return state.success, state.step, state.digest


def count(env: SuiteEnv, tasks: list[str], trials: int, digest: hashlib.blake2b) -> int:
    """Solved episodes of some tasks."""
    results = [solve(env, episode) for episode in make_plan(env.suite, tasks=tasks, n_trials=trials).episodes]
    digest.update("".join(final for _, _, final in results).encode())
    return sum(success for success, _, _ in results)


def check_states(plain: SuiteEnv, plus: SuiteEnv, trials: int) -> int:
    """Compare initial states of the other dimensions with the plain ones; returns how many were compared."""
    n_equal = 0
    wanted = {(e.task, e.trial): plain.start(e).digest for e in make_plan(plain.suite, n_trials=trials).episodes}
    for episode in make_plan(plus.suite, n_trials=trials).episodes:
        if episode.params["dimension"] not in CHANGES_STATES:
            found = plus.start(episode).digest
            assert found == wanted[episode.params["base_task"], episode.trial], episode.task
            n_equal += 1
    return n_equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=list(SUITES), default="metaworld_plus")
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--dimensions", nargs="+", default=[str(dimension) for dimension in CHANGES_STATES])
    given = parser.parse_args()
    plain = make_suite_env(SUITES[given.suite], privileged=True)
    plus = make_suite_env(given.suite, privileged=True)
    digest, begin = hashlib.blake2b(digest_size=8), process_time()
    totals: defaultdict[str, int] = defaultdict(int)
    columns = [f"{dimension}-{level}" for dimension in given.dimensions for level in LEVELS]
    print(f"solved of {given.trials}")
    print(f"{'task':26}{'plain':>7}" + "".join(f"{column:>10}" for column in columns))
    for task in plain.suite.tasks:
        row = {"plain": count(plain, [task.id], given.trials, digest)}
        for column in columns:
            row[column] = count(plus, [f"{task.id}.{column}"], given.trials, digest)
        for column, solved in row.items():
            totals[column] += solved
        print(f"{task.id:26}{row['plain']:7}" + "".join(f"{row[column]:10}" for column in columns), flush=True)
    n = given.trials * len(plain.suite.tasks)
    print(f"{f'all, of {n}':26}{totals['plain']:7}" + "".join(f"{totals[column]:10}" for column in columns))
    print(f"final states {digest.hexdigest()}, {process_time() - begin:.0f} s CPU")
    print(f"{check_states(plain, plus, given.trials)} initial states of the other dimensions are the plain ones")
    plain.close()
    plus.close()


if __name__ == "__main__":
    main()
