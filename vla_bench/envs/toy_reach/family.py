"""Describes the toy suites from the data files beside this module; nothing is simulated here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from vla_bench.envs.base import EnvOptions, Installation, SuiteEnv
from vla_bench.spec.conventions import ActionConvention, Frame, Gripper, Reference
from vla_bench.spec.errors import UnknownSuite
from vla_bench.spec.names import match_name
from vla_bench.spec.suite import Camera, Protocol, Suite, Task, match_protocol

__all__ = ["ToyReachFamily"]

_TITLES = {
    "toy_reach": "A hand reaches for coloured balls: pure NumPy, for tests and as an example",
    "toy_reach_faults": "toy_reach with a fault switchboard: for tests of the harness, never for scores",
}
_PROTOCOL_FILES = {  # the default first
    "standard/1": "standard-1.toml",
    "hard_bounds/1": "hard_bounds-1.toml",
    "no_bounds/1": "no_bounds-1.toml",
}
# One unit of position moves the hand by 2 cm.
_ACTION = ActionConvention(
    frame=Frame.WORLD, reference=Reference.DELTA, position_unit_m=0.02, gripper=Gripper.PLUS_CLOSES, low=-1.0, high=1.0
)


@cache
def _data(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


class ToyReachFamily:
    """The toy suites, as an entry point of the group `vla_bench.suites`."""

    name = "toy_reach"
    installation = Installation()

    def suite_names(self) -> Sequence[str]:
        """`toy_reach` and `toy_reach_faults`."""
        return list(_TITLES)

    def protocol_names(self, suite: str) -> Sequence[str]:
        """`standard/1` (the default), `hard_bounds/1` and `no_bounds/1`, for both suites."""
        _suite_name(suite)
        return list(_PROTOCOL_FILES)

    def suite(self, name: str, protocol: str = "") -> Suite:
        """Describe a suite under a protocol.

        Raises:
            UnknownSuite, UnknownProtocol: no such name.
        """
        suite = _suite_name(name)
        data = _data(f"protocols/{_PROTOCOL_FILES[match_protocol(protocol, list(_PROTOCOL_FILES))]}")
        size = data["image_size"]
        return Suite(
            name=suite,
            family=self.name,
            title=_TITLES[suite],
            protocol=Protocol(
                name=data["name"],
                version=data["version"],
                n_trials=data["n_trials"],
                base_seed=data["base_seed"],
                action_bounds=data["action_bounds"],
                source=data["source"],
            ),
            tasks=tuple(_task(task, facts, data["steps_per_stage"]) for task, facts in _data("tasks.toml").items()),
            cameras=tuple(Camera(name=camera, height=size, width=size) for camera in ("front", "wrist")),
            state={"hand": 3, "gripper": 1},
            action=_ACTION,
            group_by=("difficulty",),
            privileged=True,
            provenance={"simulator": "vla_bench.envs.toy_reach (Apache-2.0)"},
        )

    def make_env(self, suite: Suite, options: EnvOptions) -> SuiteEnv:
        """Build the env in this process."""
        if suite.name == "toy_reach_faults":
            from vla_bench.envs.toy_reach.faults import FaultyToyReachEnv

            return FaultyToyReachEnv(suite, options)
        from vla_bench.envs.toy_reach.env import ToyReachEnv

        return ToyReachEnv(suite, options)


def _suite_name(name: str) -> str:
    match = match_name(name, _TITLES)
    if match is None:
        raise UnknownSuite(name, _TITLES)
    return match


def _task(task: str, facts: Mapping[str, Any], steps_per_stage: int) -> Task:
    return Task(
        id=task,
        instruction=facts["instruction"],
        horizon=steps_per_stage * len(facts["order"]),
        stages=tuple(facts.get("stages", ())),
        tags={"difficulty": facts["difficulty"]},
        params={
            "order": facts["order"],
            "tolerance_m": facts.get("tolerance_m", 0.02),
            "hold_steps": facts.get("hold_steps", 1),
            "is_flat": facts.get("is_flat", False),
        },
    )
