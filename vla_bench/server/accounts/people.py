"""Accounts and their tokens in the database. Each function takes an open connection inside a transaction."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.leaderboard.people import ACCOUNT, TOKEN
from vla_bench.results.rows import now
from vla_bench.server.accounts.tokens import Token, digest_of, is_secret, new_token
from vla_bench.server.audit import write_audit
from vla_bench.spec.errors import UsageError
from vla_bench.spec.names import near_matches

__all__ = [
    "Principal", "Role", "Scope", "authenticate", "create_account", "create_token", "disable_account", "find_account",
    "list_accounts", "list_tokens", "principal_of_token", "revoke_token", "touch_token",
]  # fmt: skip

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,38}[a-z0-9]")
TOUCH_EVERY = timedelta(minutes=1)
"""A token's last use is written this often at most: reading is not to cost a write."""


class Role(enum.StrEnum):
    """Who somebody is."""

    SUBMITTER = "submitter"
    MAINTAINER = "maintainer"


class Scope(enum.StrEnum):
    """What a token may do."""

    SUBMIT = "submit"
    REPLAY = "replay"
    ADMIN = "admin"


SCOPES_OF = {Role.SUBMITTER: {Scope.SUBMIT}, Role.MAINTAINER: set(Scope)}
"""What tokens of a role can be given. The role counts again at every request: a demoted account's tokens shrink."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks.

    Attributes:
        account_id, name, role: of the account.
        scopes: what the token may do, within what the role allows.
        token_id: the 8 characters that a token is known by.
    """

    account_id: int
    name: str
    role: Role
    scopes: frozenset[Scope]
    token_id: str


