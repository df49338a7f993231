"""The toy suite: what its tasks ask, what its pictures show, what its protocols say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from vla_bench.envs import EnvOptions, EnvState, SuiteEnv, family_of, find_suite
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.errors import UnknownProtocol, UnknownSuite, UsageError
from vla_bench.spec.suite import ActionBounds

SUITE = find_suite("toy_reach")


def make_env(**options: object) -> SuiteEnv:
    return family_of(SUITE).make_env(SUITE, EnvOptions(**{"privileged": True, **options}))  # type: ignore[arg-type]


def towards_goal(state: EnvState, noise: np.ndarray | float = 0.0) -> np.ndarray:
    motion = (state.privileged["goal"] - state.privileged["hand"]) / SUITE.action.position_unit_m
    return np.clip(np.append(motion, 0.0) + noise, -1, 1).astype(np.float32)[None]


def play(env: SuiteEnv, episode: Episode, noise: float = 0.0) -> EnvState:
    generator = np.random.default_rng(episode.policy_seed)
    state = env.start(episode)
    while not state.is_over:
        state = env.advance(towards_goal(state, generator.normal(0, noise, 4) if noise else 0.0))
    return state


def rates(noise: float) -> Counter[str]:
    env = make_env()
    wins: Counter[str] = Counter()
    for episode in make_plan(SUITE).episodes:
        wins[episode.task] += play(env, episode, noise).success
    return wins


def test_going_straight_to_the_goal_solves_every_episode() -> None:
    assert set(rates(0.0).values()) == {SUITE.protocol.n_trials}


def test_noise_spoils_the_task_that_wants_a_steady_hand_and_no_other() -> None:
    wins = rates(0.3)
    assert 0 < wins.pop("hold_at_blue") < SUITE.protocol.n_trials
    assert set(wins.values()) == {SUITE.protocol.n_trials}


def test_chance_solves_next_to_nothing() -> None:
    env = make_env()
    wins = 0
    for episode in make_plan(SUITE).episodes:
        actions = np.random.default_rng(episode.policy_seed).uniform(-1, 1, (200, 4)).astype(np.float32)
        state = env.start(episode)
        while not state.is_over:
            state = env.advance(actions[state.step : state.step + 8])
        wins += state.success
    assert wins <= 2


def test_the_staged_task_goes_from_ball_to_ball() -> None:
    env = make_env()
    episode = make_plan(SUITE, tasks=["reach_in_order"]).episodes[0]
    state = env.start(episode)
    balls = {colour: np.array(point) for colour, point in state.facts["balls"].items()}
    seen = []
    while not state.is_over:
        seen.append((state.stage, state.instruction))
        assert np.array_equal(state.privileged["goal"], balls[("red", "green", "blue")[state.stage]])
        stage = state.stage
        # The whole way to this goal and a rest there: the chunk stops where the stage changes.
        motion = (state.privileged["goal"] - state.privileged["hand"]) / SUITE.action.position_unit_m
        k = int(np.ceil(np.abs(motion).max()))
        state = env.advance(np.repeat(np.append(motion / k, 0)[None], k + 5, axis=0).astype(np.float32))
        assert state.stage == stage + 1
        assert state.n_executed < k + 5
    assert state.success
    assert state.stage == 3
    colours = ("red", "green", "blue")
    assert list(dict.fromkeys(seen)) == [(i, f"reach the {colour} ball") for i, colour in enumerate(colours)]


def test_an_episode_that_reaches_nothing_ends_at_its_horizon() -> None:
    env = make_env()
    for episode in make_plan(SUITE, n_trials=1).episodes:
        state = env.start(episode)
        while not state.is_over:
            state = env.advance(np.zeros((7, 4), np.float32))
        assert (state.step, state.success) == (SUITE.task(episode.task).horizon, False)
    assert SUITE.task("reach_in_order").horizon == 3 * SUITE.task("reach_red").horizon


def test_the_hand_slides_where_it_cannot_rise() -> None:
    env = make_env()
    before = env.start(make_plan(SUITE, tasks=["slide_to_red"]).episodes[0])
    after = env.advance(np.ones((3, 4), np.float32))
    assert after.privileged["hand"][2] == before.privileged["hand"][2] == before.privileged["goal"][2]
    assert after.privileged["hand"][0] > before.privileged["hand"][0]


def place_of(colour: tuple[int, int, int], image: np.ndarray) -> tuple[float, float]:
    """Row and column of the middle of what has nearly that colour's hue."""
    rows, columns = np.nonzero(
        np.abs(image / image.max(axis=2, keepdims=True) - np.array(colour) / max(colour)).max(axis=2) < 0.1
    )
    assert len(rows)
    return float(rows.mean()), float(columns.mean())


