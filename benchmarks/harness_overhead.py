"""What the harness costs: time that is neither in the simulator or renderer nor waiting for the policy.

    python -m benchmarks.harness_overhead [--suite metaworld_mt10] [--protocol compact] [--chunk 8] [--passes 5]

Two measurements:

Share of wall time: a real run with one worker, both cameras, a policy in a server process over HTTP. Of each attempt,
the simulator reports the time inside it (renderer included), the harness measures the time from each question to its
answer; what is left of the attempt's wall time is ours: passing actions and pictures between processes, checks,
bookkeeping. The share of the whole run also holds what lies between attempts, the start of the simulator's process and
the writing of results. Under 3 % is wanted.

CPU per step: episodes with a policy in this process and no rendering, CPU time of this process and of the simulator's
together. The CPU time of the simulator alone, on the same episodes and actions, without any of our code around it, is
measured in the same pass, in turns, and subtracted: `_step` for the steps and `_start` for the resets. The median over
the passes is shown; under 0.2 ms is wanted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.policy_servers import process_cpu_s
from vla_bench.envs.base import EnvOptions, SuiteEnv
from vla_bench.envs.registry import family_of, find_suite
from vla_bench.envs.runtime.supervisor import WorkerEnv
from vla_bench.harness.config import RunConfig
from vla_bench.harness.episode import run_episode
from vla_bench.harness.events import Listener, RunStarted
from vla_bench.harness.execute import execute_run
from vla_bench.harness.rollout import Rollout
from vla_bench.policies.builtin.noop import NoopPolicy
from vla_bench.policies.inline import InlineConnection
from vla_bench.spec.bind import bind
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.result import EpisodeResult
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite

SHARE, CPU_MS = 0.03, 0.2


class Clock(Listener):
    """When the run began and its last episode ended."""

    def __init__(self) -> None:
        self.begin_s = self.end_s = 0.0

    def run_started(self, started: RunStarted) -> None:
        """Note the begin."""
        self.begin_s = time.perf_counter()

    def episode_finished(self, result: EpisodeResult) -> None:
        """Note the end so far."""
        self.end_s = time.perf_counter()


def measure_share(suite: str, protocol: str, chunk: int, trials: int) -> None:
    """Run for real and print where the wall time went."""
    cameras = [camera.name for camera in find_suite(suite, protocol).cameras]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(
            policy="expert",
            policy_options={"cameras": cameras, "chunk": chunk},
            suite=suite,
            protocol=protocol,
            trials=trials,
            workers=1,
            db=f"{folder}/results.db",
        )
        summary = execute_run(config, listener=clock)
    found = summary.latencies
    assert found.harness_share is not None
    assert found.env_share is not None
    assert found.policy_share is not None
    outside_s = found.wall_s * (found.env_share + found.policy_share)
    whole_s = clock.end_s - clock.begin_s
    print(f"{suite} {summary.protocol}, cameras {', '.join(cameras)}, chunk {chunk}: {summary.score_line}")
    print(
        f"  {found.n_queries} questions in {found.wall_s:.1f} s: simulator and renderer {found.env_share:.1%},", end=" "
    )
    print(f"policy {found.policy_share:.1%}, harness {found.harness_share:.2%}", end=" ")
    print(
        f"({1e3 * found.wall_s * found.harness_share / found.n_queries:.2f} ms per question; wanted: under {SHARE:.0%})"
    )
    print(f"  whole run {whole_s:.1f} s: harness, starts and storing {1 - outside_s / whole_s:.1%}")


class Cost(NamedTuple):
    """CPU time of a pass, seconds, and its steps."""

    ours_s: float
    worker_s: float
    alone_s: float
    n_steps: int

    @property
    def ms(self) -> float:
        """Overhead per step, milliseconds."""
        return 1e3 * (self.ours_s + self.worker_s - self.alone_s) / self.n_steps


@dataclass
class Bench:
    """A suite, and the same episodes through the harness and without it."""

    suite: Suite
    episodes: Sequence[Episode]
    chunk: int

    def passes(self, count: int) -> list[Cost]:
        """Run `count` passes after one that warms up."""
        family = family_of(self.suite)
        alone = family.make_env(self.suite, EnvOptions())
        worker = WorkerEnv(family, self.suite, EnvOptions())
        connection = InlineConnection(NoopPolicy(chunk=self.chunk))
        try:
            return [self._pass(alone, worker, connection) for _ in range(count + 1)][1:]
        finally:
            connection.close()
            worker.close()
            alone.close()

    def _pass(self, alone: SuiteEnv, worker: WorkerEnv, connection: InlineConnection) -> Cost:
        settings = EvalSettings()
        binding = bind(connection.info, self.suite, settings)
        actions: list[NDArray[np.float32]] = []
        ours_s, worker_s = time.process_time(), process_cpu_s(worker.pid)
        for episode in self.episodes:
            rollout = Rollout(self.suite, episode, 0, binding, settings)
            session = connection.open_session()
            run_episode(worker, session, rollout)
            session.close()
            trace = rollout.result().trace
            assert trace is not None
            actions.append(trace.actions)
        ours_s, worker_s = time.process_time() - ours_s, process_cpu_s(worker.pid) - worker_s
        alone_s = time.process_time()
        for episode, taken in zip(self.episodes, actions, strict=True):
            alone.task = self.suite.task(episode.task)
            alone.n_steps = 0
            alone._start(episode)
            for action in taken:
                alone._step(action)
        alone_s = time.process_time() - alone_s
        return Cost(ours_s, worker_s, alone_s, sum(len(taken) for taken in actions))


def measure_cpu(suite: str, chunk: int, n_passes: int) -> None:
    """Measure and print the CPU time per step."""
    found = find_suite(suite)
    episodes = make_plan(found, tasks=[task.id for task in found.tasks[:2]], n_trials=2).episodes
    costs = Bench(found, episodes, chunk).passes(n_passes)
    n_steps = costs[0].n_steps
    parts = [1e3 * statistics.median(getattr(c, part) for c in costs) / n_steps for part in Cost._fields[:3]]
    overhead_ms = statistics.median(cost.ms for cost in costs)
    print(
        f"{suite}, chunk {chunk}, {n_steps} steps: this process {parts[0]:.3f} ms, worker {parts[1]:.3f} ms,", end=" "
    )
    print(f"the simulator alone {parts[2]:.3f} ms; overhead {overhead_ms:.3f} ms per step (wanted: under {CPU_MS})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="metaworld_mt10")
    parser.add_argument("--protocol", default="compact", help="compact is the harder one: its pictures cost less")
    parser.add_argument("--chunk", type=int, default=8)
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--only", choices=["share", "cpu"], default="")
    arguments = parser.parse_args()
    # The arithmetic of simulators is one core's work in workers; the same here.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if arguments.only != "cpu":
        measure_share(arguments.suite, arguments.protocol, arguments.chunk, arguments.trials)
    if arguments.only != "share":
        print(f"CPU time per step, median of {arguments.passes} passes:")
        for suite in ("toy_reach", arguments.suite):
            for chunk in (1, arguments.chunk):
                measure_cpu(suite, chunk, arguments.passes)


if __name__ == "__main__":
    main()
