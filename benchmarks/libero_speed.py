"""LIBERO against the loop that everybody else uses: episodes per CPU-hour, resets, memory, workers, and bit equality.

    python benchmarks/libero_speed.py ratio                      full libero_spatial episodes, chunks 8, 5 and 1
    python benchmarks/libero_speed.py ratio --blind --chunks 8   the same without pictures: resets and physics alone
    python benchmarks/libero_speed.py switches                   the same without one shortcut at a time, chunk 8
    python benchmarks/libero_speed.py equal                      eleven tasks of different kinds, three episodes each
    python benchmarks/libero_speed.py resets                     CPU time of a reset, trials 0 to 49
    python benchmarks/libero_speed.py memory --episodes 300      resident memory of one worker
    python benchmarks/libero_speed.py workers                    one worker against two

The other loop is upstream's: a hard reset for every episode, both 256x256 cameras drawn in every step (see
`tests/envs/libero_stock.py`). Both run on the same MuJoCo and the same renderer, one thread each, one after the other.
The policy answers at once.
"""

from __future__ import annotations

import argparse
import sys
import threading
from dataclasses import fields
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.envs.libero_play import difference, play  # noqa: E402
from vla_bench.envs.base import EnvOptions  # noqa: E402
from vla_bench.envs.libero.speedups import Speedups  # noqa: E402
from vla_bench.envs.registry import family_of, find_suite, open_env  # noqa: E402
from vla_bench.envs.runtime.install import installation_status  # noqa: E402
from vla_bench.envs.runtime.limits import WorkerLimits  # noqa: E402
from vla_bench.spec.episode import make_plan  # noqa: E402

KINDS = [
    ("libero_spatial", 0), ("libero_spatial", 4), ("libero_spatial", 7), ("libero_object", 3), ("libero_goal", 0),
    ("libero_goal", 7), ("libero_10", 2), ("libero_10", 3), ("libero_10", 9), ("libero_90", 5), ("libero_90", 40),
]  # fmt: skip
"""Bowls between fixtures, in a drawer, on a stove; a floor; a cabinet and a burner to be worked; kitchens with stove,
drawer and microwave; a desk; a task whose list of initialisers grows; a living room."""

PATIENT = WorkerLimits(start_s=600, call_s=300)


def interpreter() -> Path:
    status = installation_status(family_of("libero"))
    if status.interpreter is None:
        raise SystemExit(f"{status.reason} Type: {status.fix_line}")
    return status.interpreter


def ratio(arguments: argparse.Namespace) -> None:
    """Episodes per CPU-hour and per hour, against the stock loop in the same run."""
    python = interpreter()
    job = {
        "suite": arguments.suite, "task": arguments.task, "trials": arguments.trials, "steps": arguments.steps,
        "digests": False, "speedups": arguments.speedups, "cameras": not arguments.blind,
    }  # fmt: skip
    stock = play(python, loop="stock", chunk=1, **job)
    print(f"{job['suite']} task {job['task']}, {job['trials']} episodes of 10 + {job['steps']} steps")
    print(f"{'loop':<10} {'CPU s/episode':>14} {'wall s/episode':>15} {'x CPU':>7} {'x wall':>7}  bits")
    base = [mean(stock, name) for name in ("cpu_s", "wall_s")]
    print(f"{'stock':<10} {base[0]:14.2f} {base[1]:15.2f} {1:7.2f} {1:7.2f}")
    for chunk in arguments.chunks:
        ours = play(python, loop="ours", chunk=chunk, **job)
        cpu, wall = (mean(ours, name) for name in ("cpu_s", "wall_s"))
        faults = [fault for pair in zip(ours, stock, strict=True) if (fault := difference(*pair))]
        line = f"{cpu:14.2f} {wall:15.2f} {base[0] / cpu:7.2f} {base[1] / wall:7.2f}"
        print(f"{f'chunk {chunk}':<10} {line}  {'; '.join(faults) or 'equal'}", flush=True)


def mean(records: list[dict[str, Any]], name: str) -> float:
    return float(np.mean([record[name] for record in records]))


def switches(arguments: argparse.Namespace) -> None:
    """What each shortcut saves: full episodes through `LiberoEnv` at chunk 8, and resets and steps without cameras."""
    python = interpreter()
    names = [field.name for field in fields(Speedups)]
    without = {name: ",".join(other for other in names if other != name) for name in names}
    settings = {"all taken": {}, **{f"no {name}": {"speedups": text} for name, text in without.items()}}
    settings |= {"none": {"speedups": "none"}, "every step drawn": {"lazy": False}}
    if arguments.rows:
        settings = {name: settings[name] for name in ("all taken", *arguments.rows)}
    task = {"suite": arguments.suite, "task": arguments.task}
    print(f"{task['suite']} task {task['task']}, CPU time; {arguments.trials} episodes of 10 + {arguments.steps} steps")
    print(f"{'':<24} {'s an episode':>12} {'x':>6} {'reset ms, trial 49':>19} {'ms a step':>10}  bits")
    first: list[dict[str, Any]] = []
    for name, changes in settings.items():
        whole = {"loop": "env", "steps": arguments.steps, "trials": arguments.trials + 1}
        # The first episode compiles the scene and uploads its textures.
        records = play(python, **task, **whole, **changes)[1:]
        first = first or records
        faults = [fault for pair in zip(records, first, strict=True) if (fault := difference(*pair))]
        blind = {**task, "cameras": False, "digests": False, "speedups": changes.get("speedups", "")}
        reset = play(python, first=48, trials=50, steps=0, settling=0, **blind)[-1]["reset_cpu_s"]
        step = np.mean([r["cpu_s"] - r["reset_cpu_s"] for r in play(python, trials=2, steps=200, **blind)]) / 210
        seconds = mean(records, "cpu_s")
        ratio = seconds / mean(first, "cpu_s")
        line = f"{name:<24} {seconds:12.2f} {ratio:6.2f} {1e3 * reset:19.1f} {1e3 * step:10.2f}"
        print(f"{line}  {'; '.join(faults) or 'equal'}", flush=True)


