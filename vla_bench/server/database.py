"""The results as a service opens them: no statement without a limit, no schema changed in passing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from vla_bench.results.database import Database, Location, locate
from vla_bench.results.faults import database_errors
from vla_bench.results.schema import HEAD, upgrade
from vla_bench.results.store import Store
from vla_bench.results.traces import TraceFolder
from vla_bench.server.settings import Settings
from vla_bench.spec.errors import SchemaMismatch, StoreLocked

__all__ = ["BoardDatabase", "open_store", "revision_of"]

BUSY_S = 10.0
"""How long a request waits for another process that writes; less than a request may take."""
CHECK_EVERY = 20_000
"""Steps of SQLite's virtual machine between two looks at the clock: some milliseconds."""


class BoardDatabase(Database):
    """A database whose reads run side by side, each statement within a time limit."""

    def __init__(self, location: Location, *, statement_s: float) -> None:
        """As `Database`; `statement_s` is the limit of a reading statement, seconds."""
        super().__init__(location, busy_timeout_s=BUSY_S)
        self._statement_s = statement_s

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view for the length of the block.

        Raises:
            StoreLocked: a statement took longer than the limit.
        """
        if self.location.path is None and self.is_sqlite:  # one connection for all threads: in turns
            with super().read() as connection:
                yield connection
            return
        with self._as_ours(), self._engine.begin() as connection, self._limited(connection):
            yield connection

    @contextmanager
    def _as_ours(self) -> Iterator[None]:
        try:
            with database_errors(str(self.location)):
                yield
        except Exception as error:
            if _is_time_limit(error):
                raise StoreLocked(f"a question to the database took longer than {self._statement_s:g} s") from error
            raise

    @contextmanager
    def _limited(self, connection: Connection) -> Iterator[None]:
        if not self.is_sqlite:
            connection.execute(
                sa.text("SELECT set_config('statement_timeout', :ms, true)"), {"ms": str(int(self._statement_s * 1e3))}
            )
            yield
            return
        raw: Any = connection.connection.driver_connection
        end = time.monotonic() + self._statement_s

        def restart(*_: Any) -> None:
            nonlocal end
            end = time.monotonic() + self._statement_s

        sa.event.listen(connection, "before_cursor_execute", restart)
        raw.set_progress_handler(lambda: time.monotonic() > end, CHECK_EVERY)
        try:
            yield
        finally:
            raw.set_progress_handler(None, 0)
            sa.event.remove(connection, "before_cursor_execute", restart)


def open_store(settings: Settings) -> Store:
    """Open the results for the service; an empty database gets its tables, an older one is refused.

    Raises:
        SchemaMismatch: it is older or newer than this version; the message has the line that upgrades it.
        UsageError, StoreError: as `Store.open`.
    """
    location = locate(settings.database)
    database = BoardDatabase(location, statement_s=settings.statement_s)
    try:
        with database.read() as connection:
            found, is_empty = revision_of(connection), not sa.inspect(connection).get_table_names()
        if is_empty:
            upgrade(database)
        elif found != HEAD:
            raise SchemaMismatch(_refusal(location, found))
        return Store(database, TraceFolder(settings.traces or location.traces))
    except BaseException:
        database.close()
        raise


def revision_of(connection: Connection) -> str | None:
    """The migration that a database is at; None where it has none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def _refusal(location: Location, found: str | None) -> str:
    if found is None:
        return f"{location} is not a database of vla-bench. Choose another one with --db."
    if found > HEAD:
        return f"{location} has schema {found}, this version knows up to {HEAD}. Type: pip install --upgrade vla-bench"
    target = str(location.path or location.url.set(drivername="postgresql").render_as_string(hide_password=True))
    return (
        f"{location} has the older schema {found}, this version wants {HEAD}; the service changes none in passing. "
        f"Back it up, then type: python -m vla_bench.results.upgrade '{target}'"
    )


def _is_time_limit(error: Exception) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OperationalError):
            original: Any = cause.orig
            return getattr(original, "sqlstate", None) == "57014" or (
                isinstance(original, sqlite3.OperationalError) and original.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT
            )
        cause = cause.__cause__
    return False
