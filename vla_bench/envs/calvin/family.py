"""Describes the CALVIN suites from the data files beside this module; the simulator is in `world.py`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from vla_bench.envs.base import EnvOptions, Installation, SuiteEnv
from vla_bench.envs.calvin.chains import Chain, chains
from vla_bench.envs.calvin.scenes import read_table
from vla_bench.spec.conventions import ActionConvention, Frame, Gripper, Reference, Rotation
from vla_bench.spec.errors import MissingExtra, UnknownProtocol, UnknownSuite
from vla_bench.spec.names import match_name
from vla_bench.spec.suite import Camera, Protocol, Suite, Task

__all__ = ["VERSIONS", "CalvinFamily"]

VERSIONS: Mapping[str, str] = MappingProxyType({"pybullet": "3.2.7"})
"""The only version whose bits were compared with upstream's."""

_PROTOCOL_FILES = ("standard-1",)
_RENDERERS: Final = ("tiny", "egl-gpu", "egl-llvmpipe")  # the default first

_CHAIN_SUITES: Mapping[str, tuple[str, int]] = MappingProxyType(
    {"calvin_abc_d": ("ABC", 1000), "calvin_abc_d_100": ("ABC", 100), "calvin_d_d": ("D", 1000),
     "calvin_abcd_d": ("ABCD", 1000)}
)  # fmt: skip
"""Suite → scenes that the policy may have been trained on, number of chains. All are evaluated on scene D."""

_RELATIVE = ActionConvention(
    rotation=Rotation.EULER_XYZ,
    frame=Frame.WORLD,
    reference=Reference.DELTA,
    position_unit_m=0.02,
    rotation_unit_rad=0.05,
    gripper=Gripper.PLUS_OPENS,
    low=-1.0,
    high=1.0,
)
_CAMERAS = (
    Camera(name="front", height=200, width=200, source="static"),
    Camera(name="wrist", height=84, width=84, source="gripper"),
)


@cache
def _protocols() -> Mapping[str, Mapping[str, Any]]:
    """`standard-tiny/1` → its file and renderer, the default first."""
    folder = files(__package__).joinpath("protocols")
    tables = [tomllib.loads(folder.joinpath(f"{stem}.toml").read_text(encoding="utf-8")) for stem in _PROTOCOL_FILES]
    return {
        f"{table['name']}-{renderer}/{table['version']}": {**table, "renderer": renderer}
        for table in tables
        for renderer in _RENDERERS
    }


class CalvinFamily:
    """The suites of CALVIN, as an entry point of the group `vla_bench.suites`."""

    name = "calvin"
    installation = Installation(
        extra="calvin", imports=("pybullet",), versions=dict(VERSIONS), pythons=("3.11", "3.10"), renderer="bullet"
    )

    def suite_names(self) -> Sequence[str]:
        """The suites of chains."""
        return list(_CHAIN_SUITES)

    def protocol_names(self, suite: str) -> Sequence[str]:
        """`standard-tiny/1` is the default."""
        _suite_name(suite)
        return list(_protocols())

    def suite(self, name: str, protocol: str = "") -> Suite:
        """Describe a suite.

        Raises:
            UnknownSuite, UnknownProtocol: no such name.
        """
        return _describe(_suite_name(name), _protocol_name(protocol))

    def make_env(self, suite: Suite, options: EnvOptions) -> SuiteEnv:
        """Import PyBullet and build the env.

        Raises:
            MissingExtra: PyBullet is not installed.
            SuiteNotInstalled: another version of it is, or assets are missing.
        """
        try:
            from vla_bench.envs.calvin.env import CalvinEnv
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "vla_bench":
                raise
            raise MissingExtra(f"suite {suite.name!r}", self.installation.extra) from error
        return CalvinEnv(suite, options)


def _suite_name(name: str) -> str:
    match = match_name(name, _CHAIN_SUITES)
    if match is None:
        raise UnknownSuite(name, _CHAIN_SUITES)
    return match


def _protocol_name(name: str) -> str:
    """Match `standard-tiny/1`, `standard-tiny`, or `standard` with the first renderer; the default where empty."""
    known = _protocols()
    if not name:
        return next(iter(known))
    shorter: dict[str, str] = {}
    for protocol, table in known.items():
        for short in (table["name"], protocol.partition("/")[0]):
            shorter.setdefault(short, protocol)
    match = match_name(name, [*known, *shorter])
    if match is None:
        raise UnknownProtocol(name, known)
    return shorter.get(match, match)


@cache
def _describe(name: str, protocol: str) -> Suite:
    data = _protocols()[protocol]
    scenes, n_chains = _CHAIN_SUITES[name]
    steps = data["parameters"]["subtask_steps"]
    return Suite(
        name=name,
        family=CalvinFamily.name,
        title=f"CALVIN {'→'.join((scenes, 'D'))}: {n_chains} chains of five instructions, trained on scenes {scenes}",
        protocol=_protocol(data, protocol),
        tasks=tuple(_task(index, chain, steps) for index, chain in enumerate(chains()[:n_chains])),
        cameras=_CAMERAS,
        state={"robot_obs": 15},
        action=_RELATIVE,
        privileged=True,
        provenance={
            "simulator": "our own environment on pybullet 3.2.7 (zlib), equal to calvin_env @ 797142c bit for bit",
            "assets": "calvin_env @ 797142c (MIT), franka_panda (Apache-2.0)",
            "instructions": "mees/calvin @ fa03f01, new_playtable_validation.yaml (MIT)",
            "training": f"scenes {scenes}",
        },
    )


def _protocol(data: Mapping[str, Any], name: str) -> Protocol:
    return Protocol(
        name=name.partition("/")[0],
        version=data["version"],
        n_trials=data["n_trials"],
        base_seed=data["base_seed"],
        action_bounds=data["action_bounds"],
        parameters={**data["parameters"], "renderer": data["renderer"]},
        source=data["source"],
    )


def _task(index: int, chain: Chain, subtask_steps: int) -> Task:
    sentences = tuple(read_table("tasks.toml")[task]["instruction"] for task in chain.tasks)
    return Task(
        id=f"chain_{index:04d}",
        instruction=sentences[0],
        horizon=subtask_steps * len(sentences),
        stages=sentences,
        params={"subtasks": list(chain.tasks)},
        initial_states=(dict(chain.state),),
    )
