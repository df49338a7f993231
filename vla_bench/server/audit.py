"""The public log: one row for everything that changes what the board says, never changed and never deleted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.leaderboard.people import AUDIT
from vla_bench.results.rows import now

__all__ = ["SERVER", "count_of_day", "write_audit"]

SERVER = "server"
"""The actor of what the service does by itself."""


def write_audit(
    connection: Connection, actor: str, action: str, subject_kind: str, subject: str, detail: Mapping[str, Any]
) -> None:
    """Write a line of the log, in the transaction that does what it says.

    Args:
        connection: inside a write transaction.
        actor: name of the account, or `SERVER`.
        action: stable snake_case (`submission_listed`).
        subject_kind: `submission`, `account`, `board` or `draw_key`.
        subject: id or name.
        detail: plain JSON values, public: never a secret.
    """
    row = {
        "at": now(),
        "actor": actor,
        "action": action,
        "subject_kind": subject_kind,
        "subject": subject,
        "detail": dict(detail),
    }
    connection.execute(sa.insert(AUDIT).values(row))


def count_of_day(connection: Connection, actor: str, action: str) -> int:
    """How many lines of one action an account has written within the last 24 hours."""
    since = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    of_day = (AUDIT.c.action == action, AUDIT.c.actor == actor, AUDIT.c.at > since)
    return connection.scalar(sa.select(sa.func.count()).select_from(AUDIT).where(*of_day)) or 0
