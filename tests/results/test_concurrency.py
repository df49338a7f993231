"""Several processes and sudden death: nothing that was stored is lost, nothing half stored is seen."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.results.processes import the_spec
from tests.results.test_faults import ROOT, SCRIPT, episodes_in
from vla_bench.results.store import Store
from vla_bench.spec.outcomes import Outcome


@pytest.fixture
def start(tmp_path: Path):
    """Start `processes.py`; whatever lives at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start_(*arguments: str) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "VLA_BENCH_HOME": str(tmp_path / "home")}
        command = [sys.executable, str(SCRIPT), *arguments]
        started.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
        return started[-1]

    yield start_
    for process in started:
        process.kill()
        process.communicate()


def test_processes_that_write_at_once_lose_nothing(db: str, start) -> None:
    # They also race for making the database and the run.
    processes = [start("fill", db, f"{i}/2") for i in (1, 2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sorted(e for output in outputs for e in episodes_in(output)) == sorted(
        e.id for e in the_spec().plan.episodes
    )
    with Store.open(db) as store:
        summary = store.finish("a-run")
        assert (summary.n_judged, summary.n_attempts, summary.shards) == (200, 200, ("1/2", "2/2"))


def test_death_inside_a_transaction_leaves_what_was_committed(db: str, start) -> None:
    process = start("hang", db)
    lines = [process.stdout.readline().strip() for _ in range(3)]
    assert lines[2] == "inside"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Store.open(db) as store:
        assert store.outcomes("a-run") == {lines[0]: Outcome.SUCCESS, lines[1]: Outcome.SUCCESS}
        assert store.begin_run(the_spec()).is_resumed
        store.finish("a-run")


@pytest.mark.parametrize("n_lines", [1, 2, 7, 40])
def test_every_episode_that_add_returned_for_survives_a_kill(tmp_path: Path, start, n_lines: int) -> None:
    db = str(tmp_path / "x.db")
    process = start("fill", db)
    seen = [process.stdout.readline().strip() for _ in range(n_lines)]
    process.send_signal(signal.SIGKILL)
    seen += process.stdout.read().split()
    process.wait()
    with Store.open(db) as store:
        outcomes = store.outcomes("a-run")
        assert set(episodes_in("\n".join(seen))) <= set(outcomes)
        for episode_id in outcomes:
            (attempt,) = store.attempts_of("a-run", episode_id)
            assert len(store.trace(attempt.trace_digest).actions) == 1000
    with sqlite3.connect(db) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_commits_are_on_disk(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.db") as store, store.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
