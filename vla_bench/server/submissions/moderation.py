"""Taking back: by the owner, or by maintainers with a public reason. Nothing is deleted; a tombstone stays."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.leaderboard.people import REPLAY
from vla_bench.server.accounts.people import Principal, Scope
from vla_bench.server.boards.change import bury
from vla_bench.server.problems import Problem
from vla_bench.server.submissions.states import State, find_submission, move

__all__ = ["SHORTEST_REASON", "retract", "withdraw"]

SHORTEST_REASON = 10
"""Characters that a reason has at least."""


def retract(connection: Connection, submission_id: str, reason: str, *, by: Principal) -> None:
    """Take back one's own submission.

    Raises:
        Problem: 403 for somebody else's; 409 where it is not listed; 422 without a reason.
    """
    if find_submission(connection, submission_id)["account_id"] != by.account_id:
        raise Problem(403, f"submission {submission_id} belongs to somebody else: only its owner retracts it")
    _strike(connection, submission_id, State.RETRACTED, reason, actor=by.name)


def withdraw(connection: Connection, submission_id: str, reason: str, *, by: Principal) -> None:
    """Take a submission off its board, as a maintainer.

    Raises:
        Problem: 403 for anybody else; 409 where it is not listed; 422 without a reason.
    """
    if Scope.ADMIN not in by.scopes:
        raise Problem(403, "only maintainers withdraw submissions", kind="missing-scope")
    _strike(connection, submission_id, State.WITHDRAWN, reason, actor=by.name)


def _strike(connection: Connection, submission_id: str, to: State, reason: str, *, actor: str) -> None:
    if len(reason.strip()) < SHORTEST_REASON:
        raise Problem(422, f"say why, in {SHORTEST_REASON} characters or more: the reason is public")
    move(connection, submission_id, to, actor=actor, reason=reason)
    # What nobody will look at is not replayed.
    is_open = (REPLAY.c.submission_id == submission_id) & REPLAY.c.state.in_(("queued", "leased"))
    gone = {"state": "failed", "detail": f"the submission was {to}", "lease_until": None}
    connection.execute(sa.update(REPLAY).where(is_open).values(gone))
    bury(connection, find_submission(connection, submission_id)["run_id"], str(to), reason, actor=actor)
