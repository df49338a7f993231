"""Describes the Meta-World suites from the data files beside this module; the simulator is in `env.py`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from vla_bench.envs.base import EnvOptions, Installation, SuiteEnv
from vla_bench.envs.metaworld.plus import suite as plus
from vla_bench.spec.conventions import ActionConvention, Frame, Gripper, ImageConvention, Reference, Rotation
from vla_bench.spec.errors import MissingExtra, UnknownSuite
from vla_bench.spec.names import match_name, normalise_name
from vla_bench.spec.suite import Camera, Protocol, Suite, Task, match_protocol

__all__ = ["VERSIONS", "MetaWorldFamily"]

VERSIONS: Mapping[str, str] = MappingProxyType({"metaworld": "3.1.1", "mujoco": "3.3.0"})
"""The only versions whose states these protocols mean; metaworld 3.1.1 itself fails to construct under later MuJoCo."""

_PROTOCOL_FILES = ("standard-1", "compact-1")  # the default first

# One unit of position moves the mocap target of the hand by 0.01 m; the hand never turns; +1 closes the fingers.
_ACTION = ActionConvention(
    rotation=Rotation.NONE,
    frame=Frame.WORLD,
    reference=Reference.DELTA,
    position_unit_m=0.01,
    gripper=Gripper.PLUS_CLOSES,
    low=-1.0,
    high=1.0,
)


@cache
def _data(name: str) -> Mapping[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


@cache
def _protocols() -> Mapping[str, Mapping[str, Any]]:
    """`standard/1` → its file, the default first."""
    tables = [_data(f"protocols/{stem}.toml") for stem in _PROTOCOL_FILES]
    return {f"{table['name']}/{table['version']}": table for table in tables}


@cache
def _suites() -> Mapping[str, tuple[str, ...]]:
    """Suite name → task ids of metaworld."""
    table = _data("tasks.toml")
    single = {f"metaworld_{task.removesuffix('-v3').replace('-', '_')}": (task,) for task in table["tasks"]}
    plain = {"metaworld_mt10": tuple(table["mt10"]), "metaworld_mt50": tuple(table["tasks"])}
    perturbed = {name: plain[base] for name, base in plus.SUITES.items()}
    return {**plain, **perturbed, **single}


class MetaWorldFamily:
    """The suites of Meta-World v3, as an entry point of the group `vla_bench.suites`."""

    name = "metaworld"
    installation = Installation(
        extra="metaworld",
        imports=("mujoco", "metaworld"),
        versions=dict(VERSIONS),
        pythons=("3.11", "3.12", "3.13"),
        lock_file="envs/metaworld/requirements.lock",
        renderer="mujoco",
    )

    def suite_names(self) -> Sequence[str]:
        """`metaworld_mt10`, `metaworld_mt50`, both perturbed (`metaworld_plus`, `_plus_mt50`), then one per task."""
        return list(_suites())

    def protocol_names(self, suite: str) -> Sequence[str]:
        """`standard/1` (the default) and `compact/1`, for every suite."""
        _suite_name(suite)
        return list(_protocols())

    def suite(self, name: str, protocol: str = "") -> Suite:
        """Describe a suite; a single task is also found by Meta-World's own spelling (`metaworld_reach-v3`).

        Raises:
            UnknownSuite, UnknownProtocol: no such name.
        """
        suite = _suite_name(name)
        return _describe(suite, match_protocol(protocol, list(_protocols())))

    def make_env(self, suite: Suite, options: EnvOptions) -> SuiteEnv:
        """Import Meta-World and MuJoCo and build the env.

        Raises:
            MissingExtra: a package is not installed.
            SuiteNotInstalled: another version of one is.
        """
        try:
            from vla_bench.envs.metaworld.env import MetaWorldEnv
            from vla_bench.envs.metaworld.plus.env import MetaWorldPlusEnv
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "vla_bench":
                raise
            raise MissingExtra(f"suite {suite.name!r}", self.installation.extra) from error
        return (MetaWorldPlusEnv if suite.name in plus.SUITES else MetaWorldEnv)(suite, options)


def _suite_name(name: str) -> str:
    known = _suites()
    form = normalise_name(name)
    match = match_name(name, known) or (match_name(form.removesuffix("v3"), known) if form.endswith("v3") else None)
    if match is None:
        raise UnknownSuite(name, known)
    return match


@cache
def _describe(name: str, protocol: str) -> Suite:
    if name in plus.SUITES:
        return plus.perturbed_suite(name, _describe(plus.SUITES[name], protocol))
    data = _protocols()[protocol]
    task_ids = _suites()[name]
    pictures = data["pictures"]
    return Suite(
        name=name,
        family=MetaWorldFamily.name,
        title=_title(name, task_ids),
        protocol=_protocol(data),
        tasks=tuple(_task(task, data["horizon"]) for task in task_ids),
        cameras=tuple(_camera(camera, pictures) for camera in data["cameras"]),
        state={"agent_pos": 4},
        action=_ACTION,
        group_by=("difficulty",) if len(task_ids) > 1 else (),
        privileged=True,
        provenance={
            "simulator": "metaworld 3.1.1 (Farama Foundation, MIT), mujoco 3.3.0 (Google DeepMind, Apache-2.0)",
            "assets": "inside the metaworld wheel (MIT)",
            "instructions": "lerobot 0.4.4, lerobot/envs/metaworld_config.json (Hugging Face, Apache-2.0)",
            "difficulty": "Seo et al., Masked World Models, arXiv 2206.14244",
        },
    )


def _title(name: str, task_ids: tuple[str, ...]) -> str:
    if len(task_ids) == 1:
        return f"Meta-World {task_ids[0]}: {_data('tasks.toml')['tasks'][task_ids[0]]['instruction']}"
    return f"Meta-World {name.removeprefix('metaworld_').upper()}: {len(task_ids)} tabletop tasks of a Sawyer arm"


def _protocol(data: Mapping[str, Any]) -> Protocol:
    knobs = {key: data["pictures"][key] for key in ("shadows", "multisampling")}
    return Protocol(
        name=data["name"],
        version=data["version"],
        n_trials=data["n_trials"],
        base_seed=data["base_seed"],
        action_bounds=data["action_bounds"],
        parameters={**knobs, **data["parameters"], "instruction_set": _data("tasks.toml")["instruction_set"]},
        source=data["source"],
    )


def _task(task: str, horizon: int) -> Task:
    facts = _data("tasks.toml")["tasks"][task]
    return Task(id=task, instruction=facts["instruction"], horizon=horizon, tags={"difficulty": facts["difficulty"]})


def _camera(camera: Mapping[str, Any], pictures: Mapping[str, Any]) -> Camera:
    return Camera(
        name=camera["name"],
        height=pictures["height"],
        width=pictures["width"],
        source=camera["source"],
        convention=ImageConvention(orientation=camera["orientation"]),
    )
