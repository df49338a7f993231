"""Between the policy's answer and the simulator: checked, converted, ensembled, held, bounded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from vla_bench.harness.actions import ActionFilter, check_actions
from vla_bench.spec.bind import bind
from vla_bench.spec.conventions import ActionConvention, Gripper, Rotation
from vla_bench.spec.errors import ActionError
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import ActionBounds, Protocol, Suite, Task

Actions = NDArray[np.float32]
CONVENTION = ActionConvention(gripper=Gripper.PLUS_CLOSES)
GOOD = np.array([[0.1, 0.2, 0.3, 1.0], [0.4, 0.5, 0.6, -1.0]], np.float32)


def a_filter(
    bounds: ActionBounds = ActionBounds.NONE,
    convention: ActionConvention = CONVENTION,
    policy: ActionConvention | None = None,
    **knobs: Any,
) -> ActionFilter:
    suite = Suite(
        name="small",
        family="small",
        title="",
        protocol=Protocol(name="p", version=1, n_trials=1, base_seed=0, action_bounds=bounds),
        tasks=(Task(id="t", instruction="t", horizon=9),),
        cameras=(),
        state={},
        action=convention,
    )
    chosen = EvalSettings(**knobs)
    info = PolicyInfo(name="p", action=policy or convention, chunk_length=50)
    return ActionFilter(bind(info, suite, chosen), chosen, bounds)


def with_entry(value: Any, dtype: Any = np.float32) -> NDArray[Any]:
    actions = GOOD.astype(dtype)
    actions[1, 2] = value
    return actions


# What is checked.


@pytest.mark.parametrize(
    ("actions", "reason"),
    [
        (with_entry(np.nan), "action 1 of the chunk is not finite: entry 2 is nan"),
        (with_entry(np.inf), "action 1 of the chunk is not finite: entry 2 is inf"),
        (with_entry(-np.inf), "action 1 of the chunk is not finite: entry 2 is -inf"),
        (with_entry(np.nan, np.float64), "action 1 of the chunk is not finite: entry 2 is nan"),
        (with_entry(1e39, np.float64), "an action is outside the range of float32"),
        (GOOD[:, :3], r"actions are float32 \[k, 4\], got shape \[2, 3\]"),
        (np.hstack([GOOD, GOOD]), r"got shape \[2, 8\]"),
        (GOOD[0], r"got shape \[4\]"),
        (GOOD[None], r"got shape \[1, 2, 4\]"),
        (np.float32(0.5), "got float32"),
        (np.array(0.5, np.float32), r"got shape \[\]"),
        (GOOD[:0], "the chunk is empty"),
        (np.zeros((0, 3), np.float32), r"got shape \[0, 3\]"),
        (np.tile(GOOD, (3, 1)), "the chunk has 6 actions, the policy declared at most 5"),
        (GOOD.astype(np.int64), "got dtype int64"),
        (GOOD.astype(bool), "got dtype bool"),
        (GOOD.astype(object), "got dtype object"),
        (GOOD.astype(np.complex64), "got dtype complex64"),
        (GOOD.astype(str), "got dtype <U"),
        (GOOD.tolist(), "got list"),
        (None, "got NoneType"),
        ("move", "got str"),
        (np.ma.masked_invalid(with_entry(np.nan)), "float32"),
    ],
)
def test_what_is_no_chunk_of_finite_actions_is_refused(actions: Any, reason: str) -> None:
    with pytest.raises(ActionError, match=reason):
        check_actions(actions, 4, 5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.longdouble])
def test_every_float_becomes_float32(dtype: Any) -> None:
    checked = check_actions(GOOD.astype(dtype), 4)
    assert checked.dtype == np.float32
    assert checked.flags.c_contiguous
    assert np.array_equal(checked, GOOD.astype(dtype).astype(np.float32))


@pytest.mark.parametrize("actions", [np.asfortranarray(GOOD), np.repeat(GOOD, 2, axis=1)[:, ::2], GOOD[::-1][::-1]])
def test_a_view_of_any_layout_is_taken(actions: Actions) -> None:
    checked = check_actions(actions, 4)
    assert checked.flags.c_contiguous
    assert np.array_equal(checked, GOOD)


def test_a_chunk_may_have_any_length_where_none_was_declared() -> None:
    assert len(check_actions(np.tile(GOOD, (100, 1)), 4)) == 200


# What is converted.


def test_an_action_that_means_nothing_is_the_policys_error() -> None:
    """A quaternion of zeros is finite and of the right shape: it must not pass for a fault of the harness."""
    suite = replace(CONVENTION, rotation=Rotation.AXIS_ANGLE)
    judge = a_filter(convention=suite, policy=replace(CONVENTION, rotation=Rotation.QUAT_WXYZ))
    with pytest.raises(ActionError, match="cannot be converted: a quaternion of norm 0"):
        judge(np.zeros((1, 8), np.float32), 0)


def test_an_action_that_overflows_when_converted_is_the_policys_error() -> None:
    judge = a_filter(policy=replace(CONVENTION, position_unit_m=100.0))
    with pytest.raises(ActionError, match="outside the range of float32"):
        judge(np.full((1, 4), 3e38, np.float32), 0)


# What is kept.


@pytest.mark.parametrize(("horizon", "kept"), [(None, 6), (1, 1), (4, 4), (6, 6), (9, 6)])
def test_only_the_first_actions_of_a_chunk_are_kept(horizon: int | None, kept: int) -> None:
    chunk = np.arange(24, dtype=np.float32).reshape(6, 4)
    assert np.array_equal(a_filter(replan_horizon=horizon)(chunk, 0), chunk[:kept])


# Bounds.


OUTSIDE = np.array([[0.5, 0, 0, 0], [1.5, -3, 0, 0], [0, 0, 0, 1], [0, 0, 0, -1.25]], np.float32)


def test_hard_bounds_refuse_and_name_the_first_entry_outside() -> None:
    judge = a_filter(ActionBounds.HARD)
    with pytest.raises(ActionError, match=r"action 1 of the chunk is out of bounds \[-1.0, 1.0\]: entry 0 is 1.5"):
        judge(OUTSIDE, 0)
    assert np.array_equal(judge(OUTSIDE[:1], 0), OUTSIDE[:1])


def test_what_is_dropped_is_not_judged_by_its_bounds() -> None:
    assert len(a_filter(ActionBounds.HARD, replan_horizon=1)(OUTSIDE, 0)) == 1


def test_clipping_clips_and_counts_actions_that_were_executed() -> None:
    judge = a_filter(ActionBounds.CLIP)
    assert np.array_equal(judge(OUTSIDE, 0), np.clip(OUTSIDE, -1, 1))
    judge.count_executed(4)
    assert judge.n_clipped == 2
    judge(OUTSIDE, 4)
    judge.count_executed(3)
    assert judge.n_clipped == 3
    judge(GOOD, 7)
    judge.count_executed(2)
    assert judge.n_clipped == 3


def test_without_bounds_everything_passes_uncounted() -> None:
    judge = a_filter(ActionBounds.NONE)
    assert np.array_equal(judge(OUTSIDE, 0), OUTSIDE)
    judge.count_executed(4)
    assert judge.n_clipped == 0


@pytest.mark.parametrize("bounds", ActionBounds)
def test_the_policys_side_may_clip_whatever_the_protocol_does(bounds: ActionBounds) -> None:
    judge = a_filter(bounds, clip_actions=True)
    assert np.array_equal(judge(OUTSIDE, 0), np.clip(OUTSIDE, -1, 1))
    judge.count_executed(4)
    assert judge.n_clipped == 2


def test_a_bound_itself_is_inside_in_float32() -> None:
    """0.1 as float32 is above 0.1: a policy that clips to the bound it was told stays inside."""
    narrow = replace(CONVENTION, low=-0.1, high=0.1)
    actions = np.array([[0.1, -0.1, 0, 0]], np.float32)
    assert a_filter(ActionBounds.HARD, convention=narrow)(actions, 0).tobytes() == actions.tobytes()


def test_the_count_goes_on_over_stages() -> None:
    judge = a_filter(ActionBounds.CLIP)
    judge(OUTSIDE, 0)
    judge.count_executed(4)
    judge.reset()
    assert judge.n_clipped == 2


@settings(deadline=None)
@given(chunk=arrays(np.float32, st.tuples(st.integers(1, 5), st.just(4)), elements=st.floats(-4, 4, width=32)))
def test_the_policys_own_array_is_never_written_to(chunk: Actions) -> None:
    before = chunk.copy()
    for knobs in ({}, {"sticky_gripper": 3}, {"ensembling": 0.1, "replan_horizon": 1}):
        judge = a_filter(ActionBounds.CLIP, **knobs)
        first = judge(chunk, 0).copy()
        assert np.array_equal(chunk, before)
        chunk += 1  # the policy fills its buffer anew
        again = judge(before, 1)
        assert first.shape == again.shape
        chunk -= 1
        chunk[...] = before


# Temporal ensembling.


def ensembled(chunks: list[Actions], weight: float, step: int) -> NDArray[np.float64]:
    """Every chunk that says something of this step, the oldest first, weighed by `exp(-weight * i)`."""
    said = [chunk[step - asked_at] for asked_at, chunk in enumerate(chunks[: step + 1]) if step - asked_at < len(chunk)]
    weights = [np.exp(-weight * i) for i in range(len(said))]
    return sum(w * row.astype(np.float64) for w, row in zip(weights, said, strict=True)) / sum(weights)  # type: ignore[no-any-return]


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    weight=st.floats(0, 2),
    seed=st.integers(0, 1000),
)
def test_ensembling_is_the_weighted_mean_of_all_overlapping_chunks(
    lengths: list[int], weight: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    chunks = [generator.uniform(-1, 1, (length, 4)).astype(np.float32) for length in lengths]
    judge = a_filter(ensembling=weight, replan_horizon=1)
    for step, chunk in enumerate(chunks):
        actions = judge(chunk, step)
        assert (actions.shape, actions.dtype) == ((1, 4), np.float32)
        assert actions[0] == pytest.approx(ensembled(chunks, weight, step), abs=1e-6)


def test_ensembling_weighs_the_oldest_most() -> None:
    judge = a_filter(ensembling=1.0, replan_horizon=1)
    judge(np.zeros((2, 4), np.float32), 0)
    mean = judge(np.ones((2, 4), np.float32), 1)
    assert mean[0, 0] == pytest.approx(np.exp(-1) / (1 + np.exp(-1)))


def test_a_new_stage_forgets_the_chunks_of_the_last() -> None:
    judge = a_filter(ensembling=0.0, replan_horizon=1)
    judge(np.zeros((5, 4), np.float32), 0)
    judge.reset()
    assert judge(np.ones((5, 4), np.float32), 1).tolist() == [[1.0] * 4]


# The sticky gripper.


def held(commands: list[float], n_steps: int, closed_side: float) -> list[float]:
    """A command that changes sides is given `n_steps` times; then the policy's word counts again."""
    out: list[float] = []
    while len(out) < len(commands):
        wanted = commands[len(out)]
        has_changed = bool(out) and (wanted > closed_side) != (out[-1] > closed_side)
        out += [wanted] * (n_steps if has_changed else 1)
    return out[: len(commands)]


