"""One attempt, from reset to its record: what is asked, what is executed, what is kept, what is told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.harness.scenes import ORACLE, SUITE, Asked, Played, episode_of, planner, play, straight
from vla_bench.envs import EnvOptions, find_suite, open_env
from vla_bench.harness.rollout import Rollout
from vla_bench.spec.bind import bind
from vla_bench.spec.conventions import ImageConvention, Orientation
from vla_bench.spec.errors import ActionError, EnvRaised, PolicyRaised
from vla_bench.spec.messages import CameraRequest, Observation, PolicyKind
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import Trace
from vla_bench.spec.settings import EvalSettings

FAULTS = find_suite("toy_reach_faults")
STAGED = "reach_in_order"
FAR = 8
"""A trial in which the red ball is nine steps away."""


def still(n_actions: int) -> Callable[[Observation], Any]:
    return lambda seen: np.zeros((n_actions, 4), np.float32)


def trace_of(played: Played) -> Trace:
    assert played.result.trace is not None
    return played.result.trace


# How it ends.


@pytest.mark.parametrize("task", [task.id for task in SUITE.tasks])
def test_the_way_straight_to_the_goal_succeeds(task: str) -> None:
    result = play(episode_of(task), planner(5)).result
    assert result.outcome is Outcome.SUCCESS
    assert (result.error_kind, result.error_message) == ("", "")
    assert all(stage.success for stage in result.stages)


def test_standing_still_fails_at_the_horizon() -> None:
    played = play(episode_of("reach_red"), Asked(still(7)))
    assert played.result.outcome is Outcome.FAILURE
    assert played.result.n_steps == SUITE.task("reach_red").horizon == 40
    (stage,) = played.result.stages
    assert (stage.index, stage.success, stage.n_steps) == (0, False, 40)


def test_the_last_chunk_is_cut_at_the_horizon() -> None:
    chunks = play(episode_of("reach_red"), Asked(still(7))).chunks()
    assert [len(chunk) for chunk in chunks] == [7, 7, 7, 7, 7, 5]


def test_the_last_chunk_is_cut_at_success() -> None:
    trace = trace_of(played := play(episode_of("reach_red"), planner(40)))
    assert len(trace.actions) == played.result.n_steps < 40
    assert trace.query_steps.tolist() == [0]


# What is executed.


@pytest.mark.parametrize("horizon", [1, 3, 8])
def test_the_policy_is_asked_anew_after_the_replan_horizon(horizon: int) -> None:
    played = play(episode_of("reach_red"), planner(8), settings=EvalSettings(replan_horizon=horizon))
    trace, n_steps = trace_of(played), played.result.n_steps
    assert trace.query_steps.tolist() == list(range(0, n_steps, horizon))
    assert all(len(chunk) <= horizon for chunk in played.chunks())


def test_a_change_of_stage_drops_the_rest_of_the_chunk() -> None:
    played = play(episode_of(STAGED), planner(8))
    starts = [state.step for before, state in zip(played.states, played.states[1:], strict=False)
              if state.stage != before.stage and not state.is_over]  # fmt: skip
    assert len(starts) == 2
    assert any(len(chunk) < 8 for chunk in played.chunks()[:-1])
    assert set(starts) <= set(trace_of(played).query_steps.tolist())


def test_a_change_of_stage_forgets_the_actions_of_the_last() -> None:
    """Averages with chunks that went to another goal would steer the first steps of a stage between the two."""
    policy = planner(8)
    played = play(episode_of(STAGED), policy, settings=EvalSettings(ensembling=0.1, replan_horizon=1))
    actions = trace_of(played).actions
    starts = [0, *np.cumsum([stage.n_steps for stage in played.result.stages])[:-1]]
    assert len(starts) == 3
    for question in (each for each in policy.questions if each.identity.step in starts):
        assert np.array_equal(actions[question.identity.step], straight(question.privileged, 1)[0])


def test_the_trace_holds_exactly_what_the_simulator_was_given() -> None:
    """Far-off actions, clipped by the protocol: the trace has the clipped ones, executed ones only."""
    played = play(episode_of("reach_red"), Asked(lambda seen: 3 * straight(seen.privileged, 6)))
    trace = trace_of(played)
    assert trace.actions.dtype == np.float32
    assert np.abs(trace.actions).max() == 1.0
    assert len(trace.actions) == played.result.n_steps
    assert len(trace.digests) == len(trace.query_steps) + 1 == len(played.states)
    assert trace.digests == tuple(state.digest for state in played.states)
    assert len(trace.latency_ms) == len(trace.server_ms) == len(trace.query_steps)


def test_only_executed_actions_count_as_clipped() -> None:
    played = play(episode_of("reach_red"), Asked(lambda seen: np.full((7, 4), 2, np.float32)))
    assert played.result.n_steps == 40
    assert played.result.n_clipped == 40


def test_a_trace_replays_to_the_same_digests_on_a_fresh_env() -> None:
    for task in (STAGED, "hold_at_blue"):
        played = play(episode := episode_of(task, 2), planner(7, 2, 5))
        with closing(open_env(SUITE, EnvOptions(), isolation="inline")) as env:
            digests = [env.reset(episode).digest]
            states = [env.advance(chunk) for chunk in played.chunks()]
        assert (*digests, *(state.digest for state in states)) == trace_of(played).digests
        assert states[-1].success
        assert played.result.initial_digest == digests[0]
        assert played.result.final_digest == states[-1].digest


# What the policy is told.


def test_a_policy_is_reset_before_it_is_asked_and_again_at_each_stage() -> None:
    episode = episode_of(STAGED, 1)
    policy = planner(8)
    played = play(episode, policy)
    first, *_ = policy.told
    assert first is policy.resets[0]
    assert [(info.stage, info.instruction) for info in policy.resets] == [
        (0, "reach the red ball"), (1, "reach the green ball"), (2, "reach the blue ball"),
    ]  # fmt: skip
    for info in policy.resets:
        assert (info.episode, info.attempt, info.task, info.suite) == (episode.id, 0, STAGED, "toy_reach")
        assert (info.policy_seed, info.horizon, info.n_actions) == (episode.policy_seed, 120, 4)
        assert (info.action_low, info.action_high) == (-1.0, 1.0)
    for position, told in enumerate(policy.told[1:], start=1):
        if isinstance(told, Observation):
            latest = next(each for each in reversed(policy.told[:position]) if not isinstance(each, Observation))
            assert told.identity.stage == latest.stage
            assert told.instruction == latest.instruction
    assert [stage.index for stage in played.result.stages] == [0, 1, 2]


def test_stages_add_up_to_the_attempt() -> None:
    played = play(episode_of(STAGED), planner(8))
    stages = played.result.stages
    assert sum(stage.n_steps for stage in stages) == played.result.n_steps
    assert stages[0].start_digest == played.result.initial_digest
    assert len({stage.start_digest for stage in stages}) == 3
    assert {stage.start_digest for stage in stages} <= set(trace_of(played).digests)


def test_a_chain_that_breaks_has_the_stages_that_it_entered() -> None:
    policy = planner(8)
    policy.answer = lambda seen: straight(seen.privileged, 8) if seen.identity.stage < 1 else still(8)(seen)
    result = play(episode_of(STAGED), policy).result
    assert result.outcome is Outcome.FAILURE
    assert [(stage.index, stage.success) for stage in result.stages] == [(0, True), (1, False)]
    assert sum(stage.n_steps for stage in result.stages) == result.n_steps == 120


def test_steps_are_counted_from_the_episodes_start_and_requests_are_unique() -> None:
    policy = planner(8)
    played = play(episode_of(STAGED), policy)
    identities = [question.identity for question in policy.questions]
    assert [identity.step for identity in identities] == trace_of(played).query_steps.tolist()
    assert len({identity.request for identity in identities}) == len(identities)
    assert {(identity.session, identity.episode, identity.attempt) for identity in identities} == {
        (identities[0].session, episode_of(STAGED).id, 0)
    }


def test_a_new_stage_shows_no_pictures_of_the_last() -> None:
    policy = planner(8, history=(-4,))
    play(episode_of(STAGED), policy)
    firsts = {}
    for question in policy.questions:
        firsts.setdefault(question.identity.stage, question)
    assert sorted(firsts) == [0, 1, 2]
    for question in firsts.values():
        assert np.array_equal(question.history[-4]["front"], question.images["front"])


def test_a_policy_gets_what_it_declared_and_nothing_else() -> None:
    """The env of these tests gives privileged state and depth to everybody: they are not everybody's to see."""
    plain = replace(ORACLE, kind=PolicyKind.POLICY, cameras=(CameraRequest(name="wrist"),), chunk_length=7)
    policy = Asked(still(7), plain)
    play(episode_of("reach_red"), policy)
    for question in policy.questions:
        assert list(question.images) == ["wrist"]
        assert list(question.state) == ["hand"]
        assert (dict(question.privileged), dict(question.depth), dict(question.history)) == ({}, {}, {})


