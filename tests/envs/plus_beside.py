"""Plays LIBERO-Plus tasks in upstream's own environment, or in ours, and prints what was seen: for comparing the two.

A program for the suite's own interpreter, from the repository's root:

    python tests/envs/plus_beside.py '{"loop": "upstream", "tasks": ["…_view_0_0_100_2_352_initstate_0"], "steps": 3}'

Upstream: `ControlEnv` of the package `liberoplus` under the published loop (seed 7, one reset, the initial state, ten
steps of waiting), both pictures drawn in every step. Ours: `PlusEnv`. One line of JSON per task. `{"loop": "noise"}`
applies upstream's noise functions and ours to one picture, both drawing from equal generators.

ImageMagick is needed for upstream's motion blur alone; without it an empty module takes its place.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from time import process_time
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

CAMERAS = {"front": "agentview_image", "wrist": "robot0_eye_in_hand_image"}
DEFAULTS = {
    "loop": "ours", "tasks": [], "suite": "libero_plus", "protocol": "", "steps": 3, "cameras": True, "lazy": True,
    "noises": [], "seed": 7, "chunk": 1,
}  # fmt: skip
KINDS = ("motion_blur", "gaussian_blur", "zoom_blur", "fog", "glass_blur")


def digest(*arrays: Any) -> str:
    joined = hashlib.blake2b(digest_size=12)
    for array in arrays:
        joined.update(np.ascontiguousarray(array).tobytes())
    return joined.hexdigest()


def actions_of(n_steps: int) -> np.ndarray:
    actions = np.random.RandomState(5).uniform(-1, 1, (n_steps, 7))
    return actions.astype(np.float32)


def record(task: str, instruction: str, model: Any) -> dict[str, Any]:
    """What a task's scene looks like; steps are added."""
    camera = model.camera("agentview").id
    fields = ("cam_pos", "cam_quat", "cam_pos0", "cam_mat0", "cam_poscom0")
    return {
        "task": task,
        "instruction": instruction,
        "camera": {name: np.ravel(getattr(model, name)[camera]).tolist() for name in fields},
        "layout": digest(model.body_pos, model.body_quat, model.site_pos, model.site_size),
        "states": {},
        "pictures": {},
        "arm": {},
    }


def see(seen: dict[str, Any], step: int, data: Any, pictures: dict[str, Any]) -> None:
    seen["states"][str(step)] = digest([data.time], data.qpos, data.qvel)
    seen["arm"][str(step)] = data.qpos[:7].tolist()
    if pictures:
        seen["pictures"][str(step)] = {name: digest(picture) for name, picture in pictures.items()}


def upstream_wrapper() -> Any:
    """Upstream's module, with a private configuration, and without ImageMagick where it is not installed."""
    os.environ["LIBERO_CONFIG_PATH"] = tempfile.mkdtemp()
    Path(os.environ["LIBERO_CONFIG_PATH"], "config.yaml").write_text("{}\n")
    try:
        import_module("wand.image")
    except ImportError:
        for name in ("wand", "wand.api", "wand.image"):
            module: Any = ModuleType(name)
            module.Image = object
            module.library = ModuleType("library")
            module.library.MagickMotionBlurImage = ModuleType("function")
            sys.modules[name] = module
    from liberoplus.liberoplus.envs import env_wrapper

    return env_wrapper


def read_archive_from(root: Path) -> None:
    """In place of copying the archive over the package's own folder, as upstream's instructions have it."""
    from liberoplus.liberoplus.envs import bddl_base_domain

    bddl_base_domain.DIR_PATH = str(root / "envs")
    for module in list(sys.modules.values()):
        if module.__name__.startswith("liberoplus.") and hasattr(module, "absolute_path"):
            module.absolute_path = root


def play_upstream(job: dict[str, Any]) -> None:
    from vla_bench.envs.libero.init_states import read_init_states
    from vla_bench.envs.libero.plus.archive import ARCHIVE
    from vla_bench.envs.libero.plus.names import parse_name
    from vla_bench.envs.runtime.assets.installed import folder_of

    wrapper = upstream_wrapper()
    folder = Path(wrapper.__file__).parent.parent
    if (archive := folder_of(ARCHIVE)) is not None:
        read_archive_from(archive.parent)
    looks = {"camera_heights": 256, "camera_widths": 256} if job["cameras"] else {"use_camera_obs": False}
    for suite, task in job["tasks"]:
        variant = parse_name(task)
        start = process_time()
        bddl = str(folder / "bddl_files" / suite / f"{task}.bddl")
        env = wrapper.ControlEnv(bddl, has_offscreen_renderer=job["cameras"], **looks)
        env.seed(job["seed"])
        env.reset()
        inner, name = ("libero_newobj/", variant.name) if variant.has_own_state else ("", variant.base_task)
        states = read_init_states(folder / "init_files" / f"{inner}{suite}" / f"{name}.pruned_init")
        observation = env.set_init_state(states[0])
        seen = record(task, env.language_instruction, env.sim.model._model)
        for _ in range(10):
            observation = env.step([0, 0, 0, 0, 0, 0, -1.0])[0]
        for step, action in enumerate([None, *actions_of(job["steps"])]):
            if action is not None:
                observation = env.step(action.astype(np.float64))[0]
            pictures = {camera: observation[key][::-1, ::-1] for camera, key in CAMERAS.items() if job["cameras"]}
            see(seen, step, env.sim.data, pictures)
        seen["cpu_s"] = process_time() - start
        env.close()
        print("RECORD" + json.dumps(seen), flush=True)


