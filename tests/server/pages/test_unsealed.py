"""What is announced and not sealed is its owner's alone: no page, table or log shows it, and nobody's runs count it."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from tests.server.pages.test_retract import signed_in
from tests.server.pages.test_retract import site as site
from tests.server.submitting import Board, announcement
from vla_bench.results.leaderboard.people import SUBMISSION
from vla_bench.server.boards import read
from vla_bench.server.exports.dump import dump_tables
from vla_bench.server.submissions import uploads


def test_an_upload_under_way_is_shown_to_its_owner_alone(site: Board, toy_bundle: Path, tmp_path: Path) -> None:
    alice = site.principal("alice")
    with site.store.database.write() as connection:
        announced = announcement(toy_bundle) | {"run_name": "secret-plans"}
        submission_id = uploads.open_upload(connection, alice, announced)
    address = f"/submissions/{submission_id}"
    own = signed_in(site, "alice").get(address)
    assert own.status_code == 200
    assert "secret-plans" in own.text
    assert own.headers["cache-control"] == "no-store"
    for client in (signed_in(site, "bob"), signed_in(site, "")):
        for target in (address, f"{address}.json", f"/api/v1{address}"):
            assert client.get(target).status_code == 404, target
        for target in ("/", "/log", "/log.json", "/api/v1/log", f"/log?kind=submission&subject={submission_id}"):
            answer = client.get(target)
            assert answer.status_code == 200, target
            assert "secret-plans" not in answer.text
            assert "submission open" not in answer.text.replace("_", " "), target
    dump_tables(site.store.database, tmp_path / "dump")
    for name in ("submission.csv", "audit.csv", "board.sql"):
        assert "secret-plans" not in (tmp_path / "dump" / name).read_text()


def test_announcements_and_refusals_make_a_policy_no_more_often_submitted(site: Board, toy_bundle: Path) -> None:
    alice, mallory = site.principal("alice"), site.principal("mallory")
    submission_id, _, _ = site.submit(alice, toy_bundle)
    same = announcement(toy_bundle)
    with site.store.database.write() as connection:
        for number in range(3):
            uploads.open_upload(connection, mallory, same | {"bundle_digest": f"{number:064}"})
        refused = uploads.open_upload(connection, mallory, same | {"bundle_digest": "f" * 64})
        connection.execute(sa.update(SUBMISSION).where(SUBMISSION.c.id == refused).values(state="refused"))
    assert read.submission_page(site.store.database, submission_id).n_siblings == 1
