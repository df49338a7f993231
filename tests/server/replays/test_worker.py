"""The replay worker as a process: killed, stopped, and on a real simulator."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.cli.conftest import PROGRAM
from tests.server.submitting import DECLARATION, Service, bundle_of, running, settled, until
from vla_bench import evaluate
from vla_bench.harness.replay import recordings_of
from vla_bench.results.evidence import gather_evidence
from vla_bench.results.leaderboard.people import REPLAY
from vla_bench.results.store import Store
from vla_bench.server.accounts.people import Role, Scope
from vla_bench.server.replays.worker import Worker, time_limit_s
from vla_bench.server.submissions.states import find_submission
from vla_bench.spec.result import Latencies

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
    left = settled(lambda: states(service))
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


class Unlucky(Worker):
    """Its board dies at the third call of one kind."""

    def __init__(self, service: Service, call: str, **given: Any) -> None:
        super().__init__(name="w", suites=["toy_reach"], executor="inline", n_at_a_time=10, **given)
        self.is_dead, self._service, self._left = threading.Event(), service, 3
        setattr(self, call, self._dying(getattr(self, call)))

    def _dying(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def dies(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                self._service.kill()
                self.is_dead.set()
            return call(*arguments)

        return dies


@pytest.mark.slow
@pytest.mark.parametrize("call", ["_claim", "_fetch", "_report"])
def test_a_worker_outlives_its_board_and_says_how_many_it_reported(
    service: Service, toy_bundle: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UNREACHABLE_S", "IDLE_S"):
        monkeypatch.setattr(f"vla_bench.server.replays.worker.{name}", 0.1)
    monkeypatch.setattr("vla_bench.server.replays.worker.REPORT_AGAIN_S", (0.1, 0.1))
    board, port = service.board(), service.port
    board.submit(board.principal("alice"), toy_bundle)
    token = board.token("keeper", Scope.REPLAY, role=Role.MAINTAINER)
    with service.client(token) as client, ThreadPoolExecutor(1) as pool:
        worker = Unlucky(service, call, client=client)
        work = pool.submit(worker.run)
        try:
            assert worker.is_dead.wait(60)
            assert "agreed" not in states(service) or call != "_fetch"
            with board.store.database.write() as connection:
                # What it held when the board died is somebody's again.
                connection.execute(sa.update(REPLAY).values(lease_until="2020-01-01T00:00:00+00:00"))
            service.start(port)
            until(lambda: work.done() or states(service) == {"agreed": 50})
            assert not work.done(), work.exception()
        finally:
            worker.stop()
        assert work.result(60) == 50
    board.store.close()


def test_a_replay_may_take_three_times_as_long_as_its_recording(toy_run: Path) -> None:
    with Store.open(toy_run, read_only=True) as store:
        recording = recordings_of(gather_evidence(store, "toy").judged)[0]

    def limit(wall_s: float) -> float:
        latencies = Latencies(wall_ms=1e3 * wall_s)
        return time_limit_s(replace(recording, attempt=replace(recording.attempt, latencies=latencies)))

    assert [limit(wall_s) for wall_s in (0.0, 1.0, 600.0, 1e9)] == [180.0, 180.0, 1800.0, 7200.0]


@pytest.mark.slow
def test_a_replay_that_takes_too_long_three_times_is_given_up_with_its_reason(
    service: Service, toy_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vla_bench.server.replays.worker.LONGEST_S", 0.0)
    board = service.board()
    submission_id, _, _ = board.submit(board.principal("alice"), toy_bundle)
    with board.store.database.write() as connection:
        kept = sa.select(sa.func.min(REPLAY.c.id)).scalar_subquery()
        connection.execute(sa.delete(REPLAY).where(REPLAY.c.id != kept))
    token = board.token("keeper", Scope.REPLAY, role=Role.MAINTAINER)
    with service.client(token) as client:
        worker = Worker(client=client, name="w", suites=["toy_reach"], executor="inline")
        assert worker.run(until_idle=True) == 3
    assert states(service) == {"failed": 1}
    with board.store.database.read() as connection:
        assert "the replay took longer than 0 s" in find_submission(connection, submission_id)["reason"]
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
