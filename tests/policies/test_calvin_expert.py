"""CALVIN's scripted expert: each of the 34 subtasks alone, whole chains as a run makes them, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vla_bench
from tests.calvin import link_assets
from vla_bench.envs.base import SuiteEnv
from vla_bench.envs.registry import find_suite, make_suite_env
from vla_bench.policies.builtin.experts.calvin import controller
from vla_bench.policies.builtin.experts.calvin.hand import yaw_for
from vla_bench.policies.builtin.experts.calvin.scripts import SUBTASKS
from vla_bench.policies.builtin.experts.calvin.sight import Block, Sight
from vla_bench.spec.episode import make_plan


@pytest.fixture
def assets(home: Path, shared: Path) -> Path:
    return link_assets(home, shared)


@pytest.fixture
def chain_env(assets: Path) -> Iterator[SuiteEnv]:
    env = make_suite_env("calvin_abc_d", privileged=True)
    yield env
    env.close()


def solve(env: SuiteEnv, trial: int = 0) -> tuple[bool, int]:
    """Run one episode of a single subtask: success, steps."""
    state = env.start(make_plan(env.suite, n_trials=trial + 1).episodes[trial])
    act = controller(env.task.id)
    while not state.is_over:
        state = env.advance(act(state.privileged)[None])
    return state.success, state.step


def privileged(**changes: object) -> dict[str, np.ndarray]:
    """A scene at rest with nothing near anything."""
    values: dict[str, object] = {
        "tcp_position": [0, -0.2, 0.6], "tcp_euler": [np.pi, 0, 1.5], "gripper_width": [0.08], "gripper_action": [1],
        "target_position": [0, -0.2, 0.6], "target_euler": [np.pi, 0, 1.5], "block_lengths": [0.056, 0.04, 0.08],
        "touched": [0, 0, 0], "slide": [0], "drawer": [0], "button": [0], "switch": [0], "lightbulb": [0], "led": [0],
        "scene": [3], "subtask": [0], "subtask_step": [0], "joints": [0] * 7,
        **{f"{colour}_block": [0.1 * i, -0.12, 0.46, 0, 0, 0, 1] for i, colour in enumerate(("red", "blue", "pink"))},
    }  # fmt: skip
    return {name: np.array(value, np.float64) for name, value in (values | changes).items()}


@pytest.mark.sim
@pytest.mark.bullet
@pytest.mark.parametrize("part", range(4))
def test_every_subtask_is_solved_from_a_start_of_its_own(assets: Path, part: int) -> None:
    failed = []
    for subtask in SUBTASKS[part::4]:
        env = make_suite_env(f"calvin_{subtask}", privileged=True)
        success, n_steps = solve(env, trial=1)
        env.close()
        if not success or n_steps > 150:
            failed.append((subtask, success, n_steps))
    assert failed == []


@pytest.mark.sim
@pytest.mark.bullet
def test_subtasks_are_numbered_as_the_suite_numbers_them() -> None:
    from vla_bench.envs.calvin.oracle import TASKS

    assert SUBTASKS == TASKS


@pytest.mark.sim
@pytest.mark.bullet
@pytest.mark.slow
def test_chains_of_a_run_are_solved_and_the_same_each_time(assets: Path, tmp_path: Path) -> None:
    chains = ["chain_0000", "chain_0014", "chain_0047", "chain_0057"]
    runs = [
        vla_bench.evaluate("expert", "calvin_abc_d", tasks=tasks, db=tmp_path / "x.db", workers=2, fresh=True)
        for tasks in (chains, chains[2:])
    ]
    assert [run.score_line for run in runs] == ["4/4 of 4 planned, 0 lost", "2/2 of 2 planned, 0 lost"]
    assert runs[0].is_oracle
    frames = [vla_bench.load(tmp_path / "x.db", run=run.name).episodes.set_index("task") for run in runs]
    assert frames[0].final_digest[chains[2:]].tolist() == frames[1].final_digest[chains[2:]].tolist()
    assert all((frame.n_stages_done == 5).all() for frame in frames)


@pytest.mark.sim
@pytest.mark.bullet
def test_a_controller_of_a_stage_knows_nothing_of_the_last_one(chain_env: SuiteEnv) -> None:
    episode = make_plan(chain_env.suite, tasks=["chain_0057"]).episodes[0]
    finals = []
    for _ in range(2):
        state, stage, act = chain_env.start(episode), 0, controller(episode.task)
        while not state.is_over:
            state = chain_env.advance(act(state.privileged)[None])
            if state.stage > stage:
                stage, act = state.stage, controller(episode.task)
        finals.append((state.success, state.digest))
    assert finals[0] == finals[1]
    assert finals[0][0]


def test_actions_are_relative_bounded_and_float32() -> None:
    act = controller("chain_0000")
    first = act(privileged())
    assert (first.dtype, first.shape) == (np.float32, (7,))
    assert np.abs(first).max() <= 1.0


def test_the_hand_waits_for_an_arm_that_lags_behind() -> None:
    act = controller("chain_0000")
    far = privileged(target_position=[0.3, -0.2, 0.6])
    for _ in range(10):
        step = act(far)[:3]
    assert step[0] <= 0.0


def test_a_block_is_taken_across_its_narrower_side() -> None:
    turned = np.pi / 6
    block = Sight.of(privileged(pink_block=[0.2, -0.12, 0.46, 0, 0, np.sin(turned / 2), np.cos(turned / 2)])).blocks[
        "pink"
    ]
    (narrow, width), (wide, length) = block.grips()
    assert (width, length) == (0.04, 0.08)
    assert narrow == pytest.approx(turned + np.pi / 2)
    assert wide == pytest.approx(turned)
    assert yaw_for(narrow) == pytest.approx(turned)


def test_a_block_on_its_end_is_as_high_as_it_is_long() -> None:
    half = np.sqrt(0.5)
    block: Block = Sight.of(privileged(pink_block=[0.2, -0.12, 0.48, 0, half, 0, half])).blocks["pink"]
    assert (block.height, block.top) == (pytest.approx(0.08), pytest.approx(0.52))


def test_what_is_held_is_between_the_fingers_and_touched() -> None:
    near = {"red_block": [0, -0.2, 0.6, 0, 0, 0, 1]}
    assert Sight.of(privileged(**near)).held() is None
    held = Sight.of(privileged(**near, touched=[1, 0, 0], gripper_width=[0.04])).held()
    assert held is not None
    assert held.colour == "red"
    assert Sight.of(privileged(**near, touched=[1, 0, 0], gripper_width=[0.0])).held() is None
    assert find_suite("calvin_abc_d").privileged
