"""What happens between requests, on both databases."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from tests.cli.conftest import PROGRAM
from tests.server.submitting import SECRET, Board, Forgery, announcement, settled, until
from vla_bench.results.leaderboard.people import DRAW_KEY, REPLAY, SUBMISSION
from vla_bench.server.jobs import Bell, sweep
from vla_bench.server.replays.draw import present_key
from vla_bench.server.replays.own import OwnBoard
from vla_bench.server.replays.worker import Worker
from vla_bench.server.submissions import uploads
from vla_bench.server.submissions.parts import PartFolder
from vla_bench.server.submissions.states import find_submission

JOBS = ("leaderboard", "jobs", "--replays", "1", "--suite", "toy_reach")
LONG_AGO = "2020-01-01T00:00:00+00:00"


def state_of(board: Board, submission_id: str) -> str:
    with board.store.database.read() as connection:
        return str(find_submission(connection, submission_id)["state"])


def test_a_ring_has_a_submission_checked_and_a_start_finds_what_no_ring_reached(
    board: Board, toy_bundle: Path, tmp_path: Path
) -> None:
    unheard = board.seal(board.principal("alice"), toy_bundle)
    bell = Bell(board.store, board.settings)
    bell.start()
    try:
        until(lambda: state_of(board, unheard) == "auditing")
        forged = Forgery.of(toy_bundle)
        forged.manifest["declaration"]["family"] = "mine"
        rung = board.seal(board.principal("bob"), forged.write(tmp_path / "b"))
        bell.ring(rung)
        until(lambda: state_of(board, rung) == "refused")
    finally:
        bell.stop()


def test_a_bell_with_another_secret_is_not_heard(board: Board, toy_bundle: Path) -> None:
    submission_id = board.seal(board.principal("alice"), toy_bundle)
    other = board.settings.model_copy(update={"secret": "z9" * 20})
    stranger, own = Bell(board.store, other), Bell(board.store, board.settings)
    stranger.ring(submission_id)
    own.start()
    try:
        # The start itself finds the sealed one; the message of the stranger is thrown away and ends nothing.
        until(lambda: state_of(board, submission_id) == "auditing")
    finally:
        own.stop()
        stranger.stop()


def test_an_upload_that_nobody_seals_is_given_up_and_old_refusals_lose_their_bundles(
    board: Board, toy_bundle: Path, tmp_path: Path
) -> None:
    alice = board.principal("alice")
    forged = Forgery.of(toy_bundle)
    forged.summary["n_success"] = 50
    refused, state, _ = board.submit(alice, forged.write(tmp_path / "b"))
    assert str(state) == "refused"
    folder = PartFolder.of(board.settings, board.store, refused)
    with board.store.database.write() as connection:
        opened = uploads.open_upload(connection, alice, announcement(toy_bundle))
    sweep(board.store, board.settings)
    assert state_of(board, opened) == "open"
    assert folder.path.exists()
    with board.store.database.write() as connection:
        connection.execute(sa.update(SUBMISSION).values(updated_at=LONG_AGO))
    sweep(board.store, board.settings)
    assert state_of(board, opened) == "refused"
    assert not folder.path.exists()


def test_a_worn_key_is_revealed_and_followed_by_another(board: Board) -> None:
    with board.store.database.write() as connection:
        first = present_key(connection)["commitment"]
    sweep(board.store, board.settings)
    with board.store.database.write() as connection:
        assert present_key(connection)["commitment"] == first
        connection.execute(sa.update(DRAW_KEY).values(created_at=LONG_AGO))
    sweep(board.store, board.settings)
    with board.store.database.read() as connection:
        rows = list(connection.execute(sa.select(DRAW_KEY).order_by(DRAW_KEY.c.id)).mappings())
    assert [bool(row["revealed_at"]) for row in rows] == [True, False]


def start_jobs(board: Board, database: str) -> subprocess.Popen[str]:
    environment = os.environ | {"VLA_BENCH_BOARD_SECRET": SECRET}
    environment["VLA_BENCH_BOARD_UPLOADS"] = str(board.settings.uploads)
    command = [PROGRAM, *JOBS, "--db", database, "--traces", str(board.settings.traces)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def replays(board: Board) -> dict[str, int]:
    with board.store.database.read() as connection:
        grouped = sa.select(REPLAY.c.state, sa.func.count()).group_by(REPLAY.c.state)
        return {state: int(n) for state, n in connection.execute(grouped)}


@pytest.mark.slow
def test_jobs_that_make_replays_are_killed_in_the_middle_and_others_go_on(
    board: Board, database: str, toy_bundle: Path
) -> None:
    submission_id = board.seal(board.principal("alice"), toy_bundle)
    victim = start_jobs(board, database)
    children: list[psutil.Process] = []

    def stands_still_in_the_middle() -> bool:
        victim.send_signal(signal.SIGSTOP)
        children[:] = psutil.Process(victim.pid).children(recursive=True)
        if children and replays(board).get("leased", 0) > 0:
            return True
        victim.send_signal(signal.SIGCONT)
        return False

    try:
        until(lambda: replays(board).get("agreed", 0) >= 2)
        until(stands_still_in_the_middle)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    left = settled(lambda: replays(board))
    assert left["leased"] >= 1
    with board.store.database.write() as connection:
        connection.execute(sa.update(REPLAY).where(REPLAY.c.state == "leased").values(lease_until=LONG_AGO))
    second = start_jobs(board, database)
    try:
        until(lambda: state_of(board, submission_id) == "replayed")
    finally:
        second.send_signal(signal.SIGTERM)
        _, story = second.communicate(timeout=60)
    assert second.returncode == 130, story
    assert replays(board) == {"agreed": 50}
    with board.store.database.read() as connection:
        tries = list(connection.scalars(sa.select(REPLAY.c.attempt)))
        workers = set(connection.scalars(sa.select(REPLAY.c.worker)))
    assert sorted(tries)[-left["leased"] :] == [2] * left["leased"]
    assert all(worker.startswith("server/") for worker in workers)


@pytest.mark.slow
def test_jobs_that_are_stopped_give_back_what_they_have_not_replayed(
    board: Board, database: str, toy_bundle: Path
) -> None:
    board.seal(board.principal("alice"), toy_bundle)
    jobs = start_jobs(board, database)
    try:
        until(lambda: replays(board).get("agreed", 0) >= 1 and replays(board).get("leased", 0) > 0)
    finally:
        jobs.send_signal(signal.SIGTERM)
        _, story = jobs.communicate(timeout=60)
    assert jobs.returncode == 130, story
    assert "leased" not in replays(board)


def test_a_start_finds_replays_whose_worker_died(board: Board, toy_bundle: Path) -> None:
    board.submit(board.principal("alice"), toy_bundle)
    with board.store.database.write() as connection:
        dead = {"state": "leased", "worker": "server/dead:1", "attempt": 1, "lease_until": LONG_AGO}
        connection.execute(sa.update(REPLAY).values(dead))
    client = OwnBoard(board.store)
    worker = Worker(client=client, name="w", suites=["toy_reach"], workers=1, executor="inline")
    bell = Bell(board.store, board.settings, worker)
    bell.start()
    try:
        until(lambda: replays(board) == {"agreed": 50})
    finally:
        bell.stop()
