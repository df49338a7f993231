"""The form by which the owner of a submission takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.server.submitting import Board
from vla_bench.server.accounts.people import Role, Scope
from vla_bench.server.app import create_app
from vla_bench.server.submissions.states import LISTED

HERE = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
WHY = "The checkpoint was chosen on these episodes. <b>Sorry</b>"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("retract")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Board]:
    made = Board(str(tmp_path / "board.db"), tmp_path)
    yield made
    made.store.close()


def signed_in(site: Board, name: str, *scopes: Scope, role: Role = Role.SUBMITTER) -> TestClient:
    """A browser of somebody; of a reader without an account where the name is empty."""
    settings = site.settings.model_copy(update={"runs_jobs": False, "reads_per_minute": 100_000})
    client = TestClient(create_app(settings, store=site.store), base_url="http://board.test", follow_redirects=False)
    if name:
        answer = client.post(
            "/account/sign-in", data={"token": str(site.token(name, *scopes, role=role))}, headers=HERE
        )
        assert answer.status_code == 303
    return client


def test_only_the_owner_takes_a_submission_back_and_with_a_reason(site: Board, toy_bundle: Path) -> None:
    submission_id, state, reason = site.submit(site.principal("alice"), toy_bundle)
    assert state in LISTED, reason
    address = f"/submissions/{submission_id}"
    form = f'action="{address}/retract"'
    alice, bob, reader = signed_in(site, "alice"), signed_in(site, "bob"), signed_in(site, "")
    for client in (bob, reader):
        shown = client.get(address)
        assert form not in shown.text
        # Who may dispute it sees a form, and a page with a form is not kept.
        assert ("ETag" in shown.headers) == (client is reader)
    shown = alice.get(address)
    assert form in shown.text
    assert shown.headers["cache-control"] == "no-store"

    def send(client: TestClient, why: str, headers: dict[str, str] = HERE) -> int:
        return client.post(f"{address}/retract", data={"reason": why}, headers=headers).status_code

    assert send(reader, WHY) == 401
    assert send(bob, WHY) == 403
    assert send(alice, WHY, {"Sec-Fetch-Site": "cross-site"}) == 403
    assert send(alice, WHY, {}) == 403
    assert [send(alice, why) for why in ("", "too short", "x" * 2001, "\x00" * 20)] == [422] * 4
    assert form in alice.get(address).text
    assert send(alice, WHY) == 303
    after = alice.get(address).text
    assert form not in after
    assert "The checkpoint was chosen on these episodes. &lt;b&gt;Sorry&lt;/b&gt;" in after
    run = next(part for part in after.split('"') if part.startswith("/runs/"))
    assert "This run was retracted." in reader.get(run).text
    assert send(alice, WHY) == 409
    assert "submission retracted" in reader.get("/log").text
