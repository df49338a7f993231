"""LIBERO itself: equal to upstream's own loop, bit for bit, and to itself whatever ran before."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.envs.libero_play import difference, play
from vla_bench.envs.base import EnvOptions
from vla_bench.envs.libero.family import SUITES
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.envs.runtime.limits import WorkerLimits
from vla_bench.spec.episode import make_plan
from vla_bench.testing import check_suite

# The first test may have to install 2 GB of packages; simulators on a busy machine take their time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.xdist_group("libero")]

PATIENT = WorkerLimits(start_s=600, call_s=120)


# What each of them is there for: a bowl in a drawer that is opened by a drawn amount, so that the list of initialisers
# grows with every hard reset; drawers, a stove and a rack that stand where a reset draws them.
@pytest.mark.parametrize(("suite", "task"), [("libero_spatial", 4), ("libero_goal", 0)])
def test_repaired_soft_resets_equal_hard_ones_over_three_episodes(libero: Path, suite: str, task: int):
    job = {"suite": suite, "task": task, "trials": 3, "steps": 12, "cameras": False}
    stock = play(libero, loop="stock", **job)
    ours = play(libero, loop="ours", **job)
    assert [difference(*pair) for pair in zip(ours, stock, strict=True)] == ["", "", ""]
    assert len({record["states"]["reset"] for record in ours}) == 3


def test_pictures_drawn_when_asked_for_equal_those_of_every_step(libero: Path):
    job = {"suite": "libero_object", "task": 1, "trials": 2, "steps": 8, "settling": 2}
    stock = play(libero, loop="stock", chunk=1, **job)
    ours = play(libero, loop="ours", chunk=4, **job)
    for mine, theirs in zip(ours, stock, strict=True):
        assert difference(mine, theirs) == ""
        assert list(mine["pictures"]) == ["0", "4", "8"]
        assert mine["pictures"]["0"] != mine["pictures"]["8"]


@pytest.mark.parametrize("on", ["none", "stages", "controller", "remembered_draws", "remembered_passes"])
def test_every_shortcut_leaves_the_bits_as_they_are(libero: Path, on: str):
    job = {"suite": "libero_10", "task": 2, "trials": 2, "steps": 10, "cameras": False}
    with_all = play(libero, **job)
    with_some = play(libero, speedups=on, **job)
    assert [difference(*pair) for pair in zip(with_all, with_some, strict=True)] == ["", ""]


def test_an_episode_in_a_scene_that_was_used_equals_one_in_a_new_scene(libero: Path):
    # Drawers, a stove and a rack that stand where each reset draws them; the second episode follows a busy one.
    job = {"loop": "env", "suite": "libero_goal", "task": 0, "trials": 3, "steps": 8, "chunk": 8}
    others = "remembered_draws,remembered_passes,stages,controller,culling"
    used, new = play(libero, **job), play(libero, speedups=others, **job)
    assert [difference(*pair) for pair in zip(used, new, strict=True)] == ["", "", ""]
    assert all(len(record["pictures"]) == len(record["states"]) == 2 for record in new)
    assert [record["n_compiled"] for record in used] == [1, 1, 1]
    assert [record["n_compiled"] for record in new] == [1, 2, 3]


def test_leaving_out_what_cannot_be_seen_leaves_the_pixels_as_they_are(libero: Path):
    # A stove that mirrors the scene, a rack with a part that is half transparent, a table that hides its legs.
    job = {"suite": "libero_goal", "task": 7, "trials": 2, "steps": 8, "settling": 2, "chunk": 2}
    culled = play(libero, **job)
    whole = play(libero, speedups="soft_reset,stages,controller,remembered_draws,remembered_passes", **job)
    assert [difference(*pair) for pair in zip(culled, whole, strict=True)] == ["", ""]
    assert all(len(record["pictures"]) == 5 for record in culled)


def test_a_trial_needs_none_before_it(libero: Path):
    suite = find_suite("libero_goal")
    plan = make_plan(suite, tasks=[suite.tasks[5].id], n_trials=40).episodes
    digests = []
    for trials in ([0, 39], [39]):
        env = open_env(suite, EnvOptions(), limits=PATIENT)
        try:
            digests.append([env.reset(plan[trial]).digest for trial in trials])
        finally:
            env.close()
    assert digests[0][-1] == digests[1][-1]
    assert digests[0][0] != digests[0][1]


@pytest.mark.parametrize("name", ["libero_spatial", "libero_object", "libero_goal", "libero_10"])
def test_every_suite_gives_proprioception_and_truth(libero: Path, name: str):
    suite = find_suite(name)
    env = open_env(suite, EnvOptions(privileged=True), limits=PATIENT)
    try:
        state = env.reset(make_plan(suite, tasks=[suite.tasks[-1].id], n_trials=1).episodes[0])
        assert state.facts == {"solved_after_settling": False}
        eef = state.state["eef_state"]
        assert np.array_equal(eef[:3], state.state["eef_pos"])
        assert np.array_equal(eef[3:6], state.state["eef_axis_angle"])
        assert np.array_equal(eef[6:], state.state["gripper_qpos"])
        goals = [key for key in state.privileged if key.startswith("goal/")]
        assert goals
        assert all(state.privileged[key] == 0 for key in goals)
        up = env.advance(np.tile(np.float32([0, 0, 1, 0, 0, 0, 1]), (6, 1)))
        assert up.state["eef_pos"][2] - state.state["eef_pos"][2] > 0.05
        assert np.ptp(up.state["gripper_qpos"]) < np.ptp(state.state["gripper_qpos"])
        # The observation is sampled one physics step before the truth, which is of the step's end.
        assert np.linalg.norm(up.privileged["eef"][:3] - up.state["eef_pos"]) < 0.01
    finally:
        env.close()


def test_absolute_poses_are_where_the_gripper_goes(libero: Path):
    suite = find_suite("libero_object")
    env = open_env(suite, EnvOptions(control_mode="osc_abs"), limits=PATIENT)
    try:
        start = env.reset(make_plan(suite, n_trials=1).episodes[0]).state
        position = start["controller_pos"] + np.float32([0.05, -0.04, 0.03])
        # The hand that the proprioception speaks of is turned against the grasping point that the controller moves.
        turn = Rotation.from_matrix(start["controller_mat"].reshape(3, 3)) * Rotation.from_rotvec([0, 0, 0.3])
        target = np.float32([*position, *turn.as_rotvec(), -1])
        for _ in range(4):
            there = env.advance(np.tile(target, (10, 1))).state
        assert np.linalg.norm(there["controller_pos"] - position) < 0.005
        left = turn.inv() * Rotation.from_matrix(there["controller_mat"].reshape(3, 3))
        assert left.magnitude() < 0.03
    finally:
        env.close()


def test_the_suite_passes_its_conformance_kit(libero: Path):
    rules = check_suite("libero_spatial", n_episodes=2, n_steps=8, limits=PATIENT)
    assert "rendering at every step changes neither states nor pictures" in rules
    assert "an episode gives the same bits after other episodes, in any order" in rules


@cache
def answers(interpreter: Path) -> dict[str, Any]:
    """What `libero_odd.py` finds out."""
    command = [interpreter, "-P", Path(__file__).with_name("libero_odd.py")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.partition("ANSWERS")[2])
    return found


def test_success_while_waiting_is_told_and_counts_at_the_policys_first_step(libero: Path):
    found = answers(libero)["solved_while_waiting"]
    assert found == {
        "facts": {"solved_after_settling": True}, "at_reset": [False, False], "after": [True, True], "step": 1,
    }  # fmt: skip


def test_a_state_that_mujoco_resets_in_silence_is_an_error(libero: Path):
    assert "MuJoCo warned" in answers(libero)["unstable"]


def test_numpys_own_stream_decides_nothing_and_is_left_where_it_was(libero: Path):
    assert answers(libero)["stream_of_others"] == {"is_same": True, "is_left_alone": True}


def test_tasks_are_in_upstreams_order(libero: Path):
    upstreams = answers(libero)["upstream_order"]
    ours = {name: [task.id for task in find_suite(name).tasks] for name in SUITES}
    assert ours == {name: upstreams[name] for name in SUITES}


def test_the_import_is_silent_and_asks_and_writes_nothing(libero: Path, tmp_path: Path):
    program = (
        "import os, sys; from vla_bench.envs.libero.package import simulator_package; simulator_package(); "
        "heavy = {'torch', 'transformers', 'wandb', 'huggingface_hub', 'OpenGL'} & set(sys.modules); "
        "assert not heavy, heavy; "
        "assert 'MUJOCO_GL' not in os.environ and 'LIBERO_CONFIG_PATH' not in os.environ"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("MUJOCO_GL", "LIBERO_CONFIG_PATH")}
    done = subprocess.run(
        [libero, "-c", program],
        env={**environment, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())
