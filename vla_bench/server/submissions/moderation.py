"""Taking back, by the owner or by maintainers with a public reason, and auditing anew. Nothing is deleted."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.leaderboard.people import REPLAY
from vla_bench.server.accounts.people import Principal, Scope
from vla_bench.server.audit import write_audit
from vla_bench.server.boards.change import bury
from vla_bench.server.problems import Problem
from vla_bench.server.replays.desk import settle
from vla_bench.server.submissions.states import State, find_submission, move

__all__ = ["SHORTEST_REASON", "resume", "retract", "withdraw"]

SHORTEST_REASON = 10
"""Characters that a reason has at least."""
MOST_NAMED = 50
"""Episodes that one line of the log names."""


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


def resume(connection: Connection, submission_id: str, reason: str, *, by: Principal) -> State:
    """Audit a disputed submission anew, or one whose replays could not be made, as a maintainer who found the cause.

    What deviated or failed is replayed once more; what agreed stays. The deviations stay in the log.

    Returns:
        The state that the submission is in now: `auditing` while replays are to come.

    Raises:
        Problem: 403 for anybody else; 409 where nothing about it is open; 422 without a reason.
    """
    if Scope.ADMIN not in by.scopes:
        raise Problem(403, "only maintainers resume an audit", kind="missing-scope")
    _check_reason(reason)
    is_over = (REPLAY.c.submission_id == submission_id) & REPLAY.c.state.in_(("deviated", "failed"))
    over = connection.execute(sa.select(REPLAY.c.episode_id, REPLAY.c.state).where(is_over).order_by(REPLAY.c.id)).all()
    before = find_submission(connection, submission_id)["state"]
    if before != State.DISPUTED and not (before == State.LISTED and over):
        raise Problem(409, f"submission {submission_id} is {before}: no replay of it deviated or could not be made",
                      kind="wrong-state")  # fmt: skip
    move(connection, submission_id, State.AUDITING, actor=by.name, come_from=State(before), reason=reason)
    nothing = {"attempt": 0, "worker": "", "fingerprint": "", "agreement": "", "detail": "", "reported_at": None}
    connection.execute(sa.update(REPLAY).where(is_over).values(state="queued", **nothing))
    deviated = [row.episode_id for row in over if row.state == "deviated"]
    detail = {"n": len(over), "deviated": deviated[:MOST_NAMED], "n_deviated": len(deviated)}
    write_audit(connection, by.name, "replays_queued_again", "submission", submission_id, detail)
    return settle(connection, submission_id)


def _check_reason(reason: str) -> None:
    if len(reason.strip()) < SHORTEST_REASON:
        raise Problem(422, f"say why, in {SHORTEST_REASON} characters or more: the reason is public")


def _strike(connection: Connection, submission_id: str, to: State, reason: str, *, actor: str) -> None:
    _check_reason(reason)
    move(connection, submission_id, to, actor=actor, reason=reason)
    # What nobody will look at is not replayed.
    is_open = (REPLAY.c.submission_id == submission_id) & REPLAY.c.state.in_(("queued", "leased"))
    gone = {"state": "failed", "detail": f"the submission was {to}", "lease_until": None}
    connection.execute(sa.update(REPLAY).where(is_open).values(gone))
    bury(connection, find_submission(connection, submission_id)["run_id"], str(to), reason, actor=actor)
