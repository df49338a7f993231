"""The states of a submission as a table, and the one function that goes from one to another.

open → sealed → checking ─┬→ refused
                          └→ listed ⇄ auditing ─┬→ replayed ─→ re-running ─┬→ re-run
                                                └→ disputed                └→ disputed
from every listed state: → retracted (by its owner), → withdrawn (by maintainers, with a public reason)
"""

from __future__ import annotations

import enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.leaderboard.people import SUBMISSION
from vla_bench.results.rows import now
from vla_bench.server.audit import write_audit
from vla_bench.server.problems import Problem

__all__ = ["LISTED", "TRANSITIONS", "State", "StateChanged", "find_submission", "move"]


class State(enum.StrEnum):
    """Where a submission is."""

    OPEN = "open"
    SEALED = "sealed"
    CHECKING = "checking"
    REFUSED = "refused"
    LISTED = "listed"
    AUDITING = "auditing"
    REPLAYED = "replayed"
    DISPUTED = "disputed"
    RE_RUNNING = "re-running"
    RE_RUN = "re-run"
    RETRACTED = "retracted"
    WITHDRAWN = "withdrawn"


_ENDS = frozenset({State.RETRACTED, State.WITHDRAWN})
LISTED = frozenset(
    {State.LISTED, State.AUDITING, State.REPLAYED, State.DISPUTED, State.RE_RUNNING, State.RE_RUN}
)  # fmt: skip
"""States in which a row of a board shows the submission's number."""

TRANSITIONS: dict[State, frozenset[State]] = {
    State.OPEN: frozenset({State.SEALED, State.REFUSED}),
    State.SEALED: frozenset({State.CHECKING}),
    # Back to sealed where the process that checked has died: nothing of it is stored.
    State.CHECKING: frozenset({State.REFUSED, State.LISTED, State.SEALED}),
    State.REFUSED: frozenset(),
    State.LISTED: frozenset({State.AUDITING}) | _ENDS,
    # Back to listed where replays could not be made.
    State.AUDITING: frozenset({State.REPLAYED, State.DISPUTED, State.LISTED}) | _ENDS,
    State.REPLAYED: frozenset({State.RE_RUNNING, State.DISPUTED}) | _ENDS,
    # Maintainers who found the cause have it replayed anew.
    State.DISPUTED: frozenset({State.AUDITING}) | _ENDS,
    State.RE_RUNNING: frozenset({State.RE_RUN, State.DISPUTED, State.REPLAYED}) | _ENDS,
    State.RE_RUN: frozenset({State.RE_RUNNING, State.DISPUTED}) | _ENDS,
    State.RETRACTED: frozenset(),
    State.WITHDRAWN: frozenset(),
}


class StateChanged(Problem):
    """Raised when a submission is not, or no longer, in a state from which it can go where it should."""

    def __init__(self, submission_id: str, wanted: str) -> None:
        super().__init__(409, f"submission {submission_id} is in another state and cannot become {wanted}",
                         kind="wrong-state")  # fmt: skip


def find_submission(connection: Connection, submission_id: str) -> RowMapping:
    """The row of a submission.

    Raises:
        Problem: 404, there is none.
    """
    row = connection.execute(sa.select(SUBMISSION).where(SUBMISSION.c.id == submission_id)).mappings().first()
    if row is None:
        raise Problem(404, f"no submission {submission_id[:60]!r}")
    return row


def move(
    connection: Connection,
    submission_id: str,
    to: State,
    *,
    actor: str,
    come_from: State | None = None,
    reason: str = "",
    **values: Any,
) -> State:
    """Put a submission into another state, and write it into the log.

    One UPDATE with the old states in its condition: of two processes that try, one does it and the other is told.

    Args:
        connection: inside a write transaction.
        submission_id: of the submission.
        to: the new state.
        actor: who does it.
        come_from: the one state that it must be in; None for any from which `to` can be reached.
        reason: public; replaces the last one.
        values: further columns.

    Returns:
        The state that it was in.

    Raises:
        StateChanged: it is in none of these states.
        Problem: 404, there is none.
    """
    before = State(find_submission(connection, submission_id)["state"])
    allowed = {state for state, targets in TRANSITIONS.items() if to in targets}
    if before not in allowed or (come_from is not None and before is not come_from):
        raise StateChanged(submission_id, to)
    is_here = (SUBMISSION.c.id == submission_id) & (SUBMISSION.c.state == str(before))
    changed = connection.execute(
        sa.update(SUBMISSION).where(is_here).values(state=str(to), reason=reason, updated_at=now(), **values)
    )
    if changed.rowcount != 1:
        raise StateChanged(submission_id, to)
    detail = {"from": str(before), "to": str(to), **({"reason": reason} if reason else {})}
    write_audit(connection, actor, f"submission_{to.replace('-', '_')}", "submission", submission_id, detail)
    return before
