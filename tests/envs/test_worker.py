"""A simulator in a supervised process: every fault gets its name, in time."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

from tests.envs.workers import EPISODES, STILL, Start, faulty, is_gone, run
from vla_bench.envs.runtime.supervisor import WorkerEnv
from vla_bench.spec.errors import (
    BlackPicture,
    EnvCrashed,
    EnvError,
    EnvHung,
    EnvLeaked,
    EnvRaised,
    EnvStartFailed,
    EnvUnstable,
)

FAULTS = [
    ("raise", 0, EnvRaised, r"reset raised RuntimeError: ordered at step 0 \(faults.py:\d+ in _raise\)"),
    ("raise", 3, EnvRaised, r"advance raised RuntimeError: ordered at step 3"),
    ("none", 3, EnvRaised, "returned None at step 3"),
    ("unstable", 3, EnvUnstable, "at step 3: huge value in QACC"),
    ("black", 0, BlackPicture, "camera 'front' is black all over at step 0"),
    ("black", 3, BlackPicture, "camera 'front' is black all over at step 4"),
    ("segv", 0, EnvCrashed, "was killed by SIGSEGV during the reset of reach_red trial 0"),
    ("segv", 7, EnvCrashed, "was killed by SIGSEGV during reach_red trial 0 after step 4"),
    ("kill", 3, EnvCrashed, "was killed by SIGKILL"),
    ("exit", 3, EnvCrashed, "exited with status 7"),
]


@pytest.mark.parametrize(("kind", "step", "error", "message"), FAULTS, ids=[f"{f[0]}-{f[1]}" for f in FAULTS])
def test_a_fault_has_its_own_error(start: Start, kind: str, step: int, error: type[EnvError], message: str) -> None:
    env = start()
    with pytest.raises(error, match=message) as caught:
        run(env, faulty(kind, step))
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert is_gone(env.pid)


@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize("kind", ["hang", "hang_hard", "deaf", "stop"])
def test_silence_past_the_deadline_is_a_hang(start: Start, kind: str, step: int) -> None:
    env = start(reset_s=20, call_s=0.5)
    env.reset(EPISODES[0])
    with pytest.raises(EnvHung, match=r"silent for 0.5 s during .*reach_red trial 0.* and was killed"):
        run(env, faulty(kind, step))
    assert is_gone(env.pid)


def test_the_first_reset_has_the_longer_deadline(start: Start) -> None:
    env = start(start_s=6, reset_s=0.2, call_s=0.2)
    with pytest.raises(EnvHung, match="silent for 6 s"):
        env.reset(faulty("hang", 0))


@pytest.mark.parametrize(
    ("before", "limits", "step", "seconds"),
    [
        ("reach_green", {"reset_s": 2, "call_s": 0.2}, 0, "2"),
        ("reach_red", {"reset_s": 2, "call_s": 0.2}, 0, "0.2"),
        ("reach_green", {"reset_s": 2, "call_s": 0.2}, 3, "0.2"),
        ("reach_green", {"reset_s": 0.2, "call_s": 1}, 0, "1"),
    ],
)
def test_another_scene_has_longer_than_anything_else(
    start: Start, before: str, limits: dict[str, float], step: int, seconds: str
) -> None:
    env = start(**limits)
    env.reset(next(episode for episode in EPISODES if episode.task == before))
    with pytest.raises(EnvHung, match=f"silent for {seconds} s"):
        run(env, faulty("hang", step))


def leak_until_killed(env: WorkerEnv) -> EnvLeaked:
    env.reset(EPISODES[0])

    def leak() -> NoReturn:
        state = env.reset(faulty("leak", 1, mb=10))
        while True:
            state = env.reset(faulty("leak", 1, mb=10)) if state.is_over else env.advance(STILL[:1])
            threading.Event().wait(0.01)  # as much as a simulator takes; the leak is looked for a few times a second

    with pytest.raises(EnvLeaked) as caught:
        leak()
    return caught.value


def test_growth_past_the_limit_is_a_leak(start: Start) -> None:
    env = start(memory_growth_bytes=100 << 20)
    message = str(leak_until_killed(env))
    assert "it may grow by 100 MiB" in message
    assert is_gone(env.pid)


def test_growth_is_counted_from_what_is_there_after_the_first_reset(start: Start) -> None:
    message = str(leak_until_killed(start(memory_growth_bytes=100 << 20)))
    grown, resident, _ = (int(word) for word in message.split() if word.isdigit())
    assert 100 <= grown < resident


def test_a_leak_while_nobody_asks_is_told_by_the_next_call(start: Start) -> None:
    env = start(memory_growth_bytes=50 << 20)
    env.reset(EPISODES[0])
    env.reset(faulty("leak", 1, mb=100))
    with suppress(EnvLeaked):  # where somebody looks before the answer is out
        env.advance(STILL[:1])
    assert is_gone(env.pid)
    with pytest.raises((EnvLeaked, ValueError)):
        env.advance(STILL[:1])


def test_limits_can_be_equal(start: Start) -> None:
    env = start(start_s=20, call_s=20, memory_growth_bytes=50 << 20)
    assert isinstance(leak_until_killed(env), EnvLeaked)


def test_the_switchboard_is_read_from_the_environment(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    table = {"reach_red:0": {"kind": "segv", "step": 2, "once": str(marker)}}
    monkeypatch.setenv("VLA_BENCH_TOY_FAULTS", json.dumps(table))
    first = start()
    run(first, EPISODES[1], 2)
    with pytest.raises(EnvCrashed):
        run(first, EPISODES[0], 2)
    assert marker.exists()
    second = start()
    run(second, EPISODES[0], 2)


def test_a_switchboard_that_nobody_understands_stops_the_start(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLA_BENCH_TOY_FAULTS", json.dumps({"reach_red:0": {"kind": "explode"}}))
    with pytest.raises(EnvStartFailed, match="no fault is called 'explode'; there are: raise, none"):
        start()
