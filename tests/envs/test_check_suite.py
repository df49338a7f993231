"""The conformance kit: our suites pass, and every broken rule is named."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tests.envs.plugins import install_plugin
from tests.envs.workers import LIMITS
from vla_bench.spec.errors import UnknownSuite
from vla_bench.testing import ConformanceError, check_suite

BASE = """
import time
from dataclasses import replace
import numpy as np
from vla_bench.envs.base import Installation
from vla_bench.envs.toy_reach.env import ToyReachEnv
from vla_bench.envs.toy_reach.family import ToyReachFamily

class Env(ToyReachEnv):
{env}

class Family(ToyReachFamily):
    name = "broken"
    def suite_names(self):
        return ["broken_reach"]
    def protocol_names(self, suite):
        return super().protocol_names("toy_reach")
    def suite(self, name, protocol=""):
        suite = super().suite("toy_reach", protocol)
        return replace(suite, name="broken_reach", family="broken"{suite})
    def make_env(self, suite, options):
        return Env(suite, options)
{family}

family = Family()
"""


@pytest.mark.parametrize("protocol", ["standard", "hard_bounds", "no_bounds"])
def test_the_toy_suite_passes(protocol: str) -> None:
    rules = check_suite("toy_reach", protocol=protocol, limits=LIMITS)
    assert len(rules) == 16
    assert "an episode gives the same bits in another process" in rules


def test_without_pictures_the_rest_is_checked() -> None:
    rules = check_suite("toy_reach_faults", pictures=False, n_episodes=2, limits=LIMITS)
    assert len(rules) == 14
    assert not [rule for rule in rules if rule.startswith("rendering")]


def test_an_unknown_suite_is_no_broken_rule() -> None:
    with pytest.raises(UnknownSuite):
        check_suite("toy_raech")


HISTORY = """
    n_before = 0
    def _start(self, episode):
        facts = super()._start(episode)
        self._hand[0] += 0.001 * self.n_before
        self.n_before += 1
        return facts
"""
PER_PROCESS = """
    def _start(self, episode):
        import os
        facts = super()._start(episode)
        self._hand[0] += 1e-9 * os.getpid()
        return facts
"""
RENDERING_MOVES = """
    def _render(self, camera):
        self._hand[2] += 1e-6
        return super()._render(camera)
"""
CHANGES_ACTION = """
    def _step(self, action):
        action *= 0.5
        return super()._step(action)
"""
WRONG_STATE = """
    def _state(self):
        return {"hand": self._hand, "gripper": np.zeros(2, np.float32)}
"""
WRONG_PICTURE = """
    def _render(self, camera):
        return super()._render(camera)[:32].astype(np.int16)
"""
CONSTANT_DIGEST = """
    def state_digest(self):
        return "0" * 32
"""
NEVER_ENDS = """
    def _advance_one(self, action):
        outcome = super()._advance_one(action)
        self._is_over = False
        return outcome
"""
DROPS_FRAMES = """
    def advance(self, actions, *, frames_at=()):
        return super().advance(actions)
"""
NO_TRUTH = """
    def privileged(self):
        return {}
"""
RAISES = """
    def _step(self, action):
        raise RuntimeError("broken")
"""
CHANGING_SUITE = """, tasks=(suite.tasks[0],) * 2, title=str(time.time_ns())"""
IMPORTS = """
    installation = replace(ToyReachFamily.installation, imports=("colorsys",))
    def suite_names(self):
        import colorsys
        return ["broken_reach"]
"""

BROKEN = [
    pytest.param({"env": HISTORY}, ["after other episodes, in any order: digests differ at step 0"], id="history"),
    pytest.param(
        {"env": PER_PROCESS + NO_TRUTH},
        ["in another process: digests differ at step 0", "is asked for: nothing came"],
        id="process and truth",
    ),
    pytest.param(
        {"env": RENDERING_MOVES + DROPS_FRAMES},
        [
            "rendering at every step changes neither states nor pictures: digests differ",
            "rendering changes no state: digests differ",
            "how actions are cut into chunks changes nothing",
        ],
        id="rendering",
    ),
    pytest.param({"env": DROPS_FRAMES}, ["frames asked for inside a chunk did not come"], id="frames"),
    pytest.param(
        {"env": WRONG_STATE + WRONG_PICTURE + CONSTANT_DIGEST + CHANGES_ACTION},
        [
            "gymnasium's checker is content: ",
            "a step does not change the action that it is given",
            "state has shapes",
            "state 'hand' is float64",
            "camera 'front' gives int16 [32, 64, 3]",
            "two episodes begin with the same digest",
        ],
        id="observations",
    ),
    pytest.param(
        {"env": NEVER_ENDS, "suite": CHANGING_SUITE, "family": IMPORTS},
        [
            "imported colorsys",
            "two descriptions differ",
            "tasks have unique ids, instructions, limits and an initial state for every trial: the ids are",
            "at step 41 of 40 it goes on",
            "advance() was accepted",
        ],
        id="description and end",
    ),
    pytest.param({"env": RAISES}, ["as the suite declares them: advance raised RuntimeError: broken"], id="raises"),
]


@pytest.mark.parametrize(("parts", "sentences"), BROKEN)
def test_every_broken_rule_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: dict[str, str], sentences: list[str]
) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_plugin(tmp_path, monkeypatch, **parts)
    for sentence in sentences:
        assert sentence in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).failures == caught.value.failures


def test_the_plugin_that_the_others_are_broken_ones_of_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(check_plugin(tmp_path, monkeypatch)) == 16


def check_plugin(
    folder: Path, monkeypatch: pytest.MonkeyPatch, env: str = "    pass", suite: str = "", family: str = ""
) -> tuple[str, ...]:
    install_plugin(folder, monkeypatch, "broken", BASE.format(env=env, suite=suite, family=family))
    return check_suite("broken_reach", limits=LIMITS, n_steps=8)