def test_depth_is_sent_where_it_was_asked_for() -> None:
    policy = planner(8, wants_depth=True)
    play(episode_of("reach_red"), policy)
    assert {name: depth.shape for name, depth in policy.questions[0].depth.items()} == {
        "front": (64, 64), "wrist": (64, 64),
    }  # fmt: skip


def test_pictures_come_in_the_policys_size_and_convention() -> None:
    turned = ImageConvention(orientation=Orientation.ROTATED_180)
    sized = replace(ORACLE, cameras=(CameraRequest(name="front", height=32, width=48, convention=turned),))
    policy = Asked(still(40), replace(sized, history=(-1,)))
    played = play(episode_of("reach_red"), policy, settings=EvalSettings(resize="pad"))  # type: ignore[arg-type]
    (question,) = policy.questions
    assert question.images["front"].shape == question.history[-1]["front"].shape == (32, 48, 3)
    # Black borders left and right, and the picture between them upside down.
    inner = question.images["front"][:, 8:40]
    assert not question.images["front"][:, :8].any()
    assert played.states[0].images["front"].shape == (64, 64, 3)
    assert np.abs(inner[::-1, ::-1].astype(int) - played.states[0].images["front"][::2, ::2]).mean() < 20


# Where the time went.


def test_latencies_add_up() -> None:
    played = play(episode_of(STAGED), planner(5))
    latencies, trace = played.result.latencies, trace_of(played)
    assert latencies.n_queries == len(trace.query_steps)
    assert latencies.env_ms == pytest.approx(sum(state.env_ms for state in played.states))
    assert latencies.policy_ms > float(trace.latency_ms.sum())  # resets are waited for, too
    assert latencies.harness_ms > 0
    assert latencies.wall_ms == pytest.approx(latencies.policy_ms + latencies.env_ms + latencies.harness_ms)
    assert latencies.policy_max_ms == pytest.approx(trace.latency_ms.max())
    assert latencies.policy_p50_ms == pytest.approx(np.percentile(trace.latency_ms, 50), rel=1e-4)
    assert latencies.policy_p50_ms <= latencies.policy_p95_ms <= latencies.policy_max_ms
    assert (trace.server_ms <= trace.latency_ms).all()


