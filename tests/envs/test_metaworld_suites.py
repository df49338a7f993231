"""What Meta-World's suites say of themselves; the data are compared with the simulator that is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from vla_bench.envs.base import EnvOptions
from vla_bench.envs.metaworld import family
from vla_bench.envs.registry import find_suite
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import MissingExtra, SuiteNotInstalled, UnknownProtocol, UnknownSuite


def test_ten_fifty_perturbed_ones_and_every_single_task_are_suites():
    names = family.suite_names()
    assert names[:4] == ["metaworld_mt10", "metaworld_mt50", "metaworld_plus", "metaworld_plus_mt50"]
    assert len(names) == 54
    assert [len(family.suite(name).tasks) for name in names] == [10, 50, 350, 1750, *[1] * 50]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("MetaWorld-MT10", "metaworld_mt10"),
        ("metaworld_reach-v3", "metaworld_reach"),
        ("metaworld_drawer-close-v3", "metaworld_drawer_close"),
        ("METAWORLD_DRAWER_CLOSE", "metaworld_drawer_close"),
    ],
)
def test_suites_are_found_by_metaworlds_own_spelling_too(typed: str, name: str):
    assert family.suite(typed).name == name
    assert find_suite(typed).name == name


def test_a_mistyped_suite_names_the_near_one():
    with pytest.raises(UnknownSuite, match="metaworld_reach_wall"):
        family.suite("metaworld_reach_wal")


@pytest.mark.parametrize("name", ["", "standard", "standard/1", "Standard-1"])
def test_standard_is_the_default_protocol(name: str):
    assert family.suite("metaworld_mt10", name).protocol.id == "standard/1"


def test_an_unknown_protocol_is_refused():
    with pytest.raises(UnknownProtocol, match="compact/1"):
        family.suite("metaworld_mt10", "compacted/1")


def test_the_standard_protocol_is_what_the_documentation_says():
    suite = family.suite("metaworld_mt10")
    assert [(c.name, c.source, c.height, c.width, c.convention.orientation) for c in suite.cameras] == [
        ("front", "corner4", 480, 480, "rotated_180"),
        ("wrist", "gripperPOV", 480, 480, "upright"),
    ]
    plan = make_plan(suite)
    assert len(plan) == 100
    assert {task.horizon for task in suite.tasks} == {500}
    assert {(e.trial, e.env_seed) for e in plan.episodes} == {(trial, 1000 + trial) for trial in range(10)}
    assert suite.protocol.action_bounds == "clip"
    assert suite.protocol.parameters["shadows"] is True
    assert (suite.action.n_entries, suite.action.position_unit_m, suite.action.gripper) == (4, 0.01, "+1 closes")


def test_compact_has_the_same_states_and_limits_and_smaller_pictures():
    standard, compact = family.suite("metaworld_mt50"), family.suite("metaworld_mt50", "compact")
    assert compact.tasks == standard.tasks
    assert compact.protocol.base_seed == standard.protocol.base_seed
    assert {(c.height, c.width) for c in compact.cameras} == {(256, 256)}
    assert compact.protocol.parameters["shadows"] is False
    assert compact.protocol.parameters["multisampling"] == 0


def test_difficulty_groups_are_the_published_ones():
    tasks = family.suite("metaworld_mt50").tasks
    assert Counter(task.tags["difficulty"] for task in tasks) == {"easy": 28, "medium": 11, "hard": 6, "very_hard": 5}
    assert family.suite("metaworld_mt50").group_by == ("difficulty",)
    very_hard = {task.id for task in tasks if task.tags["difficulty"] == "very_hard"}
    assert very_hard == {"shelf-place-v3", "disassemble-v3", "stick-pull-v3", "stick-push-v3", "pick-place-wall-v3"}


def test_instructions_are_those_that_checkpoints_know():
    instructions = {task.id: task.instruction for task in family.suite("metaworld_mt50").tasks}
    assert instructions["assembly-v3"] == "Pick up a nut and place it onto a peg"
    assert instructions["push-v3"] == instructions["push-back-v3"] == "Push the puck to a goal"
    assert len(set(instructions.values())) == 49
    assert "lerobot 0.4.4" in family.suite("metaworld_mt50").protocol.parameters["instruction_set"]


@pytest.mark.sim
def test_tasks_are_those_of_the_installed_simulator():
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS, MT10_V3

    assert {task.id for task in family.suite("metaworld_mt50").tasks} == set(ALL_V3_ENVIRONMENTS)
    assert {task.id for task in family.suite("metaworld_mt10").tasks} == set(MT10_V3)


def test_describing_a_suite_imports_no_simulator():
    program = (
        "import json, sys\nfrom vla_bench.envs.metaworld import family\n"
        "[family.suite(name) for name in family.suite_names()]\nprint(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"mujoco", "metaworld", "OpenGL", "scipy"} & set(json.loads(done.stdout))


@pytest.mark.sim
def test_another_version_of_the_simulator_is_refused(monkeypatch: pytest.MonkeyPatch):
    from vla_bench.envs.metaworld import simulator

    monkeypatch.setattr(simulator, "version", lambda name: {"mujoco": "4.0.0"}.get(name, "3.1.1"))
    with pytest.raises(
        SuiteNotInstalled, match=r"found mujoco 4\.0\.0.*pip install metaworld==3\.1\.1 mujoco==3\.3\.0"
    ):
        family.make_env(family.suite("metaworld_reach"), EnvOptions())


def test_without_the_simulator_the_message_is_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    for name in ("env", "pictures", "simulator"):
        monkeypatch.delitem(sys.modules, f"vla_bench.envs.metaworld.{name}", raising=False)
    for name in ("metaworld", "metaworld.env_dict", "mujoco"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
    with pytest.raises(MissingExtra, match=r"pip install 'vla-bench\[metaworld\]'"):
        family.make_env(family.suite("metaworld_reach"), EnvOptions())
