"""Describes the CALVIN suites from the data files beside this module; the simulator is in `world.py`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any

from vla_bench.envs.base import EnvOptions, Installation, SuiteEnv
from vla_bench.envs.calvin.assets import declare_assets
from vla_bench.envs.calvin.chains import chains
from vla_bench.envs.calvin.rules import protocol_of, protocols_of
from vla_bench.envs.calvin.scenes import read_table
from vla_bench.envs.calvin.sentences import enriched_sentences, sentence
from vla_bench.envs.calvin.singles import single_starts
from vla_bench.envs.runtime.assets.declared import AssetSet
from vla_bench.spec.conventions import ActionConvention, Frame, Gripper, Reference, Rotation
from vla_bench.spec.errors import MissingExtra, SuiteNotInstalled, UnknownSuite, UsageError
from vla_bench.spec.names import match_name
from vla_bench.spec.suite import Camera, Protocol, Suite, Task

__all__ = ["VERSIONS", "CalvinFamily", "lacking_pybullet"]

VERSIONS: Mapping[str, str] = MappingProxyType({"pybullet": "3.2.7"})
"""The only version whose bits were compared with upstream's."""

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


_ABSOLUTE = ActionConvention(
    rotation=Rotation.EULER_XYZ,
    frame=Frame.WORLD,
    reference=Reference.ABSOLUTE,
    gripper=Gripper.PLUS_OPENS,
    low=-4.0,
    high=4.0,
)
"""Nothing is clipped to these bounds; they say what numbers to expect."""

_ACTIONS: Mapping[str, ActionConvention] = MappingProxyType({"relative": _RELATIVE, "absolute": _ABSOLUTE})


@cache
def _single_suites() -> Mapping[str, str]:
    """Suite → its subtask."""
    return {f"calvin_{task}": task for task in read_table("tasks.toml")}


class CalvinFamily:
    """The suites of CALVIN, as an entry point of the group `vla_bench.suites`."""

    name = "calvin"
    installation = Installation(
        extra="calvin",
        imports=("pybullet",),
        versions=dict(VERSIONS),
        pythons=("3.11",),
        lock_file="envs/calvin/requirements.lock",
        renderer="bullet",
    )

    @cached_property
    def assets(self) -> tuple[AssetSet, ...]:
        """Models and textures, for every suite."""
        return (declare_assets(self.suite_names()),)

    def suite_names(self) -> Sequence[str]:
        """The suites of chains, then one for each of the 34 subtasks."""
        return [*_CHAIN_SUITES, *_single_suites()]

    def protocol_names(self, suite: str) -> Sequence[str]:
        """`standard-tiny/1` is the default of chains, `single-tiny/1` that of single subtasks."""
        return list(protocols_of(single=_suite_name(suite) in _single_suites()))

    def suite(self, name: str, protocol: str = "") -> Suite:
        """Describe a suite.

        Raises:
            UnknownSuite, UnknownProtocol: no such name.
        """
        suite = _suite_name(name)
        return _describe(suite, protocol_of(protocol, single=suite in _single_suites()).id)

    def make_env(self, suite: Suite, options: EnvOptions) -> SuiteEnv:
        """Import PyBullet and build the env.

        Raises:
            MissingExtra, SuiteNotInstalled: PyBullet is not installed, or assets are missing.
        """
        try:
            from vla_bench.envs.calvin.env import CalvinEnv
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "vla_bench":
                raise
            raise lacking_pybullet(f"suite {suite.name!r}", "vla-bench env create calvin") from error
        return CalvinEnv(suite, options)


def lacking_pybullet(feature: str, instead: str) -> UsageError:
    """What to raise where PyBullet cannot be imported.

    Args:
        feature: that needs it.
        instead: what to type where this Python has no wheel, for which the extra installs nothing.
    """
    here, installation = f"{sys.version_info.major}.{sys.version_info.minor}", CalvinFamily.installation
    if here in installation.pythons:
        return MissingExtra(feature, installation.extra)
    return SuiteNotInstalled(
        f"{feature} needs PyBullet, which has no wheel for Python {here} and would have to be built from source."
        f" Type: {instead}"
    )


def _suite_name(name: str) -> str:
    known = [*_CHAIN_SUITES, *_single_suites()]
    match = match_name(name, known)
    if match is None:
        raise UnknownSuite(name, known)
    return match


@cache
def _describe(name: str, protocol_id: str) -> Suite:
    subtask = _single_suites().get(name)
    protocol = protocol_of(protocol_id, single=subtask is not None)
    provenance = {
        "simulator": "our own environment on pybullet 3.2.7 (zlib), equal to calvin_env @ 797142c bit for bit",
        "assets": "calvin_env @ 797142c (MIT), franka_panda (Apache-2.0)",
        "instructions": "mees/calvin @ fa03f01, new_playtable_validation.yaml (MIT)",
    }
    if protocol.parameters["instructions"] == "enriched":
        provenance["instructions"] = "RoboFlamingo @ c8c0cb1, lang_annotation_cache.json (MIT)"
    if subtask is None:
        scenes, n_chains = _CHAIN_SUITES[name]
        provenance["training"] = f"scenes {scenes}"
        title = f"CALVIN {scenes}→D: {n_chains:,} chains of five instructions, for policies trained on scenes {scenes}"
        tasks = tuple(_chain_task(index, protocol) for index in range(n_chains))
    else:
        title = f"CALVIN {subtask}: {sentence(subtask)}"
        tasks = (_single_task(subtask, protocol),)
    return Suite(
        name=name,
        family=CalvinFamily.name,
        title=title,
        protocol=protocol,
        tasks=tasks,
        cameras=_CAMERAS,
        state={"robot_obs": 15},
        action=_ACTIONS[protocol.parameters["actions"]],
        privileged=True,
        provenance=provenance,
    )


def _chain_task(index: int, protocol: Protocol) -> Task:
    chain, rules = chains()[index], protocol.parameters
    is_enriched = rules["instructions"] == "enriched"
    said = enriched_sentences()[index] if is_enriched else tuple(sentence(task) for task in chain.tasks)
    params: dict[str, Any] = {"subtasks": list(chain.tasks)}
    if rules["between_chains"] == "shared" and index > 0:
        params["before"] = dict(chains()[index - 1].state)
    return Task(
        id=f"chain_{index:04d}",
        instruction=said[0],
        horizon=rules["subtask_steps"] * len(said),
        stages=said,
        tags={f"subtask_{number}": task for number, task in enumerate(chain.tasks, 1)},
        params=params,
        initial_states=(dict(chain.state),),
    )


def _single_task(subtask: str, protocol: Protocol) -> Task:
    return Task(
        id=subtask,
        instruction=sentence(subtask),
        horizon=protocol.parameters["subtask_steps"],
        params={"subtasks": [subtask]},
        initial_states=tuple(dict(state) for state in single_starts(subtask, protocol.n_trials)),
    )
