"""LIBERO-Plus without a build per task: how many scenes are compiled, and what an episode costs beside LIBERO's own.

    .venv/bin/python benchmarks/libero_plus_models.py builds [--per-scene 2]
    .venv/bin/python benchmarks/libero_plus_models.py episodes [--suite libero_spatial --base 0 --each 2 --chunk 8]

`builds` resets tasks of the four dimensions that share scenes, in the order of the plan, on all 40 scenes; it counts
compilations, and what every one of the 6,287 tasks would want. `episodes` plays full-length episodes with both 256x256
cameras drawn at the questions of a policy that answers at once: LIBERO's own task and its variants in turns, CPU time
of one process (software rendering on one thread).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

SHARED_KINDS = ("view", "initstate", "language", "noise")
NOISES = ("motion_blur", "gaussian_blur", "zoom_blur", "fog", "glass_blur")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["builds", "episodes"])
    parser.add_argument("--per-scene", type=int, default=2, help="tasks of each kind on each scene")
    parser.add_argument("--suite", default="libero_spatial")
    parser.add_argument("--base", type=int, default=0, help="index of the base task in its suite")
    parser.add_argument("--each", type=int, default=2, help="episodes of LIBERO's own task, and of each kind")
    parser.add_argument("--chunk", type=int, default=8)
    parser.add_argument("--steps", type=int, default=220)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        sys.exit(run_inside())
    {"builds": builds, "episodes": episodes}[arguments.what](arguments)


def run_inside() -> int:
    """Run this program once more, under the suite's own interpreter."""
    from vla_bench.envs.registry import family_of
    from vla_bench.envs.runtime.home import ASSETS_VARIABLE, assets_folder
    from vla_bench.envs.runtime.install import installation_status

    status = installation_status(family_of("libero"))
    if status.interpreter is None:
        raise SystemExit(f"{status.reason} Type: {status.fix_line}")
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    osmesa = {"MUJOCO_GL": "osmesa", "PYOPENGL_PLATFORM": "osmesa"}
    environment = {**os.environ, **one_thread, **osmesa, ASSETS_VARIABLE: str(assets_folder())}
    return subprocess.run([status.interpreter, "-P", __file__, *sys.argv[1:], "--inside"], env=environment).returncode


def builds(arguments: argparse.Namespace) -> None:
    from vla_bench.envs.base import EnvOptions
    from vla_bench.envs.libero import env as libero_env
    from vla_bench.envs.libero.plus.env import PlusEnv
    from vla_bench.envs.libero.plus.names import parse_name
    from vla_bench.envs.registry import find_suite
    from vla_bench.spec.episode import make_plan

    suite = find_suite("libero_plus_open")
    shared = [task for task in suite.tasks if parse_name(task.id).kind in SHARED_KINDS]
    env = PlusEnv(suite, EnvOptions())
    n_compiled = 0

    class Counted(libero_env.Simulator):
        def __init__(self, *args: Any, **named: Any) -> None:
            nonlocal n_compiled
            n_compiled += 1
            super().__init__(*args, **named)

    libero_env.Simulator = Counted  # type: ignore[misc]
    plan = {episode.task: episode for episode in make_plan(suite).episodes}
    wanted, last, changes = set(), None, 0
    for task in shared:
        env.task = task
        scene = env.scene(plan[task.id])
        changes += scene != last
        wanted.add(scene)
        last = scene
    print(
        f"{len(shared):,} tasks of {len(SHARED_KINDS)} dimensions want {len(wanted)} scenes; in the order of the plan"
    )
    print(f"the scene changes {changes - 1} times: a worker that keeps one compiles {changes}")
    seen: dict[tuple[Any, str], int] = {}
    first_s, later_s = [], []
    for task in shared:
        key = (task.tags["base_task"], parse_name(task.id).kind)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > arguments.per_scene:
            continue
        before, begin = n_compiled, process_time()
        env.start(plan[task.id])
        (first_s if n_compiled > before else later_s).append(process_time() - begin)
    print(f"{len(first_s) + len(later_s)} of them were reset: {n_compiled} compilations")
    print(f"CPU s of a reset with its 10 settling steps: {np.median(first_s):.2f} with a compilation,", end=" ")
    print(f"{np.median(later_s):.3f} without (median), {max(later_s):.3f} at most")
    env.close()


def episodes(arguments: argparse.Namespace) -> None:
    from vla_bench.envs.base import EnvOptions
    from vla_bench.envs.libero.env import LiberoEnv
    from vla_bench.envs.libero.plus.env import PlusEnv
    from vla_bench.envs.libero.plus.names import parse_name
    from vla_bench.envs.registry import find_suite

    plain, plus = find_suite(arguments.suite), find_suite("libero_plus_open")
    base = plain.tasks[arguments.base].id
    options = EnvOptions(cameras=("front", "wrist"))
    own, variants = LiberoEnv(plain, options), PlusEnv(plus, options)
    members = [task.id for task in plus.tasks if task.tags["base_task"] == base]
    rows: dict[str, list[tuple[float, float]]] = {"LIBERO's own task": []}
    jobs = [(own, base, "LIBERO's own task")] * arguments.each
    for kind in SHARED_KINDS[:3]:
        jobs += [(variants, task, kind) for task in members if parse_name(task).kind == kind][: arguments.each]
    for index, noise in enumerate(NOISES):
        of_kind = [task for task in members if (parse_name(task).noise - 1) // 10 == index and parse_name(task).noise]
        jobs += [(variants, task, f"noise: {noise}") for task in of_kind][: arguments.each]
    # The first episode of each env compiles the scene and uploads its textures.
    for env, task in ((own, base), (variants, members[0])):
        play(env, task, arguments)
    for turn in range(arguments.each):
        for name in dict.fromkeys(name for _, _, name in jobs):
            mine = [(env, task) for env, task, each in jobs if each == name]
            if turn < len(mine):
                rows.setdefault(name, []).append(play(*mine[turn], arguments))
    show(rows, base, arguments)
    own.close()
    variants.close()


def play(env: Any, task: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """CPU and wall seconds of one episode of full length."""
    from vla_bench.spec.episode import make_plan

    actions = np.random.RandomState(1).uniform(-0.3, 0.3, (arguments.steps, 7)).astype(np.float32)
    cpu, wall = process_time(), perf_counter()
    state = env.start(make_plan(env.suite, tasks=[task], n_trials=1).episodes[0])
    while not state.is_over and state.step < arguments.steps:
        state = env.advance(actions[state.step : state.step + arguments.chunk])
    return process_time() - cpu, perf_counter() - wall


def show(rows: dict[str, list[tuple[float, float]]], base: str, arguments: argparse.Namespace) -> None:
    n_pictures = -(-arguments.steps // arguments.chunk)
    print(f"{base}: 10 + {arguments.steps} steps, chunk {arguments.chunk}, {n_pictures} questions, two cameras")
    print(f"{'episode':<24} {'CPU s':>8} {'wall s':>8} {'x LIBERO':>9} {'ms/question':>12}")
    plain = np.mean([cpu for cpu, _ in rows["LIBERO's own task"]])
    for name, times in rows.items():
        cpu, wall = (float(np.mean(column)) for column in zip(*times, strict=True))
        more = 1e3 * (cpu - plain) / n_pictures
        print(f"{name:<24} {cpu:8.2f} {wall:8.2f} {cpu / plain:9.2f} {more:12.1f}")
    print(json.dumps({name: [cpu for cpu, _ in times] for name, times in rows.items()}))


if __name__ == "__main__":
    main()
