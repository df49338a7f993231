"""The one seam where database and file errors become errors of ours, each with its way out."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from vla_bench.spec.errors import (
    SchemaMismatch,
    StoreCorrupted,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnreachable,
)

__all__ = ["database_errors", "file_errors", "way_out"]

_KEPT = "Finished episodes are kept; the same command goes on."
_WAY_OUT: dict[type[StoreError], str] = {
    StoreFull: f"Free some space (or lift the quota or file-size limit), or choose another place with --db. {_KEPT}",
    StoreLocked: f"Another process holds it: wait for it or stop it. {_KEPT}",
    StoreReadOnly: "Make it writable for this user, or choose another place with --db.",
    StoreCorrupted: (
        "Move it away and run anew, or save what can be read: sqlite3 DAMAGED.db .recover | sqlite3 RESCUED.db"
    ),
    SchemaMismatch: "Use the version of vla-bench that wrote it, or choose another database with --db.",
    StoreUnreachable: f"Check the URL, the password and that the server runs. {_KEPT}",
    StoreError: _KEPT,
}

_SQLITE = {
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_BUSY: StoreLocked,
    sqlite3.SQLITE_LOCKED: StoreLocked,
    sqlite3.SQLITE_PROTOCOL: StoreLocked,
    sqlite3.SQLITE_READONLY: StoreReadOnly,
    sqlite3.SQLITE_PERM: StoreReadOnly,
    sqlite3.SQLITE_CANTOPEN: StoreReadOnly,
    sqlite3.SQLITE_CORRUPT: StoreCorrupted,
    sqlite3.SQLITE_NOTADB: StoreCorrupted,
    sqlite3.SQLITE_FORMAT: StoreCorrupted,
    # A refused write: over quota or past RLIMIT_FSIZE. SQLite reserves SQLITE_FULL for ENOSPC.
    sqlite3.SQLITE_IOERR_WRITE: StoreFull,
    sqlite3.SQLITE_IOERR_SHMSIZE: StoreFull,
    sqlite3.SQLITE_IOERR_TRUNCATE: StoreFull,
    # A page that is not there: the file was cut short.
    sqlite3.SQLITE_IOERR_SHORT_READ: StoreCorrupted,
    sqlite3.SQLITE_IOERR_CORRUPTFS: StoreCorrupted,
}

_POSTGRES = {
    "53100": StoreFull,
    "55P03": StoreLocked,
    "40P01": StoreLocked,
    "40001": StoreLocked,
    "57014": StoreLocked,
    "25006": StoreReadOnly,
    "42501": StoreReadOnly,
    "XX001": StoreCorrupted,
    "XX002": StoreCorrupted,
    "42P01": SchemaMismatch,
    "42703": SchemaMismatch,
    "3D000": StoreUnreachable,
}
_POSTGRES_CLASSES = {"08": StoreUnreachable, "28": StoreUnreachable, "57": StoreUnreachable, "53": StoreUnreachable}

_ERRNO = {
    errno.ENOSPC: StoreFull,
    errno.EDQUOT: StoreFull,
    errno.EFBIG: StoreFull,
    errno.EROFS: StoreReadOnly,
    errno.EACCES: StoreReadOnly,
    errno.EPERM: StoreReadOnly,
    errno.ENOTDIR: StoreReadOnly,
    errno.EEXIST: StoreReadOnly,
    errno.EISDIR: StoreReadOnly,
}


@contextmanager
def database_errors(where: str) -> Iterator[None]:
    """Map what SQLAlchemy and the drivers raise inside the block.

    Args:
        where: the database for people, without a password.

    Raises:
        StoreError: (a child) with the driver's own words and the way out.
    """
    try:
        yield
    except DBAPIError as error:
        raise _mapped(where, error.orig, error.connection_invalidated) from error
    except sqlite3.Error as error:
        raise _mapped(where, error, False) from error
    except json.JSONDecodeError as error:
        # Only the database's own columns are decoded inside these blocks.
        raise StoreCorrupted(f"{where}: a JSON value is damaged: {error}. {_WAY_OUT[StoreCorrupted]}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"{where}: {_first_line(error)}. {_WAY_OUT[StoreError]}") from error


@contextmanager
def file_errors(where: str) -> Iterator[None]:
    """Map what the operating system says about files inside the block.

    Raises:
        StoreFull, StoreReadOnly, StoreError: no room; no permission; anything else.
    """
    try:
        yield
    except OSError as error:
        kind = _ERRNO.get(error.errno or 0, StoreError)
        raise kind(f"{where}: {error.strerror or error}. {_WAY_OUT[kind]}") from error


def way_out(kind: type[StoreError]) -> str:
    """What the user can do about a fault of this kind."""
    return _WAY_OUT[kind]


def _mapped(where: str, error: Any, is_disconnected: bool) -> StoreError:
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        kind = _SQLITE.get(code) or _SQLITE.get(code & 0xFF) or StoreError
        if "no such table" in str(error) or "no such column" in str(error):
            kind = SchemaMismatch
    else:
        state = getattr(error, "sqlstate", None) or ""
        # psycopg has no code for a connection that never came about or broke.
        fallback = StoreUnreachable if is_disconnected or not state else StoreError
        kind = _POSTGRES.get(state) or _POSTGRES_CLASSES.get(state[:2]) or fallback
    return kind(f"{where}: {_first_line(error)}. {_WAY_OUT[kind]}")


def _first_line(error: Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
