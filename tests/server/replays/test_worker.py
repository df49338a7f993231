"""The replay worker as a process: killed, stopped, and on a real simulator."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.cli.conftest import PROGRAM
from tests.server.submitting import DECLARATION, Service, bundle_of, running, until
from vla_bench import evaluate
from vla_bench.results.leaderboard.people import REPLAY
from vla_bench.server.accounts.people import Role, Scope
from vla_bench.server.submissions.states import find_submission

WORK = ("leaderboard", "worker", "--workers", "1", "--server")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(str(tmp_path / "board.db"), tmp_path) as found:
        yield found


def start_worker(service: Service, token: str, suite: str, *more: str) -> subprocess.Popen[str]:
    environment = os.environ | {"VLA_BENCH_TOKEN": token}
    command = [PROGRAM, *WORK, service.url, "--suite", suite, *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )  # fmt: skip


def states(service: Service) -> dict[str, int]:
    board = service.board()
    try:
        with board.store.database.read() as connection:
            grouped = sa.select(REPLAY.c.state, sa.func.count()).group_by(REPLAY.c.state)
            return {state: int(n) for state, n in connection.execute(grouped)}
    finally:
        board.store.close()


@pytest.mark.slow
def test_a_worker_killed_in_mid_replay_loses_nothing(service: Service, toy_bundle: Path) -> None:
    board = service.board()
    submission_id, _, _ = board.submit(board.principal("alice"), toy_bundle)
    token = str(board.token("keeper", Scope.REPLAY, role=Role.MAINTAINER))
    victim = start_worker(service, token, "toy_reach")
    try:
        until(lambda: states(service).get("agreed", 0) >= 2 and states(service).get("leased", 0) > 0)
    finally:
        os.killpg(victim.pid, signal.SIGKILL)
        victim.communicate()
    left = states(service)
    assert left["leased"] >= 1
    with board.store.database.write() as connection:
        is_leased = REPLAY.c.state == "leased"
        connection.execute(sa.update(REPLAY).where(is_leased).values(lease_until="2020-01-01T00:00:00+00:00"))
    second = start_worker(service, token, "toy_reach", "--until-idle")
    out, story = second.communicate(timeout=150)
    assert second.returncode == 0, story
    assert f"{50 - left['agreed']} replays reported" in out
    assert states(service) == {"agreed": 50}
    with board.store.database.read() as connection:
        assert find_submission(connection, submission_id)["state"] == "replayed"
    board.store.close()


@pytest.mark.slow
def test_a_worker_that_is_stopped_gives_back_what_it_has_not_replayed(service: Service, toy_bundle: Path) -> None:
    board = service.board()
    board.submit(board.principal("alice"), toy_bundle)
    token = str(board.token("keeper", Scope.REPLAY, role=Role.MAINTAINER))
    worker = start_worker(service, token, "toy_reach")
    try:
        until(lambda: states(service).get("agreed", 0) >= 1 and states(service).get("leased", 0) > 0)
    finally:
        worker.send_signal(signal.SIGTERM)
        _, story = worker.communicate(timeout=60)
    assert worker.returncode == 130, story
    found = states(service)
    assert "leased" not in found
    assert found["queued"] + found["agreed"] == 50
    board.store.close()


@pytest.mark.slow
@pytest.mark.sim
def test_a_metaworld_run_is_replayed_to_the_bit(service: Service, tmp_path: Path) -> None:
    evaluate("expert", "metaworld_reach", name="toy", db=str(tmp_path / "mine.db"), workers=1)
    bundle = bundle_of(tmp_path / "mine.db", tmp_path, declaration=DECLARATION)
    board = service.board()
    submission_id, state, reason = board.submit(board.principal("alice"), bundle)
    assert str(state) == "auditing", reason
    token = str(board.token("keeper", Scope.REPLAY, role=Role.MAINTAINER))
    worker = start_worker(service, token, "metaworld_reach", "--until-idle")
    _, story = worker.communicate(timeout=150)
    assert worker.returncode == 0, story
    with board.store.database.read() as connection:
        assert find_submission(connection, submission_id)["state"] == "replayed"
        assert set(connection.scalars(sa.select(REPLAY.c.agreement))) == {"bit"}
    board.store.close()
