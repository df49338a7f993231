"""Uploads from their opening to their seal, in the database. Each function takes an open connection."""

from __future__ import annotations

import secrets
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.leaderboard.people import SUBMISSION, UPLOAD_PART
from vla_bench.results.rows import now, plain_text
from vla_bench.results.writing import lock_runs
from vla_bench.server.accounts.people import Principal
from vla_bench.server.audit import write_audit
from vla_bench.server.problems import Problem
from vla_bench.server.submissions.states import State, move

__all__ = ["MOST_OPEN", "MOST_PARTS", "find_upload", "note_part", "open_upload", "own_upload", "parts_of", "seal"]

MOST_OPEN = 20
"""Uploads that an account can have open: each of them may take space."""
MOST_PARTS = 10_000
_ALPHABET = string.digits + string.ascii_lowercase
_ID_LENGTH = 12


def find_upload(connection: Connection, account_id: int, digest: str) -> RowMapping | None:
    """The upload of this bundle that an account has open.

    Raises:
        Problem: 409, the bundle was sealed before, by whomever.
    """
    same = sa.select(SUBMISSION).where(SUBMISSION.c.bundle_digest == digest).order_by(SUBMISSION.c.created_at)
    found = None
    for row in connection.execute(same).mappings():
        if row["state"] == State.OPEN and row["account_id"] == account_id:
            found = row
        elif row["state"] not in (State.OPEN, State.REFUSED):
            raise Problem(
                409, f"this bundle was submitted before: it is submission {row['id']}", kind="duplicate",
                submission=row["id"],
            )  # fmt: skip
    return found


def open_upload(
    connection: Connection,
    principal: Principal,
    values: dict[str, Any],
    *,
    most_bytes: int = MOST_OPEN * (2 << 30),
    keep_days: float = 30,
) -> str:
    """Open an upload, or go on with the one of the same bundle; returns its id.

    Args:
        connection: inside a write transaction.
        principal: who uploads.
        values: columns of the submission.
        most_bytes: that the account's bundles which are on no board may hold together.
        keep_days: for which the bundle of a refused one is kept.

    Raises:
        Problem: 409, the bundle was submitted before, or too many uploads or bytes of this account are here already.
    """
    lock_runs(connection)
    if (found := find_upload(connection, principal.account_id, values["bundle_digest"])) is not None:
        return str(found["id"])
    mine = (SUBMISSION.c.account_id == principal.account_id) & (SUBMISSION.c.state == str(State.OPEN))
    if (connection.scalar(sa.select(sa.func.count()).select_from(SUBMISSION).where(mine)) or 0) >= MOST_OPEN:
        raise Problem(409, f"{MOST_OPEN} uploads of yours are open: finish one of them, or wait until they expire")
    n_kept = _bytes_kept(connection, principal.account_id, keep_days)
    if n_kept + values["bundle_size"] > most_bytes:
        raise Problem(
            409, f"your uploads, open and refused, hold {n_kept} bytes, and with this more than {most_bytes}; "
            f"refused ones go after {keep_days:g} days", kind="too-much",
        )  # fmt: skip
    submission_id = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
    moment = now()
    row = {
        **values,
        "id": submission_id,
        "account_id": principal.account_id,
        "state": str(State.OPEN),
        "reason": "",
        "run_name": plain_text(values["run_name"], 200),
        "created_at": moment,
        "updated_at": moment,
    }
    connection.execute(sa.insert(SUBMISSION).values(row))
    detail = {"to": str(State.OPEN), "run": row["run_name"], "bundle": values["bundle_digest"]}
    write_audit(connection, principal.name, "submission_open", "submission", submission_id, detail)
    return submission_id


def _bytes_kept(connection: Connection, account_id: int, keep_days: float) -> int:
    since = (datetime.now(UTC) - timedelta(days=keep_days)).isoformat(timespec="seconds")
    waits = SUBMISSION.c.state.in_([str(state) for state in (State.OPEN, State.SEALED, State.CHECKING)])
    is_refused = (SUBMISSION.c.state == str(State.REFUSED)) & (SUBMISSION.c.updated_at >= since)
    total = sa.select(sa.func.sum(SUBMISSION.c.bundle_size)).where(SUBMISSION.c.account_id == account_id)
    return int(connection.scalar(total.where(waits | is_refused)) or 0)


def own_upload(connection: Connection, principal: Principal, submission_id: str, *, locked: bool = False) -> RowMapping:
    """One's own open upload.

    Raises:
        Problem: 404, there is none, or it is somebody else's: strangers are not told which; 409, it is sealed.
    """
    statement = sa.select(SUBMISSION).where(SUBMISSION.c.id == submission_id)
    row = connection.execute(statement.with_for_update() if locked else statement).mappings().first()
    if row is None or row["account_id"] != principal.account_id:
        raise Problem(404, f"you have no submission {submission_id[:40]!r}")
    if row["state"] != State.OPEN:
        raise Problem(409, f"submission {submission_id} is {row['state']}: its bundle cannot be changed", kind="sealed")
    return row


def parts_of(connection: Connection, submission_id: str) -> list[dict[str, Any]]:
    """The parts that have arrived."""
    columns = (UPLOAD_PART.c.number, UPLOAD_PART.c.size, UPLOAD_PART.c.digest)
    statement = sa.select(*columns).where(UPLOAD_PART.c.submission_id == submission_id).order_by(UPLOAD_PART.c.number)
    return [dict(row) for row in connection.execute(statement).mappings()]


def note_part(connection: Connection, submission: RowMapping, number: int, size: int, digest: str) -> None:
    """Note a part that has arrived, in place of an earlier one of that number.

    Raises:
        Problem: 413, the parts are more than the bundle.
    """
    is_it = (UPLOAD_PART.c.submission_id == submission["id"]) & (UPLOAD_PART.c.number == number)
    connection.execute(sa.delete(UPLOAD_PART).where(is_it))
    total = sum(part["size"] for part in parts_of(connection, submission["id"])) + size
    if total > submission["bundle_size"]:
        raise Problem(413, f"the parts have {total} bytes, {submission['bundle_size']} were announced", kind="too-much")
    row = {"submission_id": submission["id"], "number": number, "size": size, "digest": digest}
    connection.execute(sa.insert(UPLOAD_PART).values(row))
    is_here = SUBMISSION.c.id == submission["id"]
    connection.execute(sa.update(SUBMISSION).where(is_here).values(updated_at=now()))


def seal(connection: Connection, principal: Principal, submission_id: str) -> None:
    """Close an upload for good: from now on it is checked, and listed or refused in public.

    Raises:
        Problem: 409, parts are missing, or another submission has sealed the same bundle meanwhile.
    """
    lock_runs(connection)
    row = own_upload(connection, principal, submission_id, locked=True)
    find_upload(connection, principal.account_id, row["bundle_digest"])
    parts = parts_of(connection, submission_id)
    numbers = [part["number"] for part in parts]
    total = sum(part["size"] for part in parts)
    missing = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
    if missing or total != row["bundle_size"]:
        told = f"parts {', '.join(map(str, missing[:10]))} are missing" if missing else f"{total} bytes have arrived"
        raise Problem(409, f"{told} of {row['bundle_size']} bytes: send the rest, then seal", kind="parts-missing",
                      parts=parts)  # fmt: skip
    move(connection, submission_id, State.SEALED, actor=principal.name, come_from=State.OPEN, sealed_at=now())
