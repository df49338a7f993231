"""Earlier frames are those of the named offsets, as if every step had been rendered and kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.scenes import episode_of, equal_pictures, planner, play, step_by_step
from vla_bench.harness.frames import FrameHistory, Pictures

OFFSETS = st.lists(st.integers(-12, -1), min_size=1, max_size=4, unique=True).map(tuple)
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def frame(step: int) -> Pictures:
    return {"front": np.full((1, 1, 3), step, np.uint8)}


def step_shown(pictures: Pictures) -> int:
    return int(pictures["front"][0, 0, 0])


@settings(deadline=None)
@given(offsets=OFFSETS, sizes=SIZES, first=st.integers(0, 50))
def test_history_is_what_a_full_record_would_show(offsets: tuple[int, ...], sizes: list[int], first: int) -> None:
    history, step = FrameHistory(offsets), first
    history.begin(first, frame(first))
    for size in sizes:
        assert {o: step_shown(p) for o, p in history.at(step).items()} == {o: max(step + o, first) for o in offsets}
        wanted = history.wanted(step, size)
        assert set(wanted) <= set(range(step + 1, step + size)), "only what lies inside the chunk is rendered"
        step += size
        history.add(step, frame(step), {at: frame(at) for at in wanted})


@settings(deadline=None)
@given(offsets=OFFSETS, sizes=SIZES)
def test_no_more_frames_are_kept_than_the_offsets_reach(offsets: tuple[int, ...], sizes: list[int]) -> None:
    history, step = FrameHistory(offsets), 0
    history.begin(0, frame(0))
    for size in sizes * 3:
        wanted = history.wanted(step, size)
        step += size
        history.add(step, frame(step), {at: frame(at) for at in wanted})
        assert len(history._frames) <= 2 - min(offsets)


def test_frames_out_of_reach_are_not_rendered() -> None:
    history = FrameHistory((-2,))
    history.begin(0, frame(0))
    assert list(history.wanted(0, 10)) == [8, 9]
    assert list(history.wanted(0, 1)) == []


def test_without_offsets_nothing_is_rendered_or_kept() -> None:
    history = FrameHistory(())
    history.begin(0, frame(0))
    assert list(history.wanted(0, 10)) == []
    history.add(10, frame(10), {})
    assert history.at(10) == {}
    assert history._frames == {}


def test_a_new_stage_begins_a_new_history() -> None:
    history = FrameHistory((-1, -5))
    history.begin(0, frame(0))
    history.add(4, frame(4), {at: frame(at) for at in history.wanted(0, 4)})
    history.begin(6, frame(6))
    assert {offset: step_shown(pictures) for offset, pictures in history.at(6).items()} == {-1: 6, -5: 6}


@settings(deadline=None, max_examples=15)
@given(offsets=OFFSETS, sizes=SIZES, trial=st.integers(0, 9))
def test_a_policy_sees_what_rendering_every_step_would_show(
    offsets: tuple[int, ...], sizes: list[int], trial: int
) -> None:
    """Three stages, chunks of changing length: every picture of every question, against a plain reference."""
    episode = episode_of("reach_in_order", trial)
    policy = planner(*sizes, history=offsets)
    played = play(episode, policy)
    assert played.result.trace is not None
    reference = step_by_step(episode, played.result.trace.actions)
    for question in policy.questions:
        step = question.identity.step
        first = reference.first_of_stage(step)
        assert equal_pictures(question.images, reference.pictures(step))
        assert list(question.history) == list(offsets)
        for offset, pictures in question.history.items():
            assert equal_pictures(pictures, reference.pictures(max(step + offset, first))), (step, offset)


@pytest.mark.parametrize("history", [(), (-1, -3)])
def test_lazy_rendering_cannot_be_seen(history: tuple[int, ...]) -> None:
    episode = episode_of("reach_in_order", 3)
    lazy, plain = planner(7, 3, history=history), planner(7, 3, history=history)
    one, other = play(episode, lazy, lazy=True), play(episode, plain, lazy=False)
    assert one.result.trace is not None
    assert other.result.trace is not None
    assert one.result.trace.digests == other.result.trace.digests
    assert one.result.trace.actions.tobytes() == other.result.trace.actions.tobytes()
    assert len(lazy.questions) == len(plain.questions)
    for a, b in zip(lazy.questions, plain.questions, strict=True):
        assert equal_pictures(a.images, b.images)
        assert all(equal_pictures(a.history[offset], b.history[offset]) for offset in history)
        assert all(np.array_equal(a.state[key], b.state[key]) for key in a.state)
