"""Meta-World's states: the simulator's own, the same after whatever ran before, in any process, whoever watches."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.envs.metaworld_golden import PATH, actions_of, play
from vla_bench.envs.base import EnvOptions, SuiteEnv
from vla_bench.envs.metaworld import family
from vla_bench.envs.registry import open_env
from vla_bench.envs.runtime.fingerprint import take_fingerprint
from vla_bench.policies.builtin.experts.metaworld import controller
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import EnvUnstable, MissingExtra, UnknownTask
from vla_bench.testing import check_suite

pytestmark = [pytest.mark.sim, pytest.mark.xdist_group("metaworld")]

ALL = [task.id for task in family.suite("metaworld_mt50").tasks]
# Objects, doors, buttons, holes and sticks; drawer-close and peg-insert-side move bodies of the model.
FEW = ["reach-v3", "drawer-close-v3", "peg-insert-side-v3", "coffee-push-v3", "stick-pull-v3"]
SMOKE = ["reach-v3", "drawer-close-v3", "button-press-topdown-v3", "window-open-v3", "pick-place-v3"]
MANY = [task if task in FEW else pytest.param(task, marks=pytest.mark.slow) for task in ALL]


@pytest.fixture(scope="module")
def env() -> Iterator[SuiteEnv]:
    """One env for the whole module: its history grows with every test, which must not matter."""
    env = family.make_env(family.suite("metaworld_mt50"), EnvOptions())
    yield env
    env.close()


def fresh(suite: str = "metaworld_mt50", **options: Any) -> SuiteEnv:
    return family.make_env(family.suite(suite), EnvOptions(**options))


@pytest.mark.parametrize("task", MANY)
def test_a_used_simulator_gives_the_states_of_a_new_one(env: SuiteEnv, task: str):
    expected = play(fresh(), task)
    play(env, task, trial=3)
    play(env, "reach-v3" if task != "reach-v3" else "push-v3", trial=1)
    assert play(env, task) == expected
    assert play(env, task) == expected
    assert play(env, task, trial=1)["initial"] != expected["initial"]


@pytest.mark.parametrize("task", MANY)
def test_states_are_metaworlds_own(env: SuiteEnv, task: str):
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    stock = ALL_V3_ENVIRONMENTS[task]()
    stock._set_task_called = stock.seeded_rand_vec = True
    stock._freeze_rand_vec = stock._partially_observable = False
    del stock.sawyer_observation_space
    stock.seed(1000)
    stock.reset()
    start = env.start(make_plan(env.suite, tasks=[task], n_trials=1).episodes[0])
    simulator = env._simulator  # type: ignore[attr-defined]
    assert start.facts["rand_vec"] == stock._last_rand_vec.tolist()
    for index, action in enumerate(actions_of(task)):
        observation, reward, _, _, info = stock.step(action)
        outcome = env._step(action)
        if index == 0:
            # The frame before the first step is the one of the reset, which metaworld takes before it moves objects.
            observation[18:36] = simulator.observation[18:36]
        assert np.array_equal(simulator.observation, observation)
        assert (outcome.reward, outcome.success) == (reward, bool(info["success"]))
    for name in ("qpos", "qvel", "mocap_pos", "ctrl", "qacc_warmstart"):
        assert np.array_equal(getattr(simulator.data, name), getattr(stock.data, name)), name


def test_other_processes_and_orders_give_the_same_states():
    program = (
        "import json, sys\nfrom tests.envs.metaworld_golden import play\nfrom vla_bench.envs.base import EnvOptions\n"
        "from vla_bench.envs.metaworld import family\n"
        "env = family.make_env(family.suite('metaworld_mt50'), EnvOptions())\n"
        "print(json.dumps({task: play(env, task) for task in sys.argv[1:]}))"
    )
    root = Path(__file__).parent.parent.parent
    runs = [
        subprocess.run([sys.executable, "-c", program, *tasks], cwd=root, capture_output=True, text=True, check=True)
        for tasks in (FEW, FEW[::-1])
    ]
    first, second = (json.loads(run.stdout) for run in runs)
    assert first == second == {task: play(fresh(), task) for task in FEW}


@pytest.mark.parametrize("task", MANY)
def test_states_are_the_recorded_ones(env: SuiteEnv, task: str):
    golden = json.loads(PATH.read_text())
    found = play(env, task)
    # Placements are drawn by NumPy's generator, equal everywhere; physics round as the processor does.
    assert found["rand_vec"] == golden["episodes"][task]["rand_vec"]
    if take_fingerprint(env.packages()).id == golden["fingerprint"]:
        assert found == golden["episodes"][task]


def test_an_oracle_that_watches_changes_nothing():
    plain = fresh("metaworld_mt10")
    watched = fresh("metaworld_mt10", privileged=True)
    for episode in make_plan(plain.suite, n_trials=1).episodes[:4]:
        actions = actions_of(episode.task)
        assert plain.start(episode).digest == watched.start(episode).digest
        seen, unseen = watched.advance(actions), plain.advance(actions)
        assert (seen.digest, seen.reward, seen.success) == (unseen.digest, unseen.reward, unseen.success)
        assert not unseen.privileged


def test_the_oracle_sees_the_goal_and_the_policy_does_not(env: SuiteEnv):
    watched = fresh("metaworld_reach", privileged=True)
    state = watched.start(make_plan(watched.suite, n_trials=1).episodes[0])
    observation = state.privileged["observation"]
    assert observation.shape == (39,)
    assert observation.dtype == np.float64
    assert np.allclose(observation[36:], state.facts["rand_vec"][3:])
    assert set(state.state) == {"agent_pos"}
    assert state.state["agent_pos"].dtype == np.float32
    assert np.array_equal(state.state["agent_pos"], observation[:4].astype(np.float32))


def test_the_first_observation_shows_objects_where_the_first_step_finds_them():
    # metaworld's own first observation has this window's handle 0.2 m away from where it is.
    env = fresh("metaworld_window_close", privileged=True)
    before = env.start(make_plan(env.suite, n_trials=1).episodes[0]).privileged["observation"]
    after = env.advance(np.zeros((1, 4), np.float32)).privileged["observation"]
    assert np.allclose(before[4:7], after[4:7], atol=1e-3)
    assert np.array_equal(before[18:36], before[:18])


def test_one_unit_moves_the_hand_target_by_a_centimetre_and_plus_one_closes():
    env = fresh("metaworld_reach")
    env.start(make_plan(env.suite, n_trials=1).episodes[0])
    data = env._simulator.data  # type: ignore[attr-defined]
    before = data.mocap_pos[0].copy()
    state = env.advance(np.array([[1.0, 0.0, -0.5, 1.0]], np.float32))
    assert np.allclose(data.mocap_pos[0] - before, [0.01, 0.0, -0.005])
    closed = env.advance(np.tile(np.array([[0, 0, 0, 1]], np.float32), (20, 1))).state["agent_pos"][3]
    assert closed < state.state["agent_pos"][3] - 0.1
    # Beyond the bounds is the bound.
    env.advance(np.array([[9.0, 0.0, 0.0, 9.0]], np.float32))
    assert data.ctrl.tolist() == [1.0, -1.0]


def test_an_unstable_state_is_an_error_and_writes_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    env = fresh("metaworld_reach")
    episode = make_plan(env.suite, n_trials=1).episodes[0]
    digest = env.start(episode).digest
    env._simulator.data.qvel[:] = 1e30  # type: ignore[attr-defined]
    with pytest.raises(EnvUnstable, match="BADQ"):
        env.advance(np.zeros((1, 4), np.float32))
    assert list(tmp_path.iterdir()) == []
    assert env.start(episode).digest == digest


@pytest.mark.parametrize("part", ["qpos", "qvel", "qacc_warmstart", "mocap_pos", "time", "site_pos", "target", "steps"])
def test_the_digest_covers_everything_that_decides_the_future(part: str):
    env = fresh("metaworld_reach")
    env.start(make_plan(env.suite, n_trials=1).episodes[0])
    simulator = env._simulator  # type: ignore[attr-defined]
    before = env.state_digest()
    assert env.state_digest() == before
    if part == "time":
        simulator.data.time += 1e-9
    elif part == "target":
        simulator._env._target_pos = simulator._env._target_pos + 1e-9
    elif part == "steps":
        simulator._env.curr_path_length += 1
    else:
        owner = simulator.model if part == "site_pos" else simulator.data
        getattr(owner, part).flat[-1] += 1e-9
    assert env.state_digest() != before


def test_the_global_generators_are_left_alone():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    env = fresh("metaworld_reach")
    env.start(make_plan(env.suite, n_trials=1).episodes[0])
    env.advance(actions_of("reach-v3"))
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_many_tasks_do_not_pile_up_in_memory():
    env = fresh()
    for episode in make_plan(env.suite, n_trials=1).episodes[:14]:
        env.start(episode)
    assert len(env._simulators) == 12  # type: ignore[attr-defined]
    env.close()
    env.close()


@pytest.mark.parametrize("task", SMOKE)
def test_the_expert_solves_the_smoke_set(task: str):
    env = fresh(privileged=True)
    expert = controller(task)
    state = env.start(make_plan(env.suite, tasks=[task], n_trials=1).episodes[0])
    while not state.is_over:
        state = env.advance(expert(state.privileged)[None])
    assert state.success
    assert state.step < 150


def test_doing_nothing_solves_nothing_and_ends_at_the_horizon():
    env = fresh()
    for task in SMOKE[:3]:
        env.start(make_plan(env.suite, tasks=[task], n_trials=1).episodes[0])
        state = env.advance(np.zeros((600, 4), np.float32))
        assert (state.step, state.is_over, state.success) == (500, True, False)


def test_the_expert_stays_within_bounds_and_says_which_tasks_it_knows():
    act = controller("Reach_V3")
    action = act({"observation": np.full(39, 5.0)})
    assert action.dtype == np.float32
    assert action.shape == (4,)
    assert np.abs(action).max() <= 1
    with pytest.raises(UnknownTask, match="reach-v3"):
        controller("reech-v3")


def test_the_expert_without_metaworld_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    for name in ("metaworld", "metaworld.policies"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
    with pytest.raises(MissingExtra, match=r"vla-bench\[metaworld\]"):
        controller("reach-v3")


def test_a_worker_gives_the_states_of_this_process():
    suite = family.suite("metaworld_mt10", "compact")
    here = family.make_env(suite, EnvOptions())
    worker = open_env(suite, EnvOptions())
    try:
        for episode in make_plan(suite, n_trials=1).episodes[:3]:
            assert worker.reset(episode).digest == here.start(episode).digest
            actions = actions_of(episode.task)
            assert worker.advance(actions).digest == here.advance(actions).digest
        assert worker.fingerprint.packages["mujoco"] == "3.3.0"
    finally:
        worker.close()


@pytest.mark.parametrize("suite", ["metaworld_mt10"])
def test_the_suite_passes_the_conformance_kit(suite: str):
    assert check_suite(suite, protocol="compact", pictures=False)