def test_pictures_are_upright_and_in_the_order_red_green_blue() -> None:
    env = make_env(cameras=("front", "wrist"))
    episode = make_plan(SUITE, tasks=["reach_red"]).episodes[0]
    before = env.start(episode)
    fingers = (240, 200, 60)
    after_up = env.advance(np.array([[0, 0, 1, 0]] * 5, np.float32))
    after_right = env.advance(np.array([[1, 0, 0, 0]] * 5, np.float32))
    rows, columns = zip(*(place_of(fingers, s.images["front"]) for s in (before, after_up, after_right)), strict=True)
    assert rows[1] < rows[0] - 5
    assert columns[2] > columns[1] + 5
    for camera in ("front", "wrist"):
        image = after_right.images[camera]
        assert (image.dtype, image.shape) == (np.uint8, (64, 64, 3))
        assert image[0].mean() > image[-1].mean()


def test_the_wrist_camera_sees_the_ball_come_to_the_middle() -> None:
    env = make_env(cameras=("wrist",), lazy=False)
    episode = make_plan(SUITE, tasks=["hold_at_blue"]).episodes[0]
    state = env.start(episode)
    while not state.is_over:
        image = state.images["wrist"]
        state = env.advance(towards_goal(state))
    row, column = place_of((50, 80, 220), image)
    assert abs(row - 31.5) < 3
    assert abs(column - 31.5) < 3


def test_depth_is_metres_and_balls_are_nearer_than_what_is_behind_them() -> None:
    env = make_env(cameras=("front",), depth=True)
    depth = env.start(make_plan(SUITE).episodes[0]).depth["front"]
    assert (depth.dtype, depth.shape) == (np.float32, (64, 64))
    assert depth.max() == 1.5
    assert 0.7 < depth.min() < 1.25


def test_the_gripper_closes_in_the_picture_and_in_the_state() -> None:
    env = make_env(cameras=("front",))
    env.start(make_plan(SUITE).episodes[0])
    opened = env.advance(np.array([[0, 0, 0, -1]], np.float32))
    closed = env.advance(np.array([[0, 0, 0, 1]], np.float32))
    assert (opened.state["gripper"], closed.state["gripper"]) == (0, 1)
    assert not np.array_equal(opened.images["front"], closed.images["front"])


@pytest.mark.parametrize(
    ("protocol", "bounds"),
    [("", ActionBounds.CLIP), ("hard_bounds", ActionBounds.HARD), ("No-Bounds/1", ActionBounds.NONE)],
)
def test_a_protocol_says_what_bounds_mean(protocol: str, bounds: ActionBounds) -> None:
    assert find_suite("toy_reach", protocol).protocol.action_bounds is bounds


def test_the_faulty_suite_is_the_toy_suite_where_no_fault_is_ordered() -> None:
    faulty = find_suite("toy_reach_faults")
    env = family_of(faulty).make_env(faulty, EnvOptions())
    for ours, theirs in zip(make_plan(SUITE).episodes[:5], make_plan(faulty).episodes[:5], strict=True):
        assert env.start(theirs).digest == make_env().start(ours).digest


def test_the_family_refuses_names_that_it_does_not_have() -> None:
    family = family_of(SUITE)
    with pytest.raises(UnknownSuite, match="toy_reach"):
        family.suite("toy_reech")
    with pytest.raises(UnknownProtocol, match="Did you mean 'standard/1'"):
        family.suite("toy_reach", "standart/1")
    with pytest.raises(UnknownSuite):
        family.protocol_names("other")


def test_a_suite_without_privileged_state_refuses_an_oracle() -> None:
    blind = replace(SUITE, privileged=False)
    with pytest.raises(UsageError, match="oracle policies cannot run on it"):
        family_of(SUITE).make_env(blind, EnvOptions(privileged=True))
