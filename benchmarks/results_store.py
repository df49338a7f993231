"""What it costs to store and list results: 10,000 episodes, each with a trace, in batches.

    python benchmarks/results_store.py [--episodes 10000] [--batch 10] [--db URL]

Prints the cost of an episode in the first and the last tenth and their ratio, which stays near 1 where nothing grows.
Each tenth is the median of its batches, so that one slow sync of the disk does not decide.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import structlog

from vla_bench.results.runs import RunSpec
from vla_bench.results.store import Store
from vla_bench.spec.conventions import ActionConvention
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, EpisodeResult, Fingerprint, Latencies, StageResult, Trace
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import ActionBounds, Protocol, Suite, Task

N_TASKS = 50
N_STEPS, CHUNK = 200, 8
MACHINE = Fingerprint(cpu="x86_64", os="Linux", python="3.11", packages={"simulator": "1.0"})


def run_spec(n_episodes: int) -> RunSpec:
    n_trials = -(-n_episodes // N_TASKS)
    protocol = Protocol(
        name="standard", version=1, n_trials=n_trials, base_seed=0, action_bounds=ActionBounds.CLIP
    )  # fmt: skip
    tasks = tuple(Task(id=f"task-{i}", instruction="do it", horizon=N_STEPS) for i in range(N_TASKS))
    suite = Suite(
        name="benchmark", family="benchmark", title="", protocol=protocol, tasks=tasks, cameras=(), state={},
        action=ActionConvention(name="benchmark", size=7),
    )  # fmt: skip
    plan = make_plan(suite)
    plan = replace(plan, episodes=plan.episodes[:n_episodes])
    return RunSpec(name="benchmark", suite=suite, plan=plan, settings=EvalSettings(), policy=PolicyInfo(name="made up"))


def result_of(episode: Episode, rng: np.random.Generator) -> EpisodeResult:
    n_queries = N_STEPS // CHUNK
    latency_ms = rng.gamma(20, 2, n_queries).astype(np.float32)
    trace = Trace(
        actions=rng.normal(size=(N_STEPS, 7)).astype(np.float32),
        query_steps=np.arange(0, N_STEPS, CHUNK, dtype=np.int32),
        digests=tuple(rng.bytes(16).hex() for _ in range(n_queries + 1)),
        latency_ms=latency_ms,
        server_ms=latency_ms / 2,
    )
    is_success = bool(rng.random() < 0.9)
    attempt = AttemptResult(
        attempt=0, outcome=Outcome.SUCCESS if is_success else Outcome.FAILURE, n_steps=N_STEPS,
        stages=(StageResult(index=0, success=is_success, n_steps=N_STEPS),), facts={"rand_vec": [0.1] * 6},
        initial_digest=trace.digests[0], final_digest=trace.digests[-1],
        latencies=Latencies(wall_ms=9000, policy_ms=1000, env_ms=7900, n_queries=n_queries, policy_max_ms=60),
        fingerprint=MACHINE, trace=trace, started_at="2030-01-01T00:00:00+00:00",
    )  # fmt: skip
    return EpisodeResult(episode=episode, attempts=(attempt,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--db", default="", help="a database to fill; a temporary SQLite file where empty")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        measure(options.episodes, options.batch, options.db or str(Path(folder) / "results.db"))


def measure(n_episodes: int, n_batch: int, target: str) -> None:
    rng = np.random.default_rng(0)
    spec = run_spec(n_episodes)
    with Store.open(target) as store:
        started = time.perf_counter()
        record = store.begin_run(spec, fresh=True)
        print(f"begin_run of {n_episodes} planned episodes: {time.perf_counter() - started:.2f} s")
        costs_ms = []
        for start in range(0, n_episodes, n_batch):
            results = [result_of(episode, rng) for episode in spec.plan.episodes[start : start + n_batch]]
            started = time.perf_counter()
            store.add(record.name, results)
            costs_ms.append((time.perf_counter() - started) * 1000 / len(results))
        tenth = max(1, len(costs_ms) // 10)
        first, last = statistics.median(costs_ms[:tenth]), statistics.median(costs_ms[-tenth:])
        print(f"add, batches of {n_batch}: first tenth {first:.2f} ms, last tenth {last:.2f} ms an episode")
        print(f"ratio last / first: {last / first:.3f}")
        for name, call in {
            "outcomes (resume)": lambda: store.outcomes(record.name),
            "summary, computed": lambda: store.summary(record.name),
            "summaries, computed": store.summaries,
            "finish": lambda: store.finish(record.name),
            "summary, stored": lambda: store.summary(record.name),
            "summaries, stored": store.summaries,
        }.items():
            started = time.perf_counter()
            call()
            print(f"{name}: {(time.perf_counter() - started) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
