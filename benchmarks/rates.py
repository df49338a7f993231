"""What the statistics cost: rates of a hundred runs, one paired comparison, and what the shortcuts save.

    python benchmarks/rates.py [--runs 100] [--episodes 10030]

Every figure is the best of three, CPU and wall time, with imports paid beforehand. Each stands beside a baseline that
does the same without the shortcut: rows through Python one by one instead of columns, `binomtest` and root finding per
task instead of once per pair of counts. Ratios are of CPU time in this process.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import sqlalchemy as sa
import structlog

from vla_bench.results.comparison.differences import suite_difference
from vla_bench.results.comparison.loading import load_vectors
from vla_bench.results.comparison.pairing import pair_runs
from vla_bench.results.reading import find_run
from vla_bench.results.runs import RunSpec
from vla_bench.results.stats.paired import mcnemar_p, tango_interval
from vla_bench.results.stats.suites import TaskCounts, mean_rate, tasks_like_these, these_tasks
from vla_bench.results.store import Store
from vla_bench.results.tables import EPISODE
from vla_bench.spec.conventions import ActionConvention
from vla_bench.spec.episode import make_plan
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import ActionBounds, Protocol, Suite, Task

N_BASE_TASKS = 40
BUDGET_RATES_S, BUDGET_PAIR_S = 2.0, 0.5


def suite_of(n_tasks: int) -> Suite:
    """One-trial tasks, each a variant of a base task, in seven dimensions: the shape of LIBERO-Plus."""
    tasks = tuple(
        Task(
            id=f"task_{i:05d}_with_a_name_as_long_as_they_are",
            instruction="do it",
            horizon=200,
            tags={"base_task": f"base_{i % N_BASE_TASKS}", "dimension": f"d{i % 7}"},
        )
        for i in range(n_tasks)
    )
    protocol = Protocol(name="standard", version=1, n_trials=1, base_seed=0, action_bounds=ActionBounds.CLIP)
    return Suite(
        name="benchmark", family="benchmark", title="", protocol=protocol, tasks=tasks, cameras=(), state={},
        action=ActionConvention(name="benchmark", size=7), group_by=("dimension",),
    )  # fmt: skip


def fill(store: Store, n_runs: int, n_episodes: int) -> list[str]:
    """Store made-up outcomes of `n_runs` runs of one plan, without attempts."""
    suite = suite_of(n_episodes)
    plan = make_plan(suite)
    rng = np.random.default_rng(0)
    hardness = rng.random(n_episodes)
    names = []
    for number in range(n_runs):
        spec = RunSpec(
            name=f"run-{number}", suite=suite, plan=plan, settings=EvalSettings(), policy=PolicyInfo(name=f"p{number}")
        )
        names.append(store.begin_run(spec).name)
        mixed = np.where(rng.random(n_episodes) < 0.7, hardness, rng.random(n_episodes))
        with store.database.write() as connection:
            run_id = find_run(connection, spec.name)["id"]
            rows = [
                {
                    "run_id": run_id, "episode_id": episode.id, "position": at, "task": episode.task, "trial": 0,
                    "repeat": 0, "outcome": "success" if mixed[at] < 0.8 else "failure", "error_kind": "",
                    "n_attempts": 1, "n_steps": 200, "n_clipped": 0, "flags": [],
                }
                for at, episode in enumerate(plan.episodes)
            ]  # fmt: skip
            connection.execute(sa.insert(EPISODE), rows)
    return names


def rates(store: Store, names: Sequence[str]) -> list[object]:
    """Every run's rate and both intervals, from its episodes in the database."""
    found: list[object] = []
    for vector in load_vectors(store, names):
        counts = vector.counts()
        assert counts is not None
        found.append((mean_rate(counts), these_tasks(counts), tasks_like_these(counts)))
    return found


def rates_row_by_row(store: Store, names: Sequence[str]) -> list[object]:
    """The same through Python objects: one row per episode, one `TaskCounts` per task."""
    found: list[object] = []
    for name in names:
        with store.database.read() as connection:
            run = find_run(connection, name)
            columns = (EPISODE.c.task, EPISODE.c.outcome)
            rows = connection.execute(sa.select(*columns).where(EPISODE.c.run_id == run["id"])).all()
        bases = {task: f"base_{int(task.split('_')[1]) % N_BASE_TASKS}" for task, _ in rows}
        counts = [TaskCounts(task, ((int(outcome == "success"), 1),), bases[task]) for task, outcome in rows]
        found.append((mean_rate(counts), these_tasks(counts), tasks_like_these(counts)))
    return found


def paired(store: Store, names: Sequence[str]) -> object:
    """Two runs, loaded and compared: the suite, its groups, and every task."""
    base, new = load_vectors(store, names[:2])
    return suite_difference(pair_runs(new, base))


def forget() -> None:
    """Empty the memory of the tests."""
    for remembered in (mcnemar_p, tango_interval):
        remembered.cache_clear()


def tests_per_task(n: int, *, is_remembered: bool) -> None:
    """Tango's interval and McNemar's test for each of `n` one-trial tasks."""
    forget()
    interval = tango_interval if is_remembered else tango_interval.__wrapped__
    test = mcnemar_p if is_remembered else mcnemar_p.__wrapped__
    for index in range(n):
        new_only, base_only = int(index % 3 == 0), int(index % 3 == 1)
        interval(new_only, base_only, 1)
        test(new_only, base_only)


def best_of_three(call: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    costs = []
    for _ in range(3):
        cpu, wall = time.process_time(), time.perf_counter()
        call()
        costs.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(cost[0] for cost in costs), min(cost[1] for cost in costs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--episodes", type=int, default=10_030)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "results.db") as store:
        names = fill(store, options.runs, options.episodes)
        rates(store, names[:1])
        paired(store, names)
        cpu, wall = best_of_three(lambda: rates(store, names))
        print(f"rates with both intervals, {options.runs} runs x {options.episodes:,} episodes: {cpu:.2f} s CPU, "
              f"{wall:.2f} s wall (budget {BUDGET_RATES_S} s)")  # fmt: skip
        few = names[: max(1, len(names) // 10)]
        slow, _ = best_of_three(lambda: rates_row_by_row(store, few))
        print(f"  row by row: {slow * len(names) / len(few):.2f} s CPU, ratio {slow * len(names) / len(few) / cpu:.1f}")
        cpu, wall = best_of_three(lambda: (forget(), paired(store, names)))
        print(f"paired comparison of two runs of {options.episodes:,}: {cpu:.3f} s CPU, {wall:.3f} s wall "
              f"(budget {BUDGET_PAIR_S} s)")  # fmt: skip
        remembered, _ = best_of_three(lambda: tests_per_task(options.episodes, is_remembered=True))
        tenth = max(1, options.episodes // 10)
        anew, _ = best_of_three(lambda: tests_per_task(tenth, is_remembered=False))
        anew *= options.episodes / tenth
        print(f"interval and test per task: {remembered:.3f} s CPU remembered by counts, {anew:.2f} s anew, "
              f"ratio {anew / remembered:.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
