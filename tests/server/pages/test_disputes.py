"""A run is disputed and answered in public: by accounts alone, a few times a day, and each dispute once answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.server.pages.test_retract import HERE, signed_in
from tests.server.pages.test_retract import site as site
from tests.server.submitting import Board
from vla_bench.server.accounts.people import Role, Scope
from vla_bench.server.boards import read
from vla_bench.server.submissions.disputes import MOST_A_DAY, Dispute
from vla_bench.server.submissions.states import LISTED

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("retract")]
WRONG = "Episode 7 succeeds although nothing is touched. <b>Look at it</b>"
ANSWER = "Replayed on two machines: the hand does touch it, at step 81."


def send(client: TestClient, address: str, text: str, headers: dict[str, str] = HERE) -> int:
    return client.post(address, data={"text": text}, headers=headers).status_code


def test_a_dispute_is_answered_in_the_public_log(site: Board, toy_bundle: Path) -> None:
    submission_id, state, reason = site.submit(site.principal("alice"), toy_bundle)
    assert state in LISTED, reason
    address = f"/submissions/{submission_id}"
    bob, reader = signed_in(site, "bob"), signed_in(site, "")
    maintainer = signed_in(site, "carol", Scope.ADMIN, role=Role.MAINTAINER)
    assert "Nobody disputes this run" in reader.get(address).text
    assert f'action="{address}/dispute"' in bob.get(address).text
    assert send(reader, f"{address}/dispute", WRONG) == 401
    assert send(bob, f"{address}/dispute", WRONG, {"Sec-Fetch-Site": "cross-site"}) == 403
    assert [send(bob, f"{address}/dispute", text) for text in ("", "short", "x" * 2001, "\x00" * 30)] == [422] * 4
    assert send(bob, f"{address}/dispute", WRONG) == 303
    shown = reader.get(address)
    assert "&lt;b&gt;Look at it" in shown.text
    assert "To be answered until" in shown.text
    assert "To be answered until" in reader.get(address).text
    form = f"{address}/disputes/1/answer"
    assert f'action="{form}"' not in bob.get(address).text
    assert send(bob, form, ANSWER) == 403
    assert f'action="{form}"' in maintainer.get(address).text
    assert send(maintainer, f"{address}/disputes/2/answer", ANSWER) == 404
    assert send(maintainer, form, ANSWER) == 303
    assert send(maintainer, form, ANSWER) == 409
    assert ANSWER in reader.get(address).text
    log = read.log_page(site.store.database, subject_kind="submission", subject=submission_id)
    assert [entry.action for entry in log.entries][:2] == ["dispute_answered", "dispute_opened"]
    for _ in range(MOST_A_DAY - 1):
        assert send(bob, f"{address}/dispute", WRONG) == 303
    assert send(bob, f"{address}/dispute", WRONG) == 429


def test_an_answer_that_is_late_is_said_to_be() -> None:
    told = {"number": 1, "by": "bob", "at": "2020-01-01T00:00:00+00:00", "text": WRONG}
    assert Dispute(**told, due="2020-01-15").is_overdue
    assert not Dispute(**told, due="2999-01-15").is_overdue
    assert not Dispute(**told, due="2020-01-15", answer=ANSWER).is_overdue
