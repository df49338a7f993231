"""Disputes: somebody with an account says what is wrong with a listed run, and a maintainer answers.

Both are lines of the public log and nothing else: there is no row that could be changed or lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.leaderboard.people import AUDIT, SUBMISSION
from vla_bench.server.accounts.people import Principal, Scope
from vla_bench.server.audit import count_of_day, write_audit
from vla_bench.server.boards.views import LogEntry
from vla_bench.server.problems import Problem
from vla_bench.server.submissions.states import LISTED, find_submission

__all__ = [
    "ANSWERED", "ANSWER_DAYS", "LONGEST", "OPENED", "SHORTEST",
    "Dispute", "answer_dispute", "disputes_of", "open_dispute",
]  # fmt: skip

OPENED, ANSWERED = "dispute_opened", "dispute_answered"
ANSWER_DAYS = 14
"""Days within which maintainers answer."""
MOST_A_DAY = 3
"""Disputes that one account opens in a day."""
SHORTEST, LONGEST = 20, 2000
"""Characters of a dispute, and of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A dispute of one submission.

    Attributes:
        number: from 1, within the submission.
        by, at, text: who said what, and when.
        due: date by which it is to be answered.
        answered_by, answered_at, answer: empty until then.
    """

    number: int
    by: str
    at: str
    text: str
    due: str
    answered_by: str = ""
    answered_at: str = ""
    answer: str = ""

    @property
    def is_overdue(self) -> bool:
        """Whether nobody has answered in time."""
        return not self.answer and datetime.now(UTC).date().isoformat() > self.due


def disputes_of(log: Iterable[LogEntry | Mapping[str, Any]]) -> tuple[Dispute, ...]:
    """The disputes among the lines of a submission's log, oldest first."""
    opened: dict[int, dict[str, Any]] = {}
    for entry in log:
        line = entry if isinstance(entry, Mapping) else {name: getattr(entry, name) for name in _LINE}
        number = line["detail"].get("dispute")
        if line["action"] == OPENED:
            due = (datetime.fromisoformat(line["at"]) + timedelta(days=ANSWER_DAYS)).date().isoformat()
            opened[number] = {"by": line["actor"], "at": line["at"], "text": line["detail"]["text"], "due": due}
        elif line["action"] == ANSWERED and number in opened:
            answer = {"answered_by": line["actor"], "answered_at": line["at"], "answer": line["detail"]["text"]}
            opened[number] |= answer
    return tuple(Dispute(number=number, **found) for number, found in opened.items())


def open_dispute(connection: Connection, submission_id: str, text: str, *, by: Principal) -> int:
    """Say in public what is wrong with a listed run; returns its number.

    Raises:
        Problem: 409 where it is not listed; 422 for a text that says nothing; 429, too many in a day.
    """
    found = _locked(connection, submission_id)
    if found["state"] not in LISTED:
        raise Problem(409, f"submission {submission_id} is {found['state']}: no number of it stands on a board")
    _check_text(text)
    if count_of_day(connection, by.name, OPENED) >= MOST_A_DAY:
        raise Problem(429, f"an account opens at most {MOST_A_DAY} disputes a day", headers={"Retry-After": "86400"})
    number = 1 + len(_stored(connection, submission_id))
    write_audit(connection, by.name, OPENED, "submission", submission_id, {"dispute": number, "text": text})
    return number


def answer_dispute(connection: Connection, submission_id: str, number: int, text: str, *, by: Principal) -> None:
    """Answer a dispute in public, as a maintainer, once.

    Raises:
        Problem: 403 for anybody else; 404, there is no such dispute; 409, it is answered; 422 for an empty text.
    """
    if Scope.ADMIN not in by.scopes:
        raise Problem(403, "only maintainers answer disputes", kind="missing-scope")
    _locked(connection, submission_id)
    _check_text(text)
    found = {dispute.number: dispute for dispute in _stored(connection, submission_id)}
    if number not in found:
        raise Problem(404, f"submission {submission_id} has no dispute {number}")
    if found[number].answer:
        raise Problem(409, f"dispute {number} of submission {submission_id} is answered")
    write_audit(connection, by.name, ANSWERED, "submission", submission_id, {"dispute": number, "text": text})


_LINE = ("action", "actor", "at", "detail")


def _locked(connection: Connection, submission_id: str) -> Mapping[str, Any]:
    """The submission, held until the transaction ends: numbers of disputes are given once."""
    connection.execute(sa.select(SUBMISSION.c.id).where(SUBMISSION.c.id == submission_id).with_for_update())
    return find_submission(connection, submission_id)


def _stored(connection: Connection, submission_id: str) -> tuple[Dispute, ...]:
    of_it = (AUDIT.c.subject_kind == "submission", AUDIT.c.subject == submission_id)
    lines = sa.select(*(AUDIT.c[name] for name in _LINE)).where(*of_it, AUDIT.c.action.in_((OPENED, ANSWERED)))
    return disputes_of(connection.execute(lines.order_by(AUDIT.c.id)).mappings())


def _check_text(text: str) -> None:
    if not SHORTEST <= len(text.strip()) <= LONGEST or not text.isprintable():
        raise Problem(422, f"say it in {SHORTEST} to {LONGEST:,} characters of plain text: everybody will read it")
