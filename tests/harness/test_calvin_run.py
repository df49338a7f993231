"""Whole runs of CALVIN's chains: a crash of PyBullet costs one attempt, SIGKILL costs the chain it hit."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.bad_days.commands import attempts_per_episode, n_judged
from tests.calvin import link_assets
from vla_bench import evaluate
from vla_bench.results.store import Store

pytestmark = [pytest.mark.sim, pytest.mark.bullet]

PROGRAM = str(Path(sys.executable).parent / "vla-bench")
N_CHAINS = 3


@pytest.fixture(autouse=True)
def assets(home: Path, shared: Path) -> Path:
    return link_assets(home, shared)


@contextmanager
def running(name: str) -> Iterator[subprocess.Popen[str]]:
    tasks = [word for index in range(N_CHAINS) for word in ("--task", f"chain_{index:04d}")]
    command = [PROGRAM, "run", "--policy", "random", "--suite", "calvin_abc_d_100", *tasks, "--name", name, "-w", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    give_up_at = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up_at, "the run does not get on"
        time.sleep(0.05)


def simulators(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The children that have PyBullet loaded."""
    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if any("pybullet" in Path(part.path).name for part in child.memory_maps()):
                    found.append(child)
    return found


def ends_of(name: str) -> dict[str, str]:
    """Episode → final state digest."""
    with closing(Store.open(read_only=True)) as store:
        return {episode: store.attempts_of(name, episode)[-1].result.final_digest for episode in store.outcomes(name)}


def test_a_crash_of_pybullet_costs_one_attempt_of_one_chain() -> None:
    with running("crashed") as process:
        wait_for(lambda: n_judged("crashed") >= 1 and bool(simulators(process)), process)
        simulators(process)[0].send_signal(signal.SIGSEGV)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert attempts_per_episode("crashed") == [1] * (N_CHAINS - 1) + [2]
    assert "0 lost" in out
    with closing(Store.open(read_only=True)) as store:
        attempts = [a.result for e in store.outcomes("crashed") for a in store.attempts_of("crashed", e)]
    assert sorted({attempt.error_kind for attempt in attempts}) == ["", "env_crashed"]


@pytest.mark.slow
@pytest.mark.timeout(600)  # three programs and four simulators start, on a machine that may be busy
def test_a_run_that_is_killed_at_every_chain_goes_on_at_that_chain_and_ends_alike() -> None:
    for n_before in range(1, N_CHAINS):
        with running("killed") as process:
            wait_for(lambda enough=n_before: n_judged("killed") >= enough, process)
            process.kill()
            process.communicate()
        assert n_before <= n_judged("killed") < N_CHAINS
    with running("killed") as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert attempts_per_episode("killed") == [1] * N_CHAINS
    chains = [f"chain_{index:04d}" for index in range(N_CHAINS)]
    evaluate("random", "calvin_abc_d_100", tasks=chains, name="whole", workers=1)
    assert ends_of("whole") == ends_of("killed")
