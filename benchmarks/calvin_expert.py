"""How far CALVIN's scripted expert comes in the evaluation's chains, subtask by subtask.

    python benchmarks/calvin_expert.py [--chains 100] [--first 0] [--workers 2]

Prints the chains that broke and where, a table of the 34 subtasks, success rates after 1 … 5 subtasks and the average
length. No pictures are drawn. The same chains give the same steps, whatever the number of workers.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from time import perf_counter, process_time
from typing import NamedTuple

from vla_bench.envs.base import EnvState, SuiteEnv
from vla_bench.envs.registry import find_suite, make_suite_env
from vla_bench.policies.builtin.experts.calvin import controller
from vla_bench.spec.episode import Episode, make_plan

SUITE = "calvin_abc_d"


class Attempt(NamedTuple):
    """One subtask of one chain."""

    subtask: str
    success: bool
    n_steps: int


class Chain(NamedTuple):
    """One chain: what was attempted, and its CPU time."""

    task: str
    attempts: list[Attempt]
    cpu_s: float


def attempt_chain(env: SuiteEnv, episode: Episode) -> Iterator[Attempt]:
    """Run a chain as a run does: a fresh controller for each stage."""
    subtasks: list[str] = list(episode.params["subtasks"])
    state: EnvState = env.start(episode)
    stage, begin, act = 0, 0, controller(episode.task)
    while not state.is_over:
        state = env.advance(act(state.privileged)[None])
        if state.is_over or state.stage > stage:
            yield Attempt(subtasks[stage], state.success or state.stage > stage, state.step - begin)
            stage, begin, act = state.stage, state.step, controller(episode.task)


@cache
def _env() -> SuiteEnv:
    return make_suite_env(SUITE, privileged=True)


def run_chain(number: int) -> Chain:
    """Run one chain in this process."""
    suite = find_suite(SUITE)
    begin = process_time()
    (episode,) = make_plan(suite, tasks=[suite.tasks[number].id]).episodes
    return Chain(episode.task, list(attempt_chain(_env(), episode)), process_time() - begin)


def print_table(chains: list[Chain]) -> None:
    by_subtask: defaultdict[str, list[Attempt]] = defaultdict(list)
    for chain in chains:
        for attempt in chain.attempts:
            by_subtask[attempt.subtask].append(attempt)
    print(f"\n{'subtask':28} {'done':>9}  steps: median, most")
    for subtask, attempts in sorted(by_subtask.items()):
        steps = sorted(attempt.n_steps for attempt in attempts if attempt.success)
        spread = f"{steps[len(steps) // 2]:4} {steps[-1]:4}" if steps else "none"
        print(f"{subtask:28} {len(steps):4}/{len(attempts):<4}  {spread}")


def print_lengths(chains: list[Chain]) -> None:
    lengths = [sum(attempt.success for attempt in chain.attempts) for chain in chains]
    rates = [sum(length >= least for length in lengths) / len(lengths) for least in range(1, 6)]
    print("\nSR@1…5   " + "  ".join(f"{100 * rate:.1f} %" for rate in rates))
    print(f"average length {sum(lengths) / len(lengths):.3f} over {len(lengths)} chains")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    numbers = range(given.first, given.first + given.chains)
    begin = perf_counter()
    # A fresh interpreter each: a simulator does not survive a fork.
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        chains = []
        for chain in pool.map(run_chain, numbers):
            chains.append(chain)
            last = chain.attempts[-1]
            if not last.success:
                print(f"{chain.task} broke at {last.subtask}, subtask {len(chain.attempts)}", flush=True)
    print_table(chains)
    print_lengths(chains)
    n_steps = sum(attempt.n_steps for chain in chains for attempt in chain.attempts)
    cpu_s = sum(chain.cpu_s for chain in chains)
    print(f"{n_steps} steps, {1e3 * cpu_s / n_steps:.2f} ms CPU each with starts and expert, {cpu_s:.0f} s CPU in all,")
    print(f"{perf_counter() - begin:.0f} s on {given.workers} workers")


if __name__ == "__main__":
    main()