@settings(deadline=None)
@given(
    commands=st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=30),
    cuts=st.lists(st.integers(1, 7), min_size=30, max_size=30),
    n_steps=st.integers(1, 6),
    gripper=st.sampled_from([Gripper.PLUS_CLOSES, Gripper.PLUS_OPENS, Gripper.ZERO_ONE_OPEN]),
)
def test_a_changed_gripper_is_held_across_chunks(
    commands: list[float], cuts: list[int], n_steps: int, gripper: Gripper
) -> None:
    judge = a_filter(convention=replace(CONVENTION, gripper=gripper), sticky_gripper=n_steps)
    actions = np.zeros((len(commands), 4), np.float32)
    actions[:, 0] = np.arange(len(commands))
    actions[:, 3] = commands
    out: list[Actions] = []
    step = 0
    for cut in cuts:
        if len(chunk := actions[step : step + cut]):
            out.append(judge(chunk, step))
        step += cut
    given_out = np.concatenate(out)
    assert given_out[:, 3].tolist() == held(commands, n_steps, 0.5 if gripper is Gripper.ZERO_ONE_OPEN else 0.0)
    assert np.array_equal(given_out[:, :3], actions[:, :3])


def test_a_new_stage_forgets_the_gripper() -> None:
    judge = a_filter(sticky_gripper=10)
    judge(np.array([[0, 0, 0, -1], [0, 0, 0, 1]], np.float32), 0)
    judge.reset()
    assert judge(np.array([[0, 0, 0, -1]], np.float32), 2)[0, 3] == -1


def test_without_a_gripper_nothing_is_held() -> None:
    bare = ActionConvention()
    chunk = np.array([[0, 0, -1], [0, 0, 1], [0, 0, -1]], np.float32)
    assert np.array_equal(a_filter(convention=bare, sticky_gripper=5)(chunk, 0), chunk)
