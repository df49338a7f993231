"""Tables of those who submit and of what they send: accounts, tokens, submissions, replays, challenges, the log."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field

from vla_bench.results.tables import Table

__all__ = [
    "ACCOUNT", "AUDIT", "CHALLENGE", "DRAW_KEY", "REPLAY", "SUBMISSION", "TOKEN", "UPLOAD_PART", "AccountRow",
    "AuditRow", "ChallengeRow", "DrawKeyRow", "ReplayRow", "SubmissionRow", "TokenRow", "UploadPartRow",
]  # fmt: skip


def _json() -> Any:
    return Field(sa_column=sa.Column(sa.JSON, nullable=False))


def _text() -> Any:
    return Field(sa_column=sa.Column(sa.Text, nullable=False))


def _stamp() -> Any:
    """A moment, UTC, ISO 8601; null where it has not come."""
    return Field(default=None, max_length=40)


class AccountRow(Table, table=True):
    """Who may submit. Times in these tables are UTC, ISO 8601."""

    __tablename__: ClassVar[Any] = "account"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200, unique=True)
    # `submitter` or `maintainer`.
    role: str = Field(max_length=20)
    created_at: str = Field(max_length=40)
    disabled_at: str | None = _stamp()


class TokenRow(Table, table=True):
    """An API token. Only the SHA-256 of its secret is kept, with the id as key."""

    __tablename__: ClassVar[Any] = "token"

    id: str = Field(primary_key=True, max_length=8)
    account_id: int = Field(foreign_key="account.id", index=True)
    secret_sha256: str = Field(max_length=64)
    scopes: list[str] = _json()
    label: str = Field(max_length=200)
    created_at: str = Field(max_length=40)
    expires_at: str | None = _stamp()
    last_used_at: str | None = _stamp()
    revoked_at: str | None = _stamp()


class DrawKeyRow(Table, table=True):
    """A secret that seeds which episodes are replayed. Its commitment is public at once, itself when it is retired."""

    __tablename__: ClassVar[Any] = "draw_key"

    id: int | None = Field(default=None, primary_key=True)
    commitment: str = Field(max_length=64, unique=True)
    secret: str = Field(max_length=128)
    created_at: str = Field(max_length=40)
    retired_at: str | None = _stamp()
    revealed_at: str | None = _stamp()


class SubmissionRow(Table, table=True):
    """A bundle on its way to a board. `run_id` and `board_id` are set when it is listed."""

    __tablename__: ClassVar[Any] = "submission"
    __table_args__ = (
        sa.Index("ix_submission_state_updated_at", "state", "updated_at"),
        sa.Index("ix_submission_policy_digest_plan_hash", "policy_digest", "plan_hash"),
    )

    id: str = Field(primary_key=True, max_length=40)
    account_id: int = Field(foreign_key="account.id", index=True)
    state: str = Field(max_length=20)
    reason: str = _text()
    run_name: str = Field(max_length=200)
    run_id: int | None = Field(default=None, foreign_key="run.id", index=True)
    board_id: int | None = Field(default=None, foreign_key="board.id", index=True)
    policy_digest: str = Field(max_length=64)
    plan_hash: str = Field(max_length=64)
    eval_hash: str = Field(max_length=64)
    bundle_digest: str = Field(max_length=64, index=True)
    bundle_size: int = Field(sa_type=sa.BigInteger)
    declaration: dict[str, Any] = _json()
    draw_key_id: int | None = Field(default=None, foreign_key="draw_key.id")
    created_at: str = Field(max_length=40)
    sealed_at: str | None = _stamp()
    updated_at: str = Field(max_length=40)


class UploadPartRow(Table, table=True):
    """A part of a bundle that has arrived whole."""

    __tablename__: ClassVar[Any] = "upload_part"

    submission_id: str = Field(
        sa_column=sa.Column(sa.String(40), sa.ForeignKey("submission.id", ondelete="CASCADE"), primary_key=True)
    )
    number: int = Field(primary_key=True)
    size: int = Field(sa_type=sa.BigInteger)
    digest: str = Field(max_length=64)


class ReplayRow(Table, table=True):
    """One episode that the server drew to be replayed. This row is the truth, the queue only a bell."""

    __tablename__: ClassVar[Any] = "replay"
    __table_args__ = (
        sa.UniqueConstraint("submission_id", "episode_id", "draw"),
        sa.Index("ix_replay_state_lease_until", "state", "lease_until"),
    )

    id: int | None = Field(default=None, primary_key=True)
    submission_id: str = Field(foreign_key="submission.id", max_length=40)
    run_id: int = Field(foreign_key="run.id", index=True)
    episode_id: str = Field(max_length=16)
    draw: int
    # `queued`, `leased`, `agreed`, `deviated` or `failed`.
    state: str = Field(max_length=20)
    attempt: int
    lease_until: str | None = _stamp()
    worker: str = Field(max_length=200)
    fingerprint: str = Field(max_length=16)
    # `bit` or `outcome`, empty before a report.
    agreement: str = Field(max_length=20)
    detail: str = _text()
    reported_at: str | None = _stamp()


class ChallengeRow(Table, table=True):
    """A plan drawn after a policy was registered, which maintainers run it on."""

    __tablename__: ClassVar[Any] = "challenge"

    id: int | None = Field(default=None, primary_key=True)
    submission_id: str = Field(foreign_key="submission.id", max_length=40, index=True)
    policy_digest: str = Field(max_length=64)
    image_digest: str = Field(max_length=200)
    plan_hash: str = Field(max_length=64)
    seed: int = Field(sa_type=sa.BigInteger)
    issued_by: str = Field(max_length=200)
    issued_at: str = Field(max_length=40)
    run_id: int | None = Field(default=None, foreign_key="run.id", index=True)
    closed_at: str | None = _stamp()


class AuditRow(Table, table=True):
    """The public log. Triggers of both databases refuse to change or delete a row."""

    __tablename__: ClassVar[Any] = "audit"
    __table_args__ = (sa.Index("ix_audit_subject_kind_subject_id", "subject_kind", "subject", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    at: str = Field(max_length=40)
    actor: str = Field(max_length=200)
    action: str = Field(max_length=40)
    subject_kind: str = Field(max_length=40)
    subject: str = Field(max_length=200)
    detail: dict[str, Any] = _json()


def _table(name: str) -> sa.Table:
    return Table.metadata.tables[name]


ACCOUNT, TOKEN, DRAW_KEY = _table("account"), _table("token"), _table("draw_key")
SUBMISSION, UPLOAD_PART = _table("submission"), _table("upload_part")
REPLAY, CHALLENGE, AUDIT = _table("replay"), _table("challenge"), _table("audit")
