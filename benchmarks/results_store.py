"""What it costs to store and list results: 10,000 episodes, each with a trace, in batches.

    python benchmarks/results_store.py [--episodes 10000] [--batch 10] [--db URL --empty-db URL]

Prints the cost of an episode in the first and the last tenth of a run, and their ratio, which is near 1 where nothing
grows. The two are measured side by side, batch by batch: one goes to an empty database, one to a database that holds
nine tenths of the run, so that whatever else this machine does falls on both. Medians of the batches are compared.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--db", default="", help="a database to fill; a temporary SQLite file where empty")
    parser.add_argument("--empty-db", default="", help="a second, empty database; a temporary SQLite file where empty")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        full = stack.enter_context(Store.open(options.db or Path(folder) / "full.db", Path(folder) / "full"))
        empty = stack.enter_context(Store.open(options.empty_db or Path(folder) / "empty.db", Path(folder) / "empty"))
        spec = run_spec(options.episodes)
        name = fill(full, empty, spec, options.batch)
        listing(full, name)


def fill(full: Store, empty: Store, spec: RunSpec, n_batch: int) -> str:
    """Store the whole run in `full` and its first tenth in `empty`; print costs; return the run's name."""
    rng = np.random.default_rng(0)
    episodes = spec.plan.episodes
    tenth = len(episodes) // 10
    started = time.perf_counter()
    name, first_name = full.begin_run(spec, fresh=True).name, empty.begin_run(spec, fresh=True).name
    print(f"begin_run, {len(episodes)} planned episodes, twice: {time.perf_counter() - started:.2f} s")
    started = time.perf_counter()
    for start in range(0, len(episodes) - tenth, n_batch):
        add(full, name, episodes[start : min(start + n_batch, len(episodes) - tenth)], rng)
    print(f"the first nine tenths, results made up included: {time.perf_counter() - started:.1f} s")
    first_ms, last_ms = [], []
    for start in range(0, tenth, n_batch):
        offset = len(episodes) - tenth + start
        first_ms.append(add(empty, first_name, episodes[start : min(start + n_batch, tenth)], rng))
        last_ms.append(add(full, name, episodes[offset : offset + n_batch], rng))
    first, last = statistics.median(first_ms), statistics.median(last_ms)
    print(f"add, batches of {n_batch}: first tenth {first:.2f} ms, last tenth {last:.2f} ms an episode")
    print(f"ratio last / first: {last / first:.3f}")
    return name


def add(store: Store, name: str, episodes: Sequence[Episode], rng: np.random.Generator) -> float:
    """Store made-up results; returns milliseconds an episode."""
    results = [result_of(episode, rng) for episode in episodes]
    started = time.perf_counter()
    store.add(name, results)
    return (time.perf_counter() - started) * 1000 / len(results)


def listing(store: Store, name: str) -> None:
    """Print the cost of reading what was stored."""
    calls: dict[str, Callable[[], object]] = {
        "outcomes (resume)": lambda: store.outcomes(name),
        "summary, computed, SciPy's import included": lambda: store.summary(name),
        "summary, computed": lambda: store.summary(name),
        "finish": lambda: store.finish(name),
        "summary, stored": lambda: store.summary(name),
        "summaries, stored": store.summaries,
    }
    for what, call in calls.items():
        started = time.perf_counter()
        call()
        print(f"{what}: {(time.perf_counter() - started) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
