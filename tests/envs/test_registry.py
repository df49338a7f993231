"""Suites are found by name, whoever brings them, and gymnasium finds them too."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from tests.envs.plugins import install_plugin
from tests.envs.workers import LIMITS
from vla_bench.envs import (
    EnvOptions,
    SuiteEnv,
    families,
    family_of,
    find_suite,
    open_env,
    register_gymnasium,
    suite_names,
)
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import UnknownProtocol, UnknownSuite, UnknownTask, UsageError


@pytest.mark.parametrize("name", ["toy_reach", "Toy-Reach", "TOYREACH", "toy.reach"])
def test_a_name_is_found_however_it_is_spelt(name: str) -> None:
    assert find_suite(name).name == "toy_reach"


def test_the_default_protocol_is_taken_where_none_is_named() -> None:
    assert find_suite("toy_reach").protocol.id == "standard/1"
    assert find_suite("toy_reach", "hard-bounds").protocol.id == "hard_bounds/1"


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownSuite, match=r"unknown suite 'toy_raech'\. Did you mean 'toy_reach'"):
        find_suite("toy_raech")
    with pytest.raises(UnknownProtocol, match="Did you mean 'standard/1'"):
        find_suite("toy_reach", "standrad/1")


def test_every_listed_suite_is_found_and_belongs_to_its_family() -> None:
    for name in suite_names():
        suite = find_suite(name)
        assert suite.name == name
        assert name in family_of(suite).suite_names()
        assert family_of(name) is family_of(suite)
    assert {"toy_reach", "metaworld_mt10"} <= set(suite_names())


def test_a_family_is_found_by_its_own_name() -> None:
    assert family_of("Toy_Reach").name == "toy_reach"
    with pytest.raises(UnknownSuite):
        family_of("nobody")


# Proprioception has no bounds that anybody would know.
@pytest.mark.filterwarnings("ignore:.*observation space m.*imum value is -?infinity")
def test_gymnasium_makes_a_suite_and_its_checker_is_content() -> None:
    env = gymnasium.make("vla_bench/toy_reach", task="reach_green", cameras=("front",))
    with closing(env):
        suite_env = env.unwrapped
        assert isinstance(suite_env, SuiteEnv)
        check_env(suite_env)
        observation, info = env.reset(seed=3)
        assert env.observation_space.contains(observation)
        assert observation["images"]["front"].shape == (64, 64, 3)
        assert info["episode"] == make_plan(suite_env.suite, tasks=["reach_green"]).episodes[3].id
        assert np.array_equal(env.render(), observation["images"]["front"])


def test_gymnasium_runs_an_episode_to_its_horizon() -> None:
    with closing(gymnasium.make("vla_bench/toy_reach", protocol="hard_bounds")) as env:
        env.reset()
        ends = [env.step(np.zeros(4, np.float32))[2:4] for _ in range(40)]
        assert ends == [(False, False)] * 39 + [(False, True)]


def test_gymnasium_refuses_a_task_that_the_suite_does_not_have() -> None:
    with pytest.raises(UnknownTask, match="Did you mean 'reach_red'"):
        gymnasium.make("vla_bench/toy_reach", task="reach_rod")


def test_registering_again_changes_nothing() -> None:
    before = dict(gymnasium.registry)
    register_gymnasium()
    assert dict(gymnasium.registry) == before


def test_an_unknown_kind_of_option_is_a_programming_mistake() -> None:
    with pytest.raises(TypeError):
        gymnasium.make("vla_bench/toy_reach", camera="front")


PLUGIN = """
from dataclasses import replace
from vla_bench.envs.toy_reach.env import ToyReachEnv
from vla_bench.envs.toy_reach.family import ToyReachFamily

class Family(ToyReachFamily):
    name = "stranger"
    def suite_names(self):
        return ["stranger_reach"]
    def suite(self, name, protocol=""):
        return replace(super().suite("toy_reach", protocol), name="stranger_reach", family="stranger")
    def make_env(self, suite, options):
        return ToyReachEnv(suite, options)

family = Family()
"""


def test_a_suite_of_another_package_runs_like_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_plugin(tmp_path, monkeypatch, "stranger", PLUGIN)
    suite = find_suite("stranger-reach")
    with closing(open_env(suite, EnvOptions(cameras=("front",)), limits=LIMITS)) as env:
        state = env.reset(make_plan(suite).episodes[0])
    assert state.images["front"].any()


def test_a_suite_of_another_package_is_made_by_gymnasium_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin(tmp_path, monkeypatch, "stranger", PLUGIN)
    code = """
import stranger, gymnasium, vla_bench.envs
assert "vla_bench/toy_reach" in gymnasium.registry
vla_bench.envs.register_gymnasium()
print(gymnasium.make("vla_bench/stranger_reach").reset()[1]["episode"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_broken_plugin_takes_no_other_suite_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orphan = replace(find_suite("toy_reach"), family="broken")
    install_plugin(tmp_path, monkeypatch, "broken", "import nowhere_to_be_found")
    with pytest.warns(UserWarning, match=r"'broken' is registered as broken:family but cannot be imported"):
        names = [family.name for family in families()]
    assert "toy_reach" in names
    assert "broken" not in names
    with pytest.raises(UsageError, match="cannot be imported"):
        family_of(orphan)
