"""An env in this process and one in a worker are the same to whoever runs episodes in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from tests.envs.workers import EPISODES, LIMITS, STILL, SUITE, faulty
from vla_bench.envs import EnvHandle, EnvOptions, EnvState, open_env
from vla_bench.spec.errors import EnvError, EnvRaised, UsageError

FULL = EnvOptions(cameras=("wrist", "front"), depth=True, privileged=True)


@pytest.fixture
def env() -> Iterator[EnvHandle]:
    with closing(open_env(SUITE, FULL, isolation="inline")) as env:
        yield env


def assert_same(inline: object, worker: object) -> None:
    """Equal in every field but the time spent, arrays bit by bit."""
    if isinstance(inline, EnvState):
        for field in dataclasses.fields(EnvState):
            if field.name != "env_ms":
                assert_same(getattr(inline, field.name), getattr(worker, field.name))
    elif isinstance(inline, dict):
        assert isinstance(worker, dict)
        assert list(inline) == list(worker)
        for key in inline:
            assert_same(inline[key], worker[key])
    elif isinstance(inline, np.ndarray):
        assert isinstance(worker, np.ndarray)
        assert (inline.dtype, inline.shape, inline.tobytes()) == (worker.dtype, worker.shape, worker.tobytes())
    else:
        assert type(inline) is type(worker)
        assert inline == worker


def test_the_states_of_both_are_equal_field_by_field(env: EnvHandle) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (40, 4)).astype(np.float32)
    with closing(open_env(SUITE, FULL, limits=LIMITS)) as worker:
        for episode in EPISODES[:4]:
            assert_same(env.reset(episode), worker.reset(episode))
            for begin in range(0, 40, 5):
                chunk, frames = actions[begin : begin + 5], (begin + 2, begin + 4)
                ours = env.advance(chunk, frames_at=frames)
                assert_same(ours, worker.advance(chunk, frames_at=frames))
                assert sorted(ours.frames) == list(frames)
        assert worker.fingerprint == env.fingerprint
        assert worker.fingerprint.id == env.fingerprint.id


@pytest.mark.parametrize("kind", ["raise", "none", "unstable", "black"])
def test_a_fault_has_the_same_error_in_both(env: EnvHandle, kind: str) -> None:
    def error_of(handle: EnvHandle) -> EnvError:
        handle.reset(faulty(kind, 2))
        with pytest.raises(EnvError) as caught:
            handle.advance(STILL)
        return caught.value

    with closing(open_env(SUITE, FULL, limits=LIMITS)) as worker:
        inline, supervised = error_of(env), error_of(worker)
    assert (type(inline), str(inline)) == (type(supervised), str(supervised))


def test_after_an_error_only_close_is_allowed(env: EnvHandle) -> None:
    env.reset(faulty("raise", 1))
    with pytest.raises(EnvRaised) as caught:
        env.advance(STILL)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(ValueError, match="open a new one"):
        env.reset(EPISODES[0])
    env.close()
    env.close()


def test_advance_before_reset_is_refused(env: EnvHandle) -> None:
    with pytest.raises(EnvRaised, match="before reset"):
        env.advance(STILL)


def test_actions_of_one_dimension_are_refused(env: EnvHandle) -> None:
    env.reset(EPISODES[0])
    with pytest.raises(EnvRaised, match=r"not of shape \[4\]"):
        env.advance(STILL[0])


def test_a_camera_that_does_not_exist_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="has no camera"):
        open_env(SUITE, EnvOptions(cameras=("side",)), isolation="inline")


def test_a_fingerprint_says_what_a_result_depends_on(env: EnvHandle) -> None:
    fingerprint = env.fingerprint
    assert fingerprint.packages == {"numpy": np.__version__}
    assert fingerprint.renderer == {}
    assert all((fingerprint.cpu, fingerprint.os, fingerprint.python))
    assert fingerprint.python.count(".") == 2