# What is left of a lost attempt.


def nan_at(query: int) -> Asked:
    policy = planner(4)
    queries = iter(range(1000))

    def answer(seen: Observation) -> Any:
        actions = straight(seen.privileged, 4)
        return actions * np.float32("nan") if next(queries) == query else actions

    policy.answer = answer
    return policy


def test_a_bad_action_keeps_all_that_came_before_it() -> None:
    played = play(episode_of(STAGED, FAR), nan_at(2))
    result, trace = played.result, trace_of(played)
    assert isinstance(played.error, ActionError)
    assert (result.outcome, result.error_kind) == (Outcome.POLICY_ERROR, "bad_action")
    assert "not finite" in result.error_message
    assert result.n_steps == len(trace.actions) == 8
    assert trace.query_steps.tolist() == [0, 4, 8]
    assert trace.digests == tuple(state.digest for state in played.states)
    assert (result.initial_digest, result.final_digest) == (trace.digests[0], trace.digests[-1])
    assert result.latencies.n_queries == 3
    assert result.stages == ()
    assert result.facts["balls"]


def test_nothing_reaches_the_simulator_of_a_chunk_with_a_bad_action() -> None:
    played = play(episode_of("reach_red"), nan_at(0))
    assert len(played.states) == 1
    assert played.result.n_steps == 0
    assert played.result.trace is None
    assert played.result.initial_digest == played.result.final_digest == played.states[0].digest


