"""What happens between requests, on both databases."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from tests.server.submitting import Board, Forgery, announcement, until
from vla_bench.results.leaderboard.people import DRAW_KEY, SUBMISSION
from vla_bench.server.jobs import Bell, sweep
from vla_bench.server.replays.draw import present_key
from vla_bench.server.submissions import uploads
from vla_bench.server.submissions.parts import PartFolder
from vla_bench.server.submissions.states import find_submission

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