def play_ours(job: dict[str, Any]) -> None:
    from vla_bench.envs.base import EnvOptions
    from vla_bench.envs.libero.plus.env import PlusEnv
    from vla_bench.envs.registry import find_suite
    from vla_bench.spec.episode import make_plan

    suite = find_suite(job["suite"], job["protocol"])
    cameras = tuple(CAMERAS) if job["cameras"] else ()
    env = PlusEnv(suite, EnvOptions(cameras=cameras, lazy=job["lazy"]))
    for _, task in job["tasks"]:
        start = process_time()
        state = env.start(make_plan(suite, tasks=[task]).episodes[0])
        seen = record(task, state.instruction, env.simulator.model)
        see(seen, 0, env.simulator.data, dict(state.images))
        actions = actions_of(job["steps"])
        for index in range(0, len(actions), job["chunk"]):
            state = env.advance(actions[index : index + job["chunk"]])
            see(seen, state.step, env.simulator.data, dict(state.images))
        seen["cpu_s"] = process_time() - start
        seen["scene"] = f"{env.simulator.scene.package}:{env.simulator.scene.bddl.name}"
        print("RECORD" + json.dumps(seen), flush=True)
    env.close()


def compare_noise(job: dict[str, Any]) -> None:
    from PIL import Image

    from vla_bench.envs.libero.plus.noise import add_noise, draw_noise
    from vla_bench.envs.libero.randomness import global_stream, present_state

    wrapper = upstream_wrapper()
    generator = np.random.RandomState(1)
    smooth = np.kron(generator.randint(0, 256, (16, 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    rough = generator.randint(0, 256, (256, 256, 3)).astype(np.uint8)
    for noise in job["noises"]:
        for index, image in enumerate((smooth, rough)):
            kind, severity = divmod(noise - 1, 10)
            stream = np.random.RandomState(noise + index)
            function = getattr(wrapper, KINDS[kind])
            with global_stream(stream.get_state()):
                begin = process_time()
                theirs = function(Image.fromarray(image), severity=severity + 1).astype(np.uint8)
                middle = process_time()
                after = present_state()
            ours = add_noise(image, noise, draw_noise(noise, stream))
            found = {
                "task": f"{KINDS[kind]} {severity + 1}",
                "n_different": int((ours != theirs).sum()),
                "is_same_stream": bool(np.array_equal(after[1], stream.get_state()[1]))
                and after[2] == stream.get_state()[2],
                "upstream_ms": 1e3 * (middle - begin),
                "ours_ms": 1e3 * (process_time() - middle),
            }
            print("RECORD" + json.dumps(found), flush=True)


def read_texts(job: dict[str, Any]) -> None:
    """What upstream reads from the files of rewritten instructions, and its robots' joints."""
    from vla_bench.envs.libero.plus.robots import N_ROBOTS
    from vla_bench.envs.libero.plus.table import plus_tasks

    wrapper = upstream_wrapper()
    folder = Path(wrapper.__file__).parent.parent / "bddl_files"
    for task in plus_tasks():
        if task.variant.kind == "language":
            problem = wrapper.BDDLUtils.get_problem_info(folder / task.base_suite / f"{task.variant.bddl_stem}.bddl")
            found = {"task": task.variant.name, "instruction": problem["language_instruction"]}
            print("RECORD" + json.dumps(found))
    robots = import_module("liberoplus.liberoplus.envs.robots")
    kinds = [
        getattr(robots, f"{mount}Panda{n}") for n in range(1, N_ROBOTS + 1) for mount in ("Mounted", "OnTheGround")
    ]
    joints = [kind.init_qpos.fget(None).tolist() for kind in kinds]
    # Both mounts have the same joints.
    same = {str(n): joints[2 * n - 2] for n in range(1, N_ROBOTS + 1) if joints[2 * n - 2] == joints[2 * n - 1]}
    print("RECORD" + json.dumps({"task": "robots", "robots": same}))


def main() -> None:
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    job = {**DEFAULTS, **json.loads(sys.argv[1])}
    {"upstream": play_upstream, "ours": play_ours, "noise": compare_noise, "texts": read_texts}[job["loop"]](job)


if __name__ == "__main__":
    main()
