"""What CALVIN costs here: construction, a reload, a control step beside its bare physics, pictures, memory.

    python -m benchmarks.calvin_costs [--upstream CHECKOUT] [--steps 300] [--pictures 20]

Wants the assets (`vla-bench assets install calvin`). A control step is timed inside its own trajectory: the same eight
`stepSimulation` calls and one inverse kinematics, with contacts or without, are what the whole step is divided by.
`--upstream` steps a checkout of calvin_env under the same actions. Times are processor time of all threads.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from time import process_time, process_time_ns
from typing import Any

import numpy as np

UPSTREAM = """
import json, sys, time
sys.path[:0] = [{beside!r}]
import theirs
[theirs.stand_in(name, make) for name, make in theirs.STAND_INS.items()]
sys.path.insert(0, {checkout!r})
import importlib, numpy as np, pybullet
spent = [0]
def timed(function):
    def call(*args, **named):
        begin = time.process_time_ns()
        answer = function(*args, **named)
        spent[0] += time.process_time_ns() - begin
        return answer
    return call
for name in ("stepSimulation", "calculateInverseKinematics"):
    setattr(pybullet, name, timed(getattr(pybullet, name)))
config = theirs.as_config(json.loads({config!r}))
upstream = importlib.import_module("calvin_env.envs.play_table_env")
upstream.get_git_commit_hash = lambda path: ""
env = upstream.PlayTableSimEnv(
    robot_cfg=config.robot, seed=0, use_vr=False, bullet_time_step=240.0, cameras=config.cameras, show_gui=False,
    scene_cfg=config.scene, use_scene_info=True, use_egl=False, control_freq=30)
oracle, cameras = theirs.oracle_of(config), env.cameras
actions, found = np.array(json.loads({actions!r}), np.float32), {{}}
for name, shown, n in (("blind", [], {steps}), ("seeing", cameras, {pictures})):
    env.cameras = shown
    env.reset(robot_obs=np.array(json.loads({robot!r})), scene_obs=np.array(json.loads({scene!r})))
    start, begin, spent[0] = env.get_info(), time.process_time(), 0
    for action in actions[:n]:
        info = env.step(action.copy())[3]
        oracle.get_task_info_for_set(start, info, {{"open_drawer"}})
    found[name] = 1e3 * (time.process_time() - begin) / n
    found[name + "_ratio"] = found[name] / (spent[0] / n / 1e6)
print(json.dumps(found))
"""


def ms(action: Callable[[], object], n: int, times: int = 5) -> float:
    """Median milliseconds of one call, over `times` passes of `n`."""
    passes = []
    for _ in range(times):
        begin = process_time()
        for _ in range(n):
            action()
        passes.append(1e3 * (process_time() - begin) / n)
    return np.median(passes)


def show(name: str, value: str, wanted: str = "") -> None:
    print(f"{name:46} {value:>12}   {wanted}")


@contextmanager
def timed_physics(bullet: Any) -> Any:
    """Adds up the time inside PyBullet's steps and inverse kinematics."""
    spent, originals = [0], {}

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            begin = process_time_ns()
            answer = function(*args, **named)
            spent[0] += process_time_ns() - begin
            return answer

        return call

    for name in ("stepSimulation", "calculateInverseKinematics"):
        originals[name] = getattr(bullet, name)
        setattr(bullet, name, timed(originals[name]))
    try:
        yield spent
    finally:
        for name, function in originals.items():
            setattr(bullet, name, function)


def measure(given: argparse.Namespace) -> None:
    begin = process_time()
    from vla_bench.envs.base import EnvOptions
    from vla_bench.envs.calvin import family
    from vla_bench.envs.calvin.bullet import bullet
    from vla_bench.spec.episode import make_plan

    env: Any = family.make_env(family.suite("calvin_abc_d"), EnvOptions(cameras=("front", "wrist")))
    episodes = make_plan(env.suite).episodes
    env.start(episodes[0])
    show("imports, construction, first chain, s", f"{process_time() - begin:.2f}", "under 3")
    env.options = EnvOptions()
    env.cameras = ()
    reloads = [ms(lambda episode=episode: env.start(episode), 1, 1) for episode in episodes[:20]]
    show("a chain's start: everything loaded anew, s", f"{np.median(reloads) / 1e3:.3f}", "under 0.12")

    actions = np.random.default_rng(0).uniform(-1, 1, (given.steps, 7)).astype(np.float32)
    actions[:, 6] = np.sign(actions[:, 6])
    ratios, steps = [], []
    for episode in episodes[: given.chains]:
        env.start(episode)
        with timed_physics(bullet) as spent:
            begin_ns = process_time_ns()
            for first in range(0, given.steps, 8):
                if env._is_over:
                    break
                env.advance(actions[first : first + 8])
            whole = process_time_ns() - begin_ns
        ratios.append(whole / spent[0])
        steps.append(whole / env.n_steps / 1e6)
    show("a control step without cameras, ms", f"{np.median(steps):.2f}")
    show("  beside its bare physics (8 steps, 1 IK)", f"{np.median(ratios):.3f}", "at most 1.25")

    env.start(episodes[0])
    env._cameras.begin()
    pictures = {}
    for camera in ("static", "gripper"):
        env._cameras._has_shortcuts = False
        env._cameras.begin()
        env.start(episodes[0])
        env._cameras._sight = None
        whole = ms(lambda camera=camera: env._cameras.take(camera), given.pictures)
        env._cameras._has_shortcuts = True
        env.start(episodes[0])
        env._cameras.take(camera)
        short = ms(lambda camera=camera: env._cameras.take(camera), given.pictures)
        pictures[camera] = (whole, short)
        show(f"a picture of the {camera} camera, ms", f"{short:.1f}", f"drawn whole: {whole:.1f}")
    short, step = sum(short for _, short in pictures.values()), np.median(steps)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    show("memory of this process, MiB", f"{memory:.0f}", "under 300")
    env.close()
    if given.upstream:
        theirs = upstream_costs(given, episodes[0], actions)
        # Each is divided by its own physics, the same bits on both sides: a machine that slows down between them does
        # not matter.
        share = f"{theirs['blind_ratio'] / ratios[0]:.2f} x ours of the same actions"
        show("calvin_env: a step without cameras, ms", f"{theirs['blind']:.2f}", share)
        show("  beside its bare physics", f"{theirs['blind_ratio']:.3f}")
        show("calvin_env: a step with both cameras, ms", f"{theirs['seeing']:.1f}")
        chunked = step + short / 8
        show("  ours at chunk 8, ms", f"{chunked:.1f}", f"{theirs['seeing'] / chunked:.1f} x faster")


def upstream_costs(given: argparse.Namespace, episode: Any, actions: np.ndarray) -> dict[str, float]:
    from vla_bench.cli.against import _upstream_config
    from vla_bench.envs.calvin import beside
    from vla_bench.envs.calvin.starts import ROBOT_START, scene_start

    program = UPSTREAM.format(
        beside=str(Path(beside.__file__).parent),
        checkout=str(given.upstream.resolve()),
        config=json.dumps(_upstream_config(given.upstream)),
        actions=json.dumps(actions.tolist()),
        steps=given.steps,
        pictures=given.pictures,
        robot=json.dumps(ROBOT_START),
        scene=json.dumps(scene_start(episode.initial_state).tolist()),
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", type=Path, default=None, help="a checkout of calvin_env")
    parser.add_argument("--chains", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--pictures", type=int, default=20)
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
