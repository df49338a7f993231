"""Plays LIBERO episodes in upstream's own loop, or in ours, and prints what was seen: for comparing the two bit by bit.

A program for the suite's own interpreter, from the repository's root:

    python tests/envs/libero_stock.py '{"loop": "stock", "suite": "libero_spatial", "task": 0, "trials": 3}'

Stock: seed once, then for each episode a hard reset and the initial state, both pictures drawn in every step. Ours: the
same through `Simulator`, one episode after the other. Env: through `LiberoEnv`, from seed 7 and with its own settling
steps. One line of JSON per episode: digests, keyed by step, of pictures, proprioception and simulator state, the
outcomes, and the time that it took.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import tomllib
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

CAMERAS = ("agentview", "robot0_eye_in_hand")
SIZE = 256
PROPRIO = ("eef_pos", "eef_quat", "gripper_qpos", "joint_pos")
DEFAULTS = {
    "loop": "ours", "suite": "libero_spatial", "task": 0, "seed": 7, "first": 0, "trials": 1, "steps": 24,
    "settling": 10, "chunk": 8, "cameras": True, "lazy": True, "speedups": "", "digests": True,
}  # fmt: skip


def digest(*arrays: Any) -> str:
    joined = hashlib.blake2b(digest_size=12)
    for array in arrays:
        joined.update(np.ascontiguousarray(array).tobytes())
    return joined.hexdigest()


def actions_of(trial: int, n_steps: int, settling: int) -> np.ndarray:
    """Standing still, then pushes that hold for a while, downwards more often than not, with a busy gripper."""
    generator = np.random.RandomState(1000 + trial)
    pushes = np.repeat(generator.uniform(-1, 1, (n_steps // 6 + 1, 7)), 6, axis=0)[:n_steps]
    pushes[:, 2] -= 0.4
    actions = np.concatenate([np.tile([0, 0, 0, 0, 0, 0, -1.0], (settling, 1)), pushes])
    return actions.astype(np.float32).astype(np.float64)


def state_of(model: Any, data: Any) -> str:
    """All that decides the future of the physics, and the parts of the model that resets move."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(model, kind))
    mujoco.mj_getState(model, data, state, kind)
    return digest(state, model.body_pos, model.body_quat, model.site_rgba)


def draw_nothing() -> None:
    """Renderers are made, which the states depend on, and draw nothing, which they do not."""
    from robosuite.utils.binding_utils import MjRenderContext

    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    MjRenderContext.render = lambda self, *arguments, **named: None
    MjRenderContext.read_pixels = lambda self, *arguments, **named: black


class Stock:
    """Upstream, untouched."""

    def __init__(self, bddl: str, seed: int, cameras: bool) -> None:
        os.environ["LIBERO_CONFIG_PATH"] = tempfile.mkdtemp()
        Path(os.environ["LIBERO_CONFIG_PATH"], "config.yaml").write_text("{}\n")
        from libero.libero.envs.env_wrapper import ControlEnv

        if not cameras:
            draw_nothing()

        self.env = ControlEnv(
            bddl_file_name=bddl, camera_heights=SIZE, camera_widths=SIZE, camera_names=list(CAMERAS),
            has_offscreen_renderer=True, use_camera_obs=True,
        )  # fmt: skip
        self.env.seed(seed)
        self.cameras = cameras

    def begin(self, trial: int, init_state: np.ndarray) -> None:
        self.env.reset()
        self.seen = self.env.set_init_state(init_state)

    def step(self, action: np.ndarray) -> bool:
        self.seen, _, done, _ = self.env.step(action.tolist())
        return bool(done)

    def look(self) -> dict[str, str]:
        return {camera: digest(self.seen[f"{camera}_image"]) for camera in CAMERAS if self.cameras}

    def proprio(self) -> str:
        return digest(*(self.seen[f"robot0_{name}"] for name in PROPRIO))

    def state(self) -> str:
        return state_of(self.env.sim.model._model, self.env.sim.data._data)


class Ours:
    """The simulator behind `LiberoEnv`."""

    def __init__(self, bddl: str, seed: int, cameras: bool) -> None:
        from vla_bench.envs.libero.pictures import Painter
        from vla_bench.envs.libero.simulator import Scene, Simulator
        from vla_bench.envs.libero.speedups import Speedups

        self.simulator = Simulator(Scene(Path(bddl)))
        culling = Speedups.chosen().culling
        self.painter = Painter(self.simulator.model, height=SIZE, width=SIZE, culling=culling) if cameras else None
        self.seed = seed

    def begin(self, trial: int, init_state: np.ndarray) -> None:
        from vla_bench.envs.libero.simulator import Start

        start = Start(seed=self.seed, n_resets=trial + 1, n_builds=trial + 1, init_state=init_state)
        self.simulator.begin(start)

    def step(self, action: np.ndarray) -> bool:
        return self.simulator.step(action)

    def look(self) -> dict[str, str]:
        if self.painter is None:
            return {}
        return {camera: digest(self.painter.picture(self.simulator.sample, camera)) for camera in CAMERAS}

    def proprio(self) -> str:
        seen = self.simulator.proprioception()
        return digest(*(seen[name] for name in PROPRIO))

    def state(self) -> str:
        return state_of(self.simulator.model, self.simulator.data)