def equal(arguments: argparse.Namespace) -> None:
    """Pictures at queries, proprioception and states at every step, outcomes: against the stock loop."""
    python = interpreter()
    n_different = 0
    for suite, task in KINDS[: arguments.tasks]:
        job = {"suite": suite, "task": task, "trials": 3, "steps": arguments.steps}
        stock = play(python, loop="stock", chunk=8, **job)
        ours = play(python, loop="ours", chunk=8, **job)
        faults = [fault for pair in zip(ours, stock, strict=True) if (fault := difference(*pair))]
        n_different += bool(faults)
        n_pictures = sum(2 * len(record["pictures"]) for record in ours)
        print(f"{suite:15} {task:3}  {n_pictures} pictures  {'; '.join(faults) or 'equal'}", flush=True)
    raise SystemExit(n_different)


def resets(arguments: argparse.Namespace) -> None:
    """CPU time of a reset without settling and without rendering, whatever the trial."""
    python = interpreter()
    for suite, task in KINDS:
        records = play(python, suite=suite, task=task, trials=50, steps=0, settling=0, cameras=False)
        times = np.array([record["reset_cpu_s"] for record in records])
        print(
            f"{suite:15} {task:3}  median {1e3 * np.median(times):6.1f} ms  worst {1e3 * times.max():6.1f} ms  "
            f"trial 49 {1e3 * times[-1]:6.1f} ms",
            flush=True,
        )


def memory(arguments: argparse.Namespace) -> None:
    """Resident memory of one worker over many episodes of two tasks in turns."""
    suite = find_suite(arguments.suite)
    plan = make_plan(suite, tasks=[task.id for task in suite.tasks[:2]]).episodes
    env = open_env(suite, EnvOptions(cameras=() if arguments.blind else ("front", "wrist")), limits=PATIENT)
    try:
        worker = psutil.Process(env.pid)  # type: ignore[attr-defined]
        for index in range(arguments.episodes):
            env.reset(plan[index % len(plan)])
            env.advance(np.zeros((2, 7), np.float32))
            if index in (1, 9) or (index + 1) % 50 == 0:
                print(f"{index + 1:4} episodes  {worker.memory_info().rss >> 20} MiB", flush=True)
    finally:
        env.close()


def workers(arguments: argparse.Namespace) -> None:
    """Two workers against one: episodes per second (needs two idle cores), and CPU time an episode (does not)."""
    times, cpu = {}, {}
    suite = find_suite(arguments.suite)
    plan = make_plan(suite, tasks=[suite.tasks[0].id]).episodes
    for n_workers in (1, 2):
        options = EnvOptions(cameras=("front", "wrist"))
        envs: list[Any] = [open_env(suite, options, limits=PATIENT) for _ in range(n_workers)]
        try:
            for env in envs:
                env.reset(plan[0])
            processes, here = [psutil.Process(env.pid) for env in envs], psutil.Process()
            begin, used, used_here = perf_counter(), _cpu_s(processes), _cpu_s([here])
            threads = [threading.Thread(target=_episodes, args=(env, plan, arguments.episodes)) for env in envs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            n_episodes = n_workers * arguments.episodes
            wall_s = perf_counter() - begin
            times[n_workers] = wall_s / n_episodes
            cpu[n_workers] = (_cpu_s(processes) - used) / n_episodes
            own = (_cpu_s([here]) - used_here) / n_episodes
        finally:
            for env in envs:
                env.close()
        print(
            f"{n_workers} workers: {times[n_workers]:.2f} s per episode; CPU {cpu[n_workers]:.2f} s in the worker, "
            f"{own:.3f} s here; {cpu[n_workers] / times[n_workers]:.2f} cores in use",
            flush=True,
        )
    print(f"two workers: {times[1] / times[2]:.2f} x one by the clock")
    print(f"two workers: {2 * cpu[1] / cpu[2]:.2f} x one if each had a core of its own")


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _episodes(env: Any, plan: Any, n_episodes: int) -> None:
    for episode in plan[:n_episodes]:
        state = env.reset(episode)
        while not state.is_over and state.step < 80:
            state = env.advance(np.zeros((8, 7), np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ratio", "switches", "equal", "resets", "memory", "workers"])
    parser.add_argument("--suite", default="libero_spatial")
    parser.add_argument("--task", type=int, default=0)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--chunks", type=int, nargs="+", default=[8, 5, 1])
    parser.add_argument("--episodes", type=int, default=None)
    parser.add_argument("--tasks", type=int, default=len(KINDS))
    parser.add_argument("--rows", nargs="+", default=[], help="of `switches`: these alone, beside the first")
    parser.add_argument("--blind", action="store_true", help="draw no pictures")
    parser.add_argument("--speedups", default="", help="as in VLA_BENCH_LIBERO_SPEEDUPS")
    arguments = parser.parse_args()
    defaults = {
        "ratio": (220, None),
        "switches": (220, None),
        "equal": (24, None),
        "memory": (None, 300),
        "workers": (None, 4),
    }
    steps, episodes = defaults.get(arguments.what, (None, None))
    arguments.steps = arguments.steps or steps
    arguments.episodes = arguments.episodes or episodes
    commands = [ratio, switches, equal, resets, memory, workers]
    {command.__name__: command for command in commands}[arguments.what](arguments)


if __name__ == "__main__":
    main()
