"""What verification costs, as a multiple of the physics of the run that is verified.

    python -m benchmarks.verify [--suite metaworld_mt10] [--trials 3] [--chunk 1 8] [--passes 3]

A shaky expert runs the suite without pictures; its traces are then, in turns,

- executed by the simulator alone, in this process, without any of our code around it (`_start` and `_step`): the
  physics of the original run;
- replayed by `verify_run` with one worker: processor time of this process and of the simulator's, everything included
  (reading of rows and traces, digests, comparison), but for what starting an empty simulator process costs, which is
  measured too and shown beside it. It is paid once a worker, however many episodes follow.

Processor time, medians over the passes; at most 1.1 is wanted. A chunk of 1 is the hard case: the policy was asked, and
the state digested, at every step.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

import structlog

import vla_bench
from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import family_of, find_suite, open_env
from vla_bench.harness.replay import Verdict, recordings_of, verify_run
from vla_bench.harness.replay.recording import Recording
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.results.evidence import gather_evidence
from vla_bench.results.store import Store
from vla_bench.spec.suite import Suite

WANTED = 1.1
RUN = "verified"


class Cost(NamedTuple):
    """Processor seconds of one pass."""

    physics_s: float
    verification_s: float
    start_s: float

    @property
    def ratio(self) -> float:
        """Without the start of the simulator's process."""
        return (self.verification_s - self.start_s) / self.physics_s

    @property
    def whole_ratio(self) -> float:
        """With it."""
        return self.verification_s / self.physics_s


def cpu_s(action: Callable[[], object]) -> float:
    """Processor time of this process and of the children that ended meanwhile."""

    def spent() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    before = spent()
    action()
    return spent() - before


def simulate(suite: Suite, store: Store, recordings: list[Recording]) -> None:
    """The same episodes and actions, in the order in which they are replayed, with nothing of ours around them."""
    env = family_of(suite).make_env(suite, EnvOptions())
    order = [task.id for task in suite.tasks]
    with closing(env):
        for recording in sorted(recordings, key=lambda one: order.index(one.episode.task)):
            env.task, env.n_steps = suite.task(recording.episode.task), 0
            env._start(recording.episode)
            for action in store.trace(recording.trace_digest).actions:
                env._step(action)
                env.n_steps += 1


def measure(suite_name: str, chunk: int, trials: int, n_passes: int) -> None:
    """Run, verify and print one line."""
    suite = find_suite(suite_name)
    with tempfile.TemporaryDirectory() as folder:
        db = f"{folder}/results.db"
        policy = ExpertPolicy(noise=0.6, chunk=chunk)
        vla_bench.evaluate(policy, suite_name, trials=trials, name=RUN, db=db, workers=2)
        with Store.open(db, read_only=True) as store:
            recordings = recordings_of(gather_evidence(store, RUN).judged)
            costs = [one_pass(suite, store, recordings) for _ in range(n_passes)]
    n_steps = sum(recording.attempt.n_steps for recording in recordings)
    middle = sorted(costs, key=lambda cost: cost.ratio)[len(costs) // 2]
    whole = statistics.median(cost.whole_ratio for cost in costs)
    print(
        f"{suite_name}, chunk {chunk}: {len(recordings)} episodes, {n_steps} steps; physics {middle.physics_s:.1f} s, "
        f"verification {middle.verification_s:.1f} s, of which {middle.start_s:.1f} s to start; "
        f"ratio {middle.ratio:.2f} (wanted: at most {WANTED}), with the start {whole:.2f}"
    )


def one_pass(suite: Suite, store: Store, recordings: list[Recording]) -> Cost:
    """The two in turn, and the start of a process without an episode."""
    physics_s = cpu_s(lambda: simulate(suite, store, recordings))

    def verify() -> None:
        verification = verify_run(store, RUN, workers=1)
        assert verification.verdict is Verdict.EQUAL, verification

    return Cost(physics_s, cpu_s(verify), cpu_s(lambda: open_env(suite).close()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", nargs="*", default=["metaworld_mt10"])
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--chunk", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--passes", type=int, default=3)
    given = parser.parse_args()
    # Every stored attempt would be told otherwise.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    # The arithmetic of simulators is one core's work in workers; the same here.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for suite in given.suite:
        for chunk in given.chunk:
            measure(suite, chunk, given.trials, given.passes)


if __name__ == "__main__":
    main()
