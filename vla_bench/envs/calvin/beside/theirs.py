"""Upstream's side of a comparison. Run by path in a child process: `theirs.py QUESTION ANSWER`, two file descriptors.

It reads JSON from the one, writes a NumPy archive to the other, and ends when its standard input does. The checkout's
own modules run unchanged. Packages that it imports and that nothing here depends on (windows, hand trackers, tactile
sensors, configuration files) are replaced by stand-ins where they are not installed.
"""

import importlib
import importlib.util
import json
import os
import sys
import threading
import types
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np


class Config(dict):  # type: ignore[type-arg]
    """A dictionary whose entries are attributes too, as upstream reads its cameras."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error


def main(question: str, answer: str) -> None:
    """Step the checkout and save what it observed."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    with os.fdopen(int(question), "rb") as file:
        job = json.load(file)
    made_up = [name for name, make in STAND_INS.items() if stand_in(name, make)]
    sys.path.insert(0, job["checkout"])
    config = as_config(job["config"])
    upstream = importlib.import_module("calvin_env.envs.play_table_env")
    upstream.get_git_commit_hash = lambda path: ""  # for a log line; wants a clone
    env = upstream.PlayTableSimEnv(
        robot_cfg=config.robot, seed=0, use_vr=False, bullet_time_step=240.0, cameras=config.cameras, show_gui=False,
        scene_cfg=config.scene, use_scene_info=True, use_egl=False, control_freq=30,
    )  # fmt: skip
    with os.fdopen(int(answer), "wb") as file:
        np.savez(file, **rollout(env, job, oracle_of(config)))
    versions = {name: found(name) for name in ("pybullet", "numpy", "gym")}
    sys.stdout.write(json.dumps({"stand_ins": made_up, "versions": versions}) + "\n")


def end_with_parent() -> None:
    """Nothing ever comes from standard input but its end, when whoever asked is gone."""
    os.read(0, 1)
    os._exit(1)


def rollout(env: Any, job: Any, oracle: Any) -> dict[str, Any]:
    """Observations after the start and after each step, the oracle's answers, pictures where they are wanted."""
    cameras, env.cameras = env.cameras, []  # drawn where wanted, and not at every step
    tasks = sorted(oracle.tasks) if oracle else []
    answer: dict[str, Any] = {"tasks": np.array(tasks)}
    seen = [env.reset(robot_obs=np.array(job["robot_obs"]), scene_obs=np.array(job["scene_obs"]))]
    start, hits = env.get_info(), []
    answer |= pictures(cameras, 0)
    actions = np.array(job["actions"], np.float32)
    for action in actions:
        observation, _, _, info = env.step(action.copy())
        seen.append(observation)
        met = oracle.get_task_info(start, info) if oracle else ()
        hits.append([task in met for task in tasks])
    answer |= pictures(cameras, len(actions))
    answer["robot_obs"] = np.array([observation["robot_obs"] for observation in seen])
    answer["scene_obs"] = np.array([observation["scene_obs"] for observation in seen])
    answer["hits"] = np.array(hits, bool)
    return answer


def pictures(cameras: Any, step: int) -> dict[str, Any]:
    """One picture of each camera."""
    return {f"{camera.name}_{step}": camera.render()[0] for camera in cameras}


def oracle_of(config: Any) -> Any:
    """Upstream's judge of all tasks; None without SciPy, which it reads rotations with."""
    if importlib.util.find_spec("scipy") is None:
        return None
    return importlib.import_module("calvin_env.envs.tasks").Tasks(config.tasks)


def as_config(value: Any) -> Any:
    """Dictionaries with attributes, all the way down."""
    if isinstance(value, dict):
        return Config({key: as_config(item) for key, item in value.items()})
    return [as_config(item) for item in value] if isinstance(value, list) else value


def found(name: str) -> str:
    """The version of a package, empty where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def stand_in(name: str, make: Any) -> bool:
    """Make up a package that is not installed."""
    if importlib.util.find_spec(name) is not None:
        return False
    make()
    return True


def module(name: str, **attributes: Any) -> None:
    """Put a made-up module where `import` finds it, and into its parent."""
    made = types.ModuleType(name)
    vars(made).update(attributes)
    sys.modules[name] = made
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, made)


def empty(*names: str) -> Any:
    """Modules that are imported and never used here."""
    return lambda: [module(name) for name in names]


def make_gym() -> None:
    """Gym 0.22 and later seed like this; earlier ones draw other load poses."""

    def np_random(seed: Any = None) -> Any:
        sequence = np.random.SeedSequence(seed)
        return np.random.Generator(np.random.PCG64(sequence)), sequence.entropy

    module("gym", Env=object)
    module("gym.utils")
    module("gym.utils.seeding", np_random=np_random)


def make_hydra() -> None:
    """Builds an object from its `_target_`."""

    def instantiate(config: Any, **more: Any) -> Any:
        name, _, kind = config["_target_"].rpartition(".")
        given = {key: value for key, value in config.items() if not key.startswith("_")}
        return getattr(importlib.import_module(name), kind)(**given, **more)

    module("hydra", main=lambda *_, **__: lambda function: function)
    module("hydra.utils", instantiate=instantiate)


def make_omegaconf() -> None:
    """Plain lists and dictionaries stand for its own."""

    class OmegaConf:
        @staticmethod
        def to_container(value: Any) -> Any:
            return value

    module("omegaconf", OmegaConf=OmegaConf, ListConfig=list)
    module("omegaconf.errors", ConfigKeyError=KeyError)


def make_rich() -> None:
    """Its tracebacks, which one of upstream's commits installs."""
    module("rich")
    module("rich.traceback", install=lambda **_: None)


STAND_INS = {
    "gym": make_gym, "hydra": make_hydra, "omegaconf": make_omegaconf, "rich": make_rich,
    "cv2": empty("cv2"), "git": empty("git"), "quaternion": empty("quaternion"), "tacto": empty("tacto"),
}  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