def create_account(connection: Connection, name: str, role: Role = Role.SUBMITTER, *, actor: str) -> int:
    """Make an account and return its id.

    Raises:
        UsageError: the name is taken or not of the form.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"an account's name has 3 to 40 small letters, digits and . _ - between them, not {name!r}")
    if connection.scalar(sa.select(ACCOUNT.c.id).where(ACCOUNT.c.name == name)) is not None:
        raise UsageError(f"there is an account {name!r} already")
    values = {"name": name, "role": str(role), "created_at": now(), "disabled_at": None}
    made = connection.execute(sa.insert(ACCOUNT).values(values).returning(ACCOUNT.c.id)).scalar_one()
    write_audit(connection, actor, "account_created", "account", name, {"role": str(role)})
    return int(made)


def find_account(connection: Connection, name: str) -> RowMapping:
    """The row of an account.

    Raises:
        UsageError: there is none of that name.
    """
    row = connection.execute(sa.select(ACCOUNT).where(ACCOUNT.c.name == name)).mappings().first()
    if row is None:
        near = near_matches(name, list(connection.scalars(sa.select(ACCOUNT.c.name))))
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"no account {name!r}.{hint} See `vla-bench leaderboard account list`.")
    return row


def disable_account(connection: Connection, name: str, *, actor: str) -> None:
    """Close an account: its tokens are worth nothing from now on. What it submitted stays."""
    row = find_account(connection, name)
    connection.execute(sa.update(ACCOUNT).where(ACCOUNT.c.id == row["id"]).values(disabled_at=now()))
    write_audit(connection, actor, "account_disabled", "account", name, {})


def list_accounts(connection: Connection) -> list[dict[str, Any]]:
    """All accounts by name, each with its number of tokens that work."""
    is_live = sa.and_(TOKEN.c.account_id == ACCOUNT.c.id, TOKEN.c.revoked_at.is_(None))
    statement = (
        sa.select(ACCOUNT, sa.func.count(TOKEN.c.id).label("n_tokens"))
        .outerjoin(TOKEN, is_live)
        .group_by(ACCOUNT.c.id)
        .order_by(ACCOUNT.c.name)
    )
    return [dict(row) for row in connection.execute(statement).mappings()]


def create_token(
    connection: Connection,
    account: str,
    scopes: Iterable[Scope],
    *,
    label: str = "",
    valid_for: timedelta | None = None,
    actor: str,
) -> Token:
    """Make a token. It is returned once and cannot be read again.

    Raises:
        UsageError: no such account, it is disabled, or its role does not allow a scope.
    """
    row = find_account(connection, account)
    if row["disabled_at"]:
        raise UsageError(f"account {account!r} is disabled")
    wanted = sorted(set(scopes))
    if not wanted:
        raise UsageError(f"a token has at least one scope: {', '.join(Scope)}")
    if beyond := [scope for scope in wanted if scope not in SCOPES_OF[Role(row["role"])]]:
        raise UsageError(f"account {account!r} is a {row['role']}: its tokens cannot have scope {', '.join(beyond)}")
    token = new_token()
    values = {
        "id": token.id,
        "account_id": row["id"],
        "secret_sha256": digest_of(token),
        "scopes": [str(scope) for scope in wanted],
        "label": label[:200],
        "created_at": now(),
        "expires_at": None if valid_for is None else _stamp(datetime.now(UTC) + valid_for),
    }
    connection.execute(sa.insert(TOKEN).values(values))
    write_audit(connection, actor, "token_created", "account", account, {"token": token.id, "scopes": values["scopes"]})
    return token


def revoke_token(connection: Connection, token_id: str, *, actor: str, account_id: int | None = None) -> None:
    """Make a token worthless at once.

    Args:
        connection: inside a write transaction.
        token_id: its 8 characters.
        actor: who does it.
        account_id: whose token it must be; None for anybody's.

    Raises:
        UsageError: there is no such token.
    """
    row = connection.execute(sa.select(TOKEN).where(TOKEN.c.id == token_id)).mappings().first()
    if row is None or account_id not in (None, row["account_id"]):
        raise UsageError(f"no token {token_id!r}. See `vla-bench leaderboard token list`.")
    if row["revoked_at"] is None:
        connection.execute(sa.update(TOKEN).where(TOKEN.c.id == token_id).values(revoked_at=now()))
        name = connection.scalar(sa.select(ACCOUNT.c.name).where(ACCOUNT.c.id == row["account_id"]))
        write_audit(connection, actor, "token_revoked", "account", str(name), {"token": token_id})


def list_tokens(connection: Connection, account_id: int | None = None) -> list[dict[str, Any]]:
    """Tokens, without what is kept of their secrets, the newest first."""
    columns = [column for column in TOKEN.c if column.name != "secret_sha256"]
    statement = sa.select(*columns, ACCOUNT.c.name.label("account")).join(ACCOUNT, ACCOUNT.c.id == TOKEN.c.account_id)
    if account_id is not None:
        statement = statement.where(TOKEN.c.account_id == account_id)
    ordered = statement.order_by(TOKEN.c.created_at.desc(), TOKEN.c.id)
    return [dict(row) for row in connection.execute(ordered).mappings()]


def authenticate(connection: Connection, token: Token) -> tuple[Principal, bool] | None:
    """Who a token belongs to, and whether its last use is to be noted; None where it is worth nothing."""
    row = _row(connection, token.id)
    # The secret is compared in every case, so that an unknown id takes as long as a wrong secret.
    matches = is_secret(token, row["secret_sha256"] if row is not None else "")
    return _principal(row) if row is not None and matches else None


def principal_of_token(connection: Connection, token_id: str) -> Principal | None:
    """Who signed in with a token; None where that token is worth nothing any more."""
    row = _row(connection, token_id)
    found = _principal(row) if row is not None else None
    return found[0] if found else None


def touch_token(connection: Connection, token_id: str) -> None:
    """Note that a token is in use."""
    connection.execute(sa.update(TOKEN).where(TOKEN.c.id == token_id).values(last_used_at=now()))


def _row(connection: Connection, token_id: str) -> RowMapping | None:
    columns: Sequence[Any] = (TOKEN, ACCOUNT.c.name, ACCOUNT.c.role, ACCOUNT.c.disabled_at)
    joined = sa.select(*columns).join(ACCOUNT, ACCOUNT.c.id == TOKEN.c.account_id).where(TOKEN.c.id == token_id)
    return connection.execute(joined).mappings().first()


def _principal(row: RowMapping) -> tuple[Principal, bool] | None:
    present = now()
    if row["revoked_at"] or row["disabled_at"] or (row["expires_at"] and row["expires_at"] <= present):
        return None
    role = Role(row["role"])
    scopes = frozenset(Scope(scope) for scope in row["scopes"]) & SCOPES_OF[role]
    used = row["last_used_at"]
    is_due = not used or datetime.fromisoformat(present) - datetime.fromisoformat(used) >= TOUCH_EVERY
    principal = Principal(
        account_id=row["account_id"], name=row["name"], role=role, scopes=frozenset(scopes), token_id=row["id"]
    )
    return principal, is_due


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
