"""When a run is killed, its workers go with it, whatever they are doing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.envs.workers import is_gone

RUN = """
import os, sys, threading
import numpy as np
from vla_bench.envs import WorkerLimits, find_suite, open_env
from vla_bench.spec.episode import make_plan

suite = find_suite("toy_reach_faults")
env = open_env(suite, limits=WorkerLimits())
first, second = make_plan(suite, tasks=["reach_red"]).episodes[:2]
env.reset(second)
env.advance(np.zeros((4, 4), np.float32))
print(env.pid, flush=True)
env.reset(first)
env.advance(np.zeros((4, 4), np.float32))
print("done", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def runs() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for run in started:
        run.kill()
        run.wait()
        assert run.stdout is not None
        run.stdout.close()


def start_run(runs: list[subprocess.Popen[str]], fault: dict[str, object]) -> tuple[subprocess.Popen[str], int]:
    environment = {**os.environ, "VLA_BENCH_TOY_FAULTS": json.dumps({"reach_red:0": fault} if fault else {})}
    run = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, env=environment)
    runs.append(run)
    assert run.stdout is not None
    return run, int(run.stdout.readline())


def test_an_idle_worker_ends_with_its_run(runs: list[subprocess.Popen[str]]) -> None:
    run, worker = start_run(runs, {})
    assert run.stdout is not None
    assert run.stdout.readline() == "done\n"
    run.kill()
    assert is_gone(worker)


def test_a_worker_whose_simulator_started_something_ends_with_its_run(runs: list[subprocess.Popen[str]]) -> None:
    run, worker = start_run(runs, {"kind": "child"})
    assert run.stdout is not None
    assert run.stdout.readline() == "done\n"
    run.kill()
    assert is_gone(worker)


@pytest.mark.parametrize("kind", ["hang", "hang_hard", "deaf", "stop"])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills by descriptor; elsewhere the call has to end")
def test_a_worker_in_a_call_that_never_ends_ends_with_its_run(
    runs: list[subprocess.Popen[str]], tmp_path: Path, kind: str
) -> None:
    marker = tmp_path / "hanging"
    run, worker = start_run(runs, {"kind": kind, "once": str(marker)})
    while not marker.exists():
        threading.Event().wait(0.01)
    run.send_signal(signal.SIGKILL)
    assert is_gone(worker)


def test_a_run_that_ends_without_closing_leaves_no_worker() -> None:
    code = RUN.replace("threading.Event().wait()", "sys.exit(3)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""
    assert is_gone(int(done.stdout.split()[0]))
