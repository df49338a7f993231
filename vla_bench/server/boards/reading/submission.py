"""A submission as everybody may see it, and the public log."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.database import Database
from vla_bench.results.leaderboard.boards import BOARD, BOARD_ROW
from vla_bench.results.leaderboard.people import ACCOUNT, AUDIT, CHALLENGE, DRAW_KEY, REPLAY, SUBMISSION
from vla_bench.server.boards.reading.cursor import decode_number, encode, etag_of
from vla_bench.server.boards.reading.shape import row_of, row_statement
from vla_bench.server.boards.views import LogEntry, LogPage, SubmissionPage
from vla_bench.spec.errors import NotListed, UsageError

__all__ = ["log_page", "submission_page"]

MOST_ENTRIES, MOST_OWN = 500, 200

_WITH_NUMBERS = ("listed", "auditing", "replayed", "disputed", "re-running", "re-run", "retracted", "withdrawn")
"""States in which a submission counts as a look at the plan: uploads and refusals show nobody a number."""
_OPEN, _OPENED = "open", "submission_open"


def submission_page(database: Database, submission_id: str, *, reader: str) -> SubmissionPage:
    """See `vla_bench.server.boards.read`."""
    with database.read() as connection:
        statement = (
            sa.select(SUBMISSION, ACCOUNT.c.name.label("account"), DRAW_KEY.c.commitment, BOARD.c.slug)
            .join(ACCOUNT, ACCOUNT.c.id == SUBMISSION.c.account_id)
            .outerjoin(DRAW_KEY, DRAW_KEY.c.id == SUBMISSION.c.draw_key_id)
            .outerjoin(BOARD, BOARD.c.id == SUBMISSION.c.board_id)
            .where(SUBMISSION.c.id == submission_id)
        )
        found = connection.execute(statement).mappings().first()
        if found is None or (found["state"] == _OPEN and found["account"] != reader):
            raise NotListed(f"this leaderboard has no submission {submission_id[:80]!r}")
        row = None
        if found["run_id"] is not None and found["state"] in _WITH_NUMBERS:
            listed = row_statement().where(BOARD_ROW.c.run_id == found["run_id"])
            row = connection.execute(listed).mappings().first()
        counted = sa.select(REPLAY.c.state, sa.func.count().label("n")).where(REPLAY.c.submission_id == submission_id)
        replays = {row.state: row.n for row in connection.execute(counted.group_by(REPLAY.c.state))}
        challenges = connection.execute(
            sa.select(CHALLENGE).where(CHALLENGE.c.submission_id == submission_id).order_by(CHALLENGE.c.id)
        ).mappings().all()  # fmt: skip
        n_siblings = connection.scalar(
            sa.select(sa.func.count())
            .select_from(SUBMISSION)
            .where(
                SUBMISSION.c.policy_digest == found["policy_digest"],
                SUBMISSION.c.plan_hash == found["plan_hash"],
                SUBMISSION.c.state.in_(_WITH_NUMBERS),
            )
        )  # fmt: skip
        own = (AUDIT.c.subject_kind == "submission", AUDIT.c.subject == submission_id)
        log = connection.execute(sa.select(AUDIT).where(*own).order_by(AUDIT.c.id).limit(MOST_OWN)).mappings().all()
    same = (
        "id", "account", "state", "reason", "run_name", "run_id", "policy_digest", "plan_hash", "eval_hash",
        "bundle_digest", "bundle_size", "declaration", "created_at", "updated_at",
    )  # fmt: skip
    return SubmissionPage(
        **{name: found[name] for name in same},
        row=row_of(row) if row else None,
        board=found["slug"] or "",
        sealed_at=found["sealed_at"] or "",
        commitment=found["commitment"] or "",
        replays=replays,
        challenges=tuple(_challenge(each) for each in challenges),
        n_siblings=n_siblings or 0,
        log=tuple(_entry(entry) for entry in log),
        etag=etag_of(submission_id, found["updated_at"], found["state"], replays, len(log), len(challenges)),
    )


def log_page(database: Database, *, subject_kind: str, subject: str, after: str, size: int) -> LogPage:
    """See `vla_bench.server.boards.read`."""
    if not 1 <= size <= MOST_ENTRIES:
        raise UsageError(f"a page has 1 to {MOST_ENTRIES} lines, not {size}")
    if bool(subject) > bool(subject_kind):
        raise UsageError("a subject is named with its kind: ?subject_kind=submission&subject=…")
    # What is not sealed is nobody's business yet; its seal is the first line.
    wanted = sa.select(AUDIT).where(AUDIT.c.action != _OPENED).order_by(AUDIT.c.id.desc()).limit(size + 1)
    if subject_kind and subject:
        wanted = wanted.where(AUDIT.c.subject_kind == subject_kind, AUDIT.c.subject == subject)
    elif subject_kind:
        wanted = wanted.where(AUDIT.c.subject_kind == subject_kind)
    if after:
        wanted = wanted.where(AUDIT.c.id < decode_number(after))
    with database.read() as connection:
        entries, newest = _page(connection, wanted)
    return LogPage(
        entries=tuple(entries[:size]),
        next_after=encode(entries[size - 1].id) if len(entries) > size else "",
        etag=etag_of("log", newest, subject_kind, subject, after, size),
    )


def _page(connection: Connection, wanted: sa.Select[tuple[object, ...]]) -> tuple[list[LogEntry], int | None]:
    newest = connection.scalar(sa.select(sa.func.max(AUDIT.c.id)))
    return [_entry(entry) for entry in connection.execute(wanted).mappings()], newest


def _entry(row: RowMapping) -> LogEntry:
    names = ("id", "at", "actor", "action", "subject_kind", "subject", "detail")
    return LogEntry(**{name: row[name] for name in names})


def _challenge(row: RowMapping) -> dict[str, object]:
    """Without the seed until it is closed: who knows it knows the plan."""
    names = ("id", "plan_hash", "image_digest", "issued_by", "issued_at", "run_id", "closed_at")
    return {name: row[name] for name in names} | ({"seed": row["seed"]} if row["closed_at"] else {})