def test_a_chunk_longer_than_declared_is_refused() -> None:
    played = play(episode_of("reach_red"), planner(5, chunk_length=4))
    assert played.result.error_kind == "bad_action"
    assert "the chunk has 5 actions, the policy declared at most 4" in played.result.error_message


def test_hard_bounds_are_a_policy_error() -> None:
    suite = find_suite("toy_reach", "hard_bounds")
    far = Asked(lambda seen: np.full((2, 4), 1.5, np.float32))
    result = play(episode_of("reach_red", suite=suite), far, suite=suite).result
    assert (result.outcome, result.error_kind, result.n_steps) == (Outcome.POLICY_ERROR, "bad_action", 0)


def test_a_lost_chain_keeps_the_stages_that_ended() -> None:
    episode, policy = episode_of(STAGED), planner(8)
    policy.answer = lambda seen: straight(seen.privileged, 8)[:, : 4 if seen.identity.stage < 2 else 3]
    result = play(episode, policy).result
    assert result.error_kind == "bad_action"
    assert [(stage.index, stage.success) for stage in result.stages] == [(0, True), (1, True)]


def test_a_policy_that_raises_in_its_first_reset_leaves_the_initial_state() -> None:
    policy = planner(4)

    def refuse(session: str, episode: object) -> None:
        raise RuntimeError("no weights\nin this line")

    policy.reset = refuse  # type: ignore[method-assign]
    played = play(episode_of("reach_red"), policy)
    assert isinstance(played.error, PolicyRaised)
    assert played.result.initial_digest == played.states[0].digest
    assert played.result.trace is None
    assert played.result.latencies.n_queries == 0
    assert "\n" not in played.result.error_message


@pytest.mark.parametrize(("step", "executed"), [(0, None), (1, 0), (6, 4)])
def test_a_simulator_that_raises_leaves_what_came_before(step: int, executed: int | None) -> None:
    episode = episode_of("reach_red", FAR, suite=FAULTS)
    episode = replace(episode, params={**episode.params, "fault": {"kind": "raise", "step": step}})
    played = play(episode, planner(4), suite=FAULTS)
    result = played.result
    assert isinstance(played.error, EnvRaised)
    assert (result.outcome, result.error_kind) == (Outcome.ENV_ERROR, "env_raised")
    assert result.n_steps == (executed or 0)
    if executed is None:
        assert (result.trace, result.initial_digest, dict(result.facts)) == (None, "", {})
    else:
        # The chunk during which it happened, whole: who looks for the cause has all actions.
        assert len(trace_of(played).actions) == executed + 4
        assert len(trace_of(played).digests) == len(played.states) == len(trace_of(played).query_steps)


def test_an_attempt_that_never_began_has_a_record() -> None:
    rollout = Rollout(SUITE, episode_of("reach_red"), 2, bind(ORACLE, SUITE, EvalSettings()), EvalSettings())
    result = rollout.lost(EnvRaised("the simulator\ndid not start"))
    assert (result.attempt, result.outcome, result.n_steps) == (2, Outcome.ENV_ERROR, 0)
    assert result.error_message == "the simulator did not start"
    assert (result.trace, result.stages, result.initial_digest) == (None, (), "")
    assert result.started_at.endswith("+00:00")


def test_equal_attempts_give_equal_records() -> None:
    one, other = (trace_of(play(episode_of(STAGED, 4), planner(6, 3))) for _ in range(2))
    assert one.actions.tobytes() == other.actions.tobytes()
    assert one.digests == other.digests
    assert one.query_steps.tolist() == other.query_steps.tolist()