class Whole:
    """`LiberoEnv`, as a worker has it: it settles by itself, and draws at the end of a chunk."""

    def __init__(self, suite_name: str, task: str, job: dict[str, Any]) -> None:
        from vla_bench.envs.base import EnvOptions
        from vla_bench.envs.libero.env import LiberoEnv
        from vla_bench.envs.registry import find_suite
        from vla_bench.spec.episode import make_plan

        suite = find_suite(suite_name)
        self.plan = make_plan(suite, tasks=[task]).episodes
        self.env = LiberoEnv(suite, EnvOptions(cameras=("front", "wrist") * job["cameras"], lazy=job["lazy"]))
        self.n_compiled, self.last = 0, None

    def play(self, trial: int, job: dict[str, Any]) -> dict[str, Any]:
        record: dict[str, Any] = {"trial": trial, "pictures": {}, "proprio": {}, "states": {}, "success": []}
        cpu, wall = process_time(), perf_counter()
        seen = self.env.start(self.plan[trial])
        record["reset_cpu_s"] = process_time() - cpu
        self.see(record, seen)
        actions = actions_of(trial, job["steps"], 0).astype(np.float32)
        while seen.step < job["steps"] and not seen.is_over:
            seen = self.env.advance(actions[seen.step : seen.step + job["chunk"]])
            self.see(record, seen)
        self.n_compiled += self.env.simulator is not self.last
        self.last = self.env.simulator
        return record | {"n_compiled": self.n_compiled, "cpu_s": process_time() - cpu, "wall_s": perf_counter() - wall}

    def see(self, record: dict[str, Any], seen: Any) -> None:
        record["success"].append(seen.success)
        record["states"][seen.step] = seen.digest
        record["proprio"][seen.step] = digest(*seen.state.values())
        record["pictures"][seen.step] = {camera: digest(image) for camera, image in seen.images.items()}


def play(loop: Stock | Ours, trial: int, init_state: np.ndarray, job: dict[str, Any]) -> dict[str, Any]:
    settling, chunk = job["settling"], job["chunk"]
    record: dict[str, Any] = {"trial": trial, "pictures": {}, "proprio": {}, "states": {}, "success": []}
    cpu, wall = process_time(), perf_counter()
    loop.begin(trial, init_state)
    record["reset_cpu_s"] = process_time() - cpu
    record["states"]["reset"] = loop.state()
    for index, action in enumerate(actions_of(trial, job["steps"], settling)):
        record["success"].append(loop.step(action))
        step = index + 1 - settling
        if job["digests"] or step == job["steps"]:
            record["states"][step] = loop.state()
            record["proprio"][step] = loop.proprio()
        if step >= 0 and step % chunk == 0:
            record["pictures"][step] = loop.look()
    record |= {"cpu_s": process_time() - cpu, "wall_s": perf_counter() - wall}
    return record


def main() -> None:
    job = DEFAULTS | json.loads(sys.argv[1])
    os.environ["VLA_BENCH_LIBERO_SPEEDUPS"] = job["speedups"]
    import libero

    folder = Path(next(iter(libero.__path__))) / "libero"
    tasks = tomllib.loads((ROOT / "vla_bench/envs/libero/tasks.toml").read_text())[job["suite"]]
    name = tasks[job["task"]]
    from vla_bench.envs.libero.init_states import read_init_states

    states = read_init_states(folder / "init_files" / job["suite"] / f"{name}.pruned_init")
    bddl = str(folder / "bddl_files" / job["suite"] / f"{name}.bddl")
    if job["loop"] == "env":
        whole = Whole(job["suite"], name, job)
    else:
        loop = (Stock if job["loop"] == "stock" else Ours)(bddl, job["seed"], job["cameras"])
    for trial in range(job["first"], job["trials"]):
        record = whole.play(trial, job) if job["loop"] == "env" else play(loop, trial, states[trial], job)
        print("RECORD", json.dumps(record), flush=True)
    os._exit(0)  # robosuite's renderers complain of a library that is torn down already


if __name__ == "__main__":
    main()
