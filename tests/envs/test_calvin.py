"""CALVIN's chains behind `SuiteEnv`: stages, protocols, pictures, bad input. Upstream's bits are in another file."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.calvin import golden, link_assets
from vla_bench.envs.base import EnvOptions, EnvState, SuiteEnv
from vla_bench.envs.calvin import family, symbols
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.envs.runtime.install import installation_status
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.errors import ActionError, EnvRaised, MissingExtra, SuiteNotInstalled, UsageError
from vla_bench.testing import check_suite

pytestmark = [pytest.mark.sim, pytest.mark.bullet]

Open = Callable[..., SuiteEnv]
FIVE = ("open_drawer", "lift_red_block_table", "place_in_drawer", "turn_on_led", "move_slider_left")


@pytest.fixture
def assets(home: Path, shared: Path) -> Path:
    return link_assets(home, shared)


@pytest.fixture
def opened(assets: Path) -> Iterator[Open]:
    envs: list[SuiteEnv] = []

    def build(suite: str = "calvin_abc_d", protocol: str = "", **options: Any) -> SuiteEnv:
        envs.append(family.make_env(find_suite(suite, protocol), EnvOptions(**options)))
        return envs[-1]

    yield build
    for env in envs:
        env.close()


def episode_of(env: SuiteEnv, subtasks: tuple[str, ...], state: int, **params: Any) -> Episode:
    """An episode of our own: these subtasks from one of the 192 initial states."""
    first = make_plan(env.suite).episodes[0]
    return replace(
        first,
        initial_state=dict(symbols.initial_states()[state]),
        params={**first.params, "subtasks": list(subtasks), **params},
    )


def play(env: SuiteEnv, episode: Episode, actions: np.ndarray, chunk: int = 8) -> list[EnvState]:
    """Start, and execute actions in chunks; what a stage change drops is handed over again."""
    states, done = [env.start(episode)], 0
    while done < len(actions) and not states[-1].is_over:
        states.append(env.advance(actions[done : done + chunk].astype(np.float32)))
        done += states[-1].n_executed
    return states


def test_a_chain_goes_on_from_subtask_to_subtask_and_ends_in_success(opened: Open, shared: Path) -> None:
    env = opened(privileged=True)
    states = play(env, episode_of(env, FIVE, 1), golden(shared, "scripted_chain_five_in_a_row")["actions"])
    last = states[-1]
    assert last.success
    assert last.is_over
    assert last.stage == 5
    stages = [state.stage for state in states]
    assert stages == sorted(stages)
    assert set(stages) == set(range(6))
    # Where a stage ends, so does the chunk.
    changes = [now for before, now in itertools.pairwise(states) if now.stage != before.stage]
    assert any(state.n_executed < 8 for state in changes)
    told = {int(state.privileged["subtask"][0]) for state in states[:-1]}
    assert len(told) == 5
    assert all(state.privileged["subtask_step"][0] == 0 for state in changes[:-1])
    assert [state.instruction for state in changes[:2]] == list(env.task.stages[1:3])


def test_a_subtask_that_is_not_done_in_time_ends_the_chain(opened: Open, shared: Path) -> None:
    env = opened()
    actions = golden(shared, "scripted_open_drawer")["actions"]
    still = np.zeros((400, 7))
    states = play(env, episode_of(env, ("open_drawer", "turn_on_led"), 1), np.concatenate([actions, still]), chunk=50)
    opened_at = next(state.step for state in states if state.stage == 1)
    assert states[-1].is_over
    assert not states[-1].success
    assert states[-1].stage == 1
    assert states[-1].step == opened_at + 360


def test_the_oracle_is_asked_after_every_step_and_counts_from_the_subtasks_start(opened: Open, shared: Path) -> None:
    env = opened()
    actions = golden(shared, "scripted_open_drawer")["actions"]
    ends = {play(env, episode_of(env, ("open_drawer",), 1), actions, chunk=chunk)[-1].step for chunk in (1, 7, 100)}
    assert len(ends) == 1
    # A drawer that is open already has still to be opened by that much.
    twice = play(env, episode_of(env, ("open_drawer", "open_drawer"), 1), actions, chunk=5)
    assert twice[-1].stage == 1


@pytest.mark.parametrize("protocol", ["standard", "button_reset_pinned"])
def test_a_button_that_forgot_its_light_needs_two_presses(protocol: str, opened: Open, shared: Path) -> None:
    env = opened(protocol=protocol)
    actions = golden(shared, "scripted_turn_off_led")["actions"]
    states = play(env, episode_of(env, ("turn_off_led",), 97), actions, chunk=1)
    assert states[-1].success is (protocol == "standard")


def test_a_shared_world_remembers_what_a_loaded_one_does_not_and_is_history_free(opened: Open) -> None:
    shared_world, loaded = opened(protocol="shared_env"), opened()
    plan = make_plan(shared_world.suite).episodes
    first = shared_world.start(plan[3])
    # The gripper's last action is the chain's before, as upstream's first observation has it.
    assert first.state["robot_obs"][14] == -1
    assert loaded.start(make_plan(loaded.suite).episodes[3]).state["robot_obs"][14] == 1
    for episode in (plan[0], plan[7]):
        shared_world.start(episode)
        shared_world.advance(np.ones((3, 7), np.float32))
    assert shared_world.start(plan[3]).digest == first.digest


def test_absolute_actions_are_poses_in_the_world(opened: Open, shared: Path) -> None:
    env = opened(protocol="absolute_actions")
    start = env.start(make_plan(env.suite).episodes[0]).state["robot_obs"]
    goal = np.array([*(start[:3] + np.float32([0.05, 0.03, -0.02])), *start[3:6], 1.0], np.float32)
    state = env.advance(np.tile(goal, (30, 1)))
    assert np.abs(state.state["robot_obs"][:3] - goal[:3]).max() < 0.005


def test_values_beyond_one_pass_and_the_target_winds_up(opened: Open) -> None:
    env = opened(privileged=True)
    before = env.start(make_plan(env.suite).episodes[0]).privileged["target_position"]
    action = np.array([[3, 0, 0, 0, 0, 0, 1]], np.float32)
    after = env.advance(action).privileged["target_position"]
    assert after[0] - before[0] == pytest.approx(0.06, abs=1e-6)


@pytest.mark.parametrize(("value", "action"), [(0.2, 1), (1e-6, 1), (0.0, -1), (-0.3, -1)])
def test_the_sign_of_the_grippers_number_opens_or_closes(value: float, action: int, opened: Open) -> None:
    env = opened(privileged=True)
    env.start(make_plan(env.suite).episodes[0])
    state = env.advance(np.array([[0, 0, 0, 0, 0, 0, value]], np.float32))
    assert state.privileged["gripper_action"] == [action]


@pytest.mark.parametrize(
    ("suite", "held"),
    [
        ("calvin_place_in_drawer", "grasped"),
        ("calvin_unstack_block", "stacked_top"),
        ("calvin_lift_blue_block_drawer", "drawer"),
        ("calvin_lift_pink_block_slider", "slider_left"),
    ],
)
def test_single_subtasks_begin_as_their_symbols_say(suite: str, held: str, opened: Open) -> None:
    env = opened(suite, privileged=True)
    for episode in make_plan(env.suite).episodes[::9]:
        truth = env.start(episode).privileged
        colours = [key for key, place in episode.initial_state.items() if place == held]
        for colour in ("red", "blue", "pink"):
            is_held = f"{colour}_block" in colours and held == "grasped"
            assert bool(truth["touched"][["red", "blue", "pink"].index(colour)]) is is_held
        if held == "stacked_top":
            bottom = next(key for key, place in episode.initial_state.items() if place == "stacked_bottom")
            assert truth[colours[0]][2] - truth[bottom][2] == pytest.approx(0.04, abs=2e-3)
        if held == "drawer":
            assert truth[colours[0]][2] < 0.4


def test_pictures_depth_and_frames_come_as_asked(opened: Open) -> None:
    env = opened(cameras=("front", "wrist"), depth=True)
    episode = make_plan(env.suite).episodes[0]
    state = env.start(episode)
    assert (state.images["front"].shape, state.images["wrist"].shape) == ((200, 200, 3), (84, 84, 3))
    depth = state.depth["front"]
    assert depth.dtype == np.float32
    assert 3.0 < depth.min() < depth.max() < 10.0
    actions = np.random.default_rng(0).uniform(-1, 1, (8, 7)).astype(np.float32)
    lazy = env.advance(actions, frames_at=(3, 6))
    assert sorted(lazy.frames) == [3, 6]
    every = opened(cameras=("front", "wrist"), lazy=False)
    every.start(episode)
    assert np.array_equal(every.advance(actions[:3]).images["wrist"], lazy.frames[3]["wrist"])
    assert np.array_equal(every.advance(actions[3:]).images["front"], lazy.images["front"])


def test_a_protocol_draws_with_its_own_renderer_and_no_other(assets: Path) -> None:
    suite = find_suite("calvin_abc_d")
    with pytest.raises(UsageError, match=r"renders with 'tiny', not 'egl-gpu'.*another protocol"):
        open_env(suite, EnvOptions(cameras=("front",), renderer="egl-gpu"), isolation="inline")


@pytest.mark.parametrize(
    ("motion", "gripper", "said"),
    [
        (np.zeros(6, np.int64), 1, "got int64"),
        (np.zeros(7), 1, r"got float64 \[7\]"),
        ([0.0] * 6, 1, "got list"),
        (np.array([0, np.nan, 0, 0, 0, 0]), 1, "not finite"),
        (np.zeros(6), 0.5, r"gripper is 1 \(open\) or -1 \(close\), got 0.5"),
        (np.zeros(6), 0, "threshold it first"),
    ],
)
def test_the_world_refuses_what_is_no_action(motion: Any, gripper: Any, said: str, opened: Open) -> None:
    env: Any = opened()
    env.start(make_plan(env.suite).episodes[0])
    before = env.state_digest()
    with pytest.raises(ActionError, match=said):
        env._world.step(motion, gripper)
    assert env.state_digest() == before


def test_missing_assets_are_one_line_with_the_way_out(home: Path) -> None:
    with pytest.raises(SuiteNotInstalled, match=r"CALVIN's assets are not in .*vla-bench assets install calvin$"):
        family.make_env(find_suite("calvin_abc_d"), EnvOptions())


@pytest.mark.parametrize("change", ["altered", "missing"])
def test_altered_and_missing_files_are_named(change: str, home: Path, assets: Path) -> None:
    place = home / "assets" / "calvin"
    place.unlink()
    (place / "data").mkdir(parents=True)
    for path in assets.rglob("*"):
        target = place / "data" / path.relative_to(assets)
        target.mkdir(parents=True, exist_ok=True) if path.is_dir() else target.symlink_to(path)
    victim = place / "data/plane/plane.obj"
    victim.unlink()
    if change == "altered":
        victim.write_text("# of another commit")
    with pytest.raises(SuiteNotInstalled, match=rf"data/plane/plane.obj is {change}.*vla-bench assets install calvin"):
        family.make_env(find_suite("calvin_abc_d"), EnvOptions())


@pytest.fixture
def no_pybullet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("vla_bench.envs.calvin.")]:
        if name.rpartition(".")[2] in ("env", "bullet", "world", "arm", "table", "cameras", "oracle", "sight"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pybullet", None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("no_pybullet")
def test_without_pybullet_the_message_is_the_line_that_installs_it() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'vla-bench\[calvin\]'"):
        family.make_env(find_suite("calvin_abc_d"), EnvOptions())


@pytest.mark.usefixtures("no_pybullet")
def test_a_python_that_would_compile_pybullet_is_not_told_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(family), "installation", replace(family.installation, pythons=("3.9",)))
    with pytest.raises(SuiteNotInstalled, match=r"no wheel for Python.*from source. Type: vla-bench env create"):
        family.make_env(find_suite("calvin_abc_d"), EnvOptions())


def test_a_python_without_a_wheel_is_told_of_the_suites_own_environment(home: Path) -> None:
    newer = replace(family.installation, imports=("no_such_module",), pythons=("3.9",))
    status = installation_status(SimpleNamespace(name="calvin", installation=newer))
    assert not status.is_ready
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert status.reason == (
        f"'calvin' is not installed here (no module no_such_module; it has no wheel for Python {here} and would have to"
        " be built from source)."
    )
    assert status.fix_line == "vla-bench env create calvin"


def test_nothing_is_printed_on_standard_output(opened: Open, capfd: pytest.CaptureFixture[str]) -> None:
    env = opened(cameras=("front",))
    env.start(make_plan(env.suite).episodes[0])
    env.close()
    assert capfd.readouterr().out == ""


def test_steps_after_the_end_are_refused(opened: Open) -> None:
    env = opened()
    with pytest.raises(EnvRaised):
        env.advance(np.zeros((1, 7), np.float32))


@pytest.mark.slow
@pytest.mark.parametrize(("suite", "protocol"), [("calvin_abc_d_100", "shared_env"), ("calvin_place_in_slider", "")])
def test_it_passes_the_conformance_kit(suite: str, protocol: str, assets: Path) -> None:
    rules = check_suite(suite, protocol=protocol, n_episodes=2, n_steps=8)
    assert "an episode gives the same bits after other episodes, in any order" in rules
    assert "rendering at every step changes neither states nor pictures" in rules
