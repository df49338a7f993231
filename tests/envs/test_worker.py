"""A simulator in a supervised process: every fault gets its name, in time, and nothing is left behind."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import psutil
import pytest

from tests.envs.workers import EPISODES, LIMITS, STILL, SUITE, faulty, group_members, is_gone
from vla_bench.envs import EnvOptions, WorkerLimits, family_of, find_suite, open_env
from vla_bench.envs.runtime import supervisor
from vla_bench.envs.runtime.place import Place
from vla_bench.envs.runtime.supervisor import WorkerEnv
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.errors import (
    BlackPicture,
    EnvCrashed,
    EnvError,
    EnvHung,
    EnvLeaked,
    EnvRaised,
    EnvStartFailed,
    EnvUnstable,
    SuiteNotInstalled,
    UsageError,
)

Open = Callable[..., WorkerEnv]
CAMERAS = EnvOptions(cameras=("front", "wrist"))


@pytest.fixture
def start() -> Iterator[Open]:
    opened: list[WorkerEnv] = []

    def start(options: EnvOptions = CAMERAS, **limits: float) -> WorkerEnv:
        env = WorkerEnv(family_of(SUITE), SUITE, options, limits=replace(LIMITS, **limits))
        opened.append(env)
        return env

    yield start
    for env in opened:
        env.close()
        assert is_gone(env.pid)


def run(env: WorkerEnv, episode: Episode, n_chunks: int = 10) -> None:
    env.reset(episode)
    for _ in range(n_chunks):
        env.advance(STILL)


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
def test_a_fault_has_its_own_error(start: Open, kind: str, step: int, error: type[EnvError], message: str) -> None:
    env = start()
    with pytest.raises(error, match=message) as caught:
        run(env, faulty(kind, step))
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert is_gone(env.pid)


@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize("kind", ["hang", "hang_hard", "deaf", "stop"])
def test_silence_past_the_deadline_is_a_hang(start: Open, kind: str, step: int) -> None:
    env = start(call_s=0.5)
    env.reset(EPISODES[0])
    with pytest.raises(EnvHung, match=r"silent for 0.5 s during .*reach_red trial 0.* and was killed"):
        run(env, faulty(kind, step))
    assert is_gone(env.pid)


def test_the_first_reset_has_the_longer_deadline(start: Open) -> None:
    env = start(start_s=3, call_s=0.2)
    with pytest.raises(EnvHung, match="silent for 3 s"):
        env.reset(faulty("hang", 0))


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


def test_growth_past_the_limit_is_a_leak(start: Open) -> None:
    env = start(memory_growth_bytes=100 << 20)
    message = str(leak_until_killed(env))
    assert "it may grow by 100 MiB" in message
    assert is_gone(env.pid)


def test_growth_is_counted_from_what_is_there_after_the_first_reset(start: Open) -> None:
    message = str(leak_until_killed(start(memory_growth_bytes=100 << 20)))
    grown, resident, _ = (int(word) for word in message.split() if word.isdigit())
    assert 100 <= grown < resident


def test_a_leak_while_nobody_asks_is_told_by_the_next_call(start: Open) -> None:
    env = start(memory_growth_bytes=50 << 20)
    env.reset(EPISODES[0])
    env.reset(faulty("leak", 1, mb=100))
    with suppress(EnvLeaked):  # where somebody looks before the answer is out
        env.advance(STILL[:1])
    assert is_gone(env.pid)
    with pytest.raises((EnvLeaked, ValueError)):
        env.advance(STILL[:1])


def test_printing_never_blocks_and_its_end_is_kept(start: Open) -> None:
    env = start()
    run(env, faulty("flood", 1, mb=4), 2)
    with pytest.raises(EnvCrashed, match="the last it printed: the last line of the flood") as caught:
        run(env, faulty("exit", 1))
    assert "prints and prints" in caught.value.__notes__[0]
    assert len(caught.value.__notes__[0]) < 10_000


def test_what_the_simulator_started_dies_with_it(start: Open) -> None:
    env = start()
    run(env, faulty("child", 1), 2)
    assert len(group_members(env.pid)) == 2
    env.close()
    assert is_gone(env.pid)


def test_a_crash_is_noticed_though_what_it_started_lives(start: Open) -> None:
    env = start()
    run(env, faulty("child", 1), 2)
    with pytest.raises(EnvCrashed, match="SIGSEGV"):
        run(env, faulty("segv", 2))
    assert is_gone(env.pid)


def test_an_env_that_hangs_when_closed_is_killed(start: Open) -> None:
    env = start(close_s=0.2)
    env.reset(EPISODES[0])
    os.kill(env.pid, signal.SIGSTOP)
    env.close()
    assert is_gone(env.pid)


def test_a_dead_handle_says_so(start: Open) -> None:
    env = start()
    with pytest.raises(EnvRaised):
        run(env, faulty("raise"))
    with pytest.raises(ValueError, match="open a new one"):
        env.reset(EPISODES[0])
    env.close()
    env.close()


def test_the_switchboard_is_read_from_the_environment(
    start: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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


def test_a_switchboard_that_nobody_understands_stops_the_start(start: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLA_BENCH_TOY_FAULTS", json.dumps({"reach_red:0": {"kind": "explode"}}))
    with pytest.raises(EnvStartFailed, match="no fault is called 'explode'; there are: raise, none"):
        start()


def test_an_unknown_task_is_a_usage_error(start: Open) -> None:
    env = start()
    with pytest.raises(UsageError, match="Did you mean 'reach_red'"):
        env.reset(replace(EPISODES[0], task="reach_rad"))


def test_a_camera_that_does_not_exist_is_a_usage_error(start: Open) -> None:
    with pytest.raises(UsageError, match="has no camera 'side'; it has: front, wrist"):
        start(EnvOptions(cameras=("side",)))


def test_pictures_are_the_callers_own(start: Open) -> None:
    env = start()
    before = env.reset(EPISODES[0]).images["front"]
    copy = before.copy()
    after = env.advance(np.ones((3, 4), np.float32)).images["front"]
    assert np.array_equal(before, copy)
    assert not np.array_equal(before, after)
    before[:] = 0


def test_the_actions_of_a_caller_stay_as_they_are(start: Open) -> None:
    env = start()
    env.reset(EPISODES[0])
    actions = np.full((2, 4), 5.0, np.float32)
    actions.flags.writeable = False
    env.advance(actions)
    assert (actions == 5).all()


def test_closing_from_another_thread_ends_a_call(start: Open, tmp_path: Path) -> None:
    env, marker = start(), tmp_path / "hanging"
    env.reset(EPISODES[0])
    closer = threading.Thread(target=lambda: (wait_for(marker), env.close()))
    closer.start()
    with pytest.raises(EnvCrashed, match="was closed during"):
        run(env, faulty("hang", 2, once=str(marker)))
    closer.join()
    assert is_gone(env.pid)


def test_ctrl_c_in_a_call_leaves_no_stale_answer(start: Open, tmp_path: Path) -> None:
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


def test_a_signal_handler_can_close_the_env_whose_call_it_interrupts(start: Open, tmp_path: Path) -> None:
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


def test_an_env_outlives_the_thread_that_opened_it(start: Open) -> None:
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


def test_opening_and_closing_leaves_no_descriptor_and_no_thread(start: Open) -> None:
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


# Starting.


def test_a_worker_of_another_version_is_refused(start: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "__version__", "9.9.9")
    with pytest.raises(
        SuiteNotInstalled, match=r"holds vla-bench .*, and this is 9.9.9. Type: vla-bench env create toy_reach"
    ):
        start()


def use_interpreter(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(interpreter=path, environment=dict(os.environ), renderer={})
    monkeypatch.setattr(supervisor, "place_of", lambda family, options: place)


def script(path: Path, body: str) -> str:
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_that_is_not_there_is_a_failed_start(
    start: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_interpreter(str(tmp_path / "python"), monkeypatch)
    with pytest.raises(EnvStartFailed, match="No such file"):
        start()


def test_an_interpreter_without_vla_bench_is_a_failed_start(
    start: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_interpreter(script(tmp_path / "python", "sys.exit('No module named vla_bench')"), monkeypatch)
    with pytest.raises(EnvStartFailed, match=r"exited with status 1 during its start.*: No module named vla_bench"):
        start()


def test_a_start_that_hangs_is_a_failed_start(start: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    body = f"open({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    use_interpreter(script(tmp_path / "python", body), monkeypatch)
    with pytest.raises(EnvStartFailed, match="silent for 1 s during its start"):
        start(start_s=1)
    assert is_gone(int(pid.read_text()))


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 200 OK", b"\0\0\0\1\x01", b"\0\0\0\1\xc1"])
def test_garbage_from_a_worker_is_a_failed_start(
    start: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, garbage: bytes
) -> None:
    body = f"os.write(int(sys.argv[4]), {garbage!r})\ntime.sleep(600)"
    use_interpreter(script(tmp_path / "python", body), monkeypatch)
    with pytest.raises(EnvStartFailed, match="answered garbage"):
        start()


def test_a_file_in_the_current_folder_is_not_taken_for_a_module(
    start: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "queue.py").write_text("raise RuntimeError('not me')")
    monkeypatch.chdir(tmp_path)
    run(start(), EPISODES[0], 1)


def test_limits_can_be_equal(start: Open) -> None:
    env = start(start_s=20, call_s=20, memory_growth_bytes=50 << 20)
    assert isinstance(leak_until_killed(env), EnvLeaked)


def test_protocols_and_changed_suites_reach_the_worker() -> None:
    suite = find_suite("toy_reach", "no_bounds")
    short = replace(suite, tasks=tuple(replace(task, horizon=3) for task in suite.tasks))
    env = open_env(short, limits=WorkerLimits(start_s=30))
    try:
        env.reset(make_plan(short).episodes[0])
        assert env.advance(STILL).step == 3
    finally:
        env.close()


def test_a_worker_imports_only_what_a_suites_own_environment_has() -> None:
    code = """
import sys
for absent in ("psutil", "structlog", "pydantic", "fastapi", "sqlmodel", "scipy", "yaml", "rich"):
    sys.modules[absent] = None
import vla_bench.envs.runtime.worker
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
