"""From the first call of a supervised simulator to its end: what a caller gets is its own, and nothing is left."""

from __future__ import annotations

import gc
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.envs.workers import EPISODES, LIMITS, SUITE, Start, faulty, group_members, is_gone, run
from vla_bench.envs import EnvOptions, open_env
from vla_bench.envs.runtime.supervisor import WorkerEnv
from vla_bench.spec.errors import EnvCrashed, EnvRaised, UsageError


def test_an_unknown_task_is_a_usage_error(start: Start) -> None:
    env = start()
    with pytest.raises(UsageError, match="Did you mean 'reach_red'"):
        env.reset(replace(EPISODES[0], task="reach_rad"))


def test_a_camera_that_does_not_exist_is_a_usage_error(start: Start) -> None:
    with pytest.raises(UsageError, match="has no camera 'side'; it has: front, wrist"):
        start(EnvOptions(cameras=("side",)))


def test_pictures_are_the_callers_own(start: Start) -> None:
    env = start()
    before = env.reset(EPISODES[0]).images["front"]
    copy = before.copy()
    after = env.advance(np.ones((3, 4), np.float32)).images["front"]
    assert np.array_equal(before, copy)
    assert not np.array_equal(before, after)
    before[:] = 0


def test_the_actions_of_a_caller_stay_as_they_are(start: Start) -> None:
    env = start()
    env.reset(EPISODES[0])
    actions = np.full((2, 4), 5.0, np.float32)
    actions.flags.writeable = False
    env.advance(actions)
    assert (actions == 5).all()


def test_printing_never_blocks_and_its_end_is_kept(start: Start) -> None:
    env = start()
    run(env, faulty("flood", 1, mb=4), 2)
    with pytest.raises(EnvCrashed, match="the last it printed: the last line of the flood") as caught:
        run(env, faulty("exit", 1))
    assert "prints and prints" in caught.value.__notes__[0]
    assert len(caught.value.__notes__[0]) < 10_000


def test_what_the_simulator_started_dies_with_it(start: Start) -> None:
    env = start()
    run(env, faulty("child", 1), 2)
    assert len(group_members(env.pid)) == 2
    env.close()
    assert is_gone(env.pid)


def test_a_crash_is_noticed_though_what_it_started_lives(start: Start) -> None:
    env = start()
    run(env, faulty("child", 1), 2)
    with pytest.raises(EnvCrashed, match="SIGSEGV"):
        run(env, faulty("segv", 2))
    assert is_gone(env.pid)


def test_an_env_that_hangs_when_closed_is_killed(start: Start) -> None:
    env = start(close_s=0.2)
    env.reset(EPISODES[0])
    os.kill(env.pid, signal.SIGSTOP)
    env.close()
    assert is_gone(env.pid)


def test_a_dead_handle_says_so(start: Start) -> None:
    env = start()
    with pytest.raises(EnvRaised):
        run(env, faulty("raise"))
    with pytest.raises(ValueError, match="open a new one"):
        env.reset(EPISODES[0])
    env.close()
    env.close()


def test_closing_from_another_thread_ends_a_call(start: Start, tmp_path: Path) -> None:
    env, marker = start(), tmp_path / "hanging"
    env.reset(EPISODES[0])
    closer = threading.Thread(target=lambda: (wait_for(marker), env.close()))
    closer.start()
    with pytest.raises(EnvCrashed, match="was closed during"):
        run(env, faulty("hang", 2, once=str(marker)))
    closer.join()
    assert is_gone(env.pid)


def test_ctrl_c_in_a_call_leaves_no_stale_answer(start: Start, tmp_path: Path) -> None:
    env, marker = start(), tmp_path / "hanging"
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        wait_for(marker)
        signal.pthread_kill(main, signal.SIGINT)

    presser = threading.Thread(target=interrupt)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        run(env, faulty("hang", 1, once=str(marker)))
    presser.join()
    assert is_gone(env.pid)
    with pytest.raises(ValueError, match="open a new one"):
        env.reset(EPISODES[0])


def test_a_signal_handler_can_close_the_env_whose_call_it_interrupts(start: Start, tmp_path: Path) -> None:
    env, marker = start(close_s=0.2), tmp_path / "hanging"
    main = threading.main_thread().ident
    assert main is not None
    before = signal.signal(signal.SIGUSR1, lambda *_: env.close())
    sender = threading.Thread(target=lambda: (wait_for(marker), signal.pthread_kill(main, signal.SIGUSR1)))
    sender.start()
    try:
        with pytest.raises(EnvCrashed, match="was closed during"):
            run(env, faulty("hang", 2, once=str(marker)))
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert is_gone(env.pid)


def wait_for(path: Path) -> None:
    while not path.exists():
        threading.Event().wait(0.01)


def test_an_env_outlives_the_thread_that_opened_it(start: Start) -> None:
    opened: list[WorkerEnv] = []
    thread = threading.Thread(target=lambda: opened.append(start()))
    thread.start()
    thread.join()
    run(opened[0], EPISODES[0], 2)


def test_an_env_that_is_dropped_takes_its_worker_with_it() -> None:
    env = open_env(SUITE, limits=LIMITS)
    assert isinstance(env, WorkerEnv)
    pid = env.pid
    del env
    gc.collect()
    assert is_gone(pid)


def n_descriptors() -> int:
    return psutil.Process().num_fds()


def test_opening_and_closing_leaves_no_descriptor_and_no_thread(start: Start) -> None:
    start().close()
    before = n_descriptors()
    threads = threading.active_count()
    env = start()
    env.reset(EPISODES[0])
    env.close()
    crashed = start()
    with pytest.raises(EnvCrashed):
        run(crashed, faulty("segv"))
    crashed.close()
    with pytest.raises(UsageError):
        start(EnvOptions(cameras=("side",)))
    assert n_descriptors() == before
    assert threading.active_count() == threads
