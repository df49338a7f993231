"""Where results lie and how they are reached: a path or a URL becomes an engine with safe settings."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import platformdirs
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from vla_bench.results.faults import database_errors, file_errors, way_out
from vla_bench.spec.errors import MissingExtra, StoreCorrupted, StoreReadOnly, UsageError

__all__ = ["Database", "Location", "data_home", "locate"]

CONNECT_TIMEOUT_S = 10
_FORMS = "Give a path, sqlite:///PATH or postgresql://USER@HOST/NAME."


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where a database is.

    Attributes:
        url: for SQLAlchemy, with the driver.
        path: of the file; None for a server or for memory.
        is_read_only: the caller or the file system allows no writing.
        traces: URL of the trace folder that belongs to it.
        label: how it is named to people; empty for its path or URL.
        way_out: what to do when it cannot be written.
    """

    url: URL
    path: Path | None
    is_read_only: bool
    traces: str
    label: str = ""
    way_out: str = "Make it writable, or choose another with --db."

    def __str__(self) -> str:
        return self.label or str(self.path) if self.path else self.url.render_as_string(hide_password=True)


def data_home() -> Path:
    """`VLA_BENCH_HOME`, or the user's data folder of the platform."""
    chosen = os.environ.get("VLA_BENCH_HOME") or platformdirs.user_data_dir("vla-bench", appauthor=False)
    return Path(chosen).expanduser()


def locate(target: str | Path = "", *, read_only: bool = False) -> Location:
    """Understand `--db`: a path, a folder, a URL, or nothing for `results.db` in `data_home()`.

    Raises:
        UsageError: it is none of these.
    """
    text = str(target) or str(data_home() / "results.db")
    if "://" not in text:
        return _file(Path(text).expanduser(), read_only)
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(f"not a database: {text!r}. {_FORMS}") from error
    if backend == "sqlite":
        name = url.database or ""
        if name in ("", ":memory:"):
            return Location(url=URL.create("sqlite"), path=None, is_read_only=False, traces=_memory_folder())
        path = Path(unquote(name.removeprefix("file:")) if name.startswith("file:") else name)
        return _file(path, read_only or url.query.get("mode") == "ro")
    if backend in ("postgres", "postgresql"):
        folder = data_home() / f"{url.database or 'postgresql'}-traces"
        return Location(
            url=url.set(drivername="postgresql+psycopg"), path=None, is_read_only=read_only, traces=str(folder)
        )
    raise UsageError(f"results are kept in SQLite or PostgreSQL, not in {backend}. {_FORMS}")


def _file(path: Path, read_only: bool) -> Location:
    path = path.absolute() / "results.db" if path.is_dir() else path.absolute()
    read_only = read_only or (path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)))
    url = URL.create("sqlite", database=str(path))
    if read_only:
        query = {"mode": "ro", "uri": "true"}
        if not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists():
            # SQLite wants to create its shared-memory file beside a WAL database even to read it.
            query["immutable"] = "1"
        url = URL.create("sqlite", database=f"file:{quote(str(path))}", query=query)
    return Location(url=url, path=path, is_read_only=read_only, traces=str(path.with_name(f"{path.stem}-traces")))


def _memory_folder() -> str:
    return f"memory://vla-bench-{os.getpid()}-{time.monotonic_ns()}"


class Database:
    """An engine whose transactions are explicit and whose errors are ours."""

    def __init__(self, location: Location, *, busy_timeout_s: float, uses_wal: bool = True) -> None:
        """Prepare the engine and the folder of a file; connections are made when needed.

        Args:
            location: see `locate`.
            busy_timeout_s: how long to wait for another process that writes.
            uses_wal: write-ahead log; False where shared memory does not work (network file systems).

        Raises:
            UsageError: the file is to be read and is not there.
            MissingExtra: the driver is not installed.
            StoreError: (a child) the file's folder cannot be made, or the file cannot be opened.
        """
        self.location = location
        self.is_sqlite = location.url.get_backend_name() == "sqlite"
        self._busy_timeout_s = busy_timeout_s
        # One connection serves all threads of an in-memory database; for the others this orders our own threads.
        self._lock = threading.RLock()
        if location.path and location.is_read_only and not location.path.exists():
            raise UsageError(f"no database at {location.path}. See `vla-bench runs --db PATH`.")
        if location.path and not location.is_read_only:
            with file_errors(f"folder {location.path.parent}"):
                location.path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = self._make_engine()
        if location.path and not location.is_read_only:
            self._set_journal("wal" if uses_wal else "delete")

    def _make_engine(self) -> Engine:
        if self.is_sqlite:
            pool: dict[str, Any] = {} if self.location.path else {"poolclass": StaticPool}
            engine = sa.create_engine(
                self.location.url,
                connect_args={"timeout": self._busy_timeout_s, "check_same_thread": False},
                json_serializer=_json_text,
                json_deserializer=_json_value,
                **pool,
            )
            sa.event.listen(engine, "connect", _configure_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
            return engine
        options = f"-c lock_timeout={int(self._busy_timeout_s * 1000)} -c application_name=vla-bench"
        try:
            return sa.create_engine(
                self.location.url,
                # Said outright: a database made in the C locale has no encoding, and its texts would come as bytes.
                connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "options": options, "client_encoding": "utf8"},
                json_serializer=_json_text,
                json_deserializer=_json_value,
                pool_pre_ping=True,
            )
        except ImportError as error:
            raise MissingExtra("PostgreSQL", "postgres") from error

    def _set_journal(self, mode: str) -> None:
        """Set the journal mode: SQLite refuses at once, without its busy wait, while another process has the file."""
        end = time.monotonic() + self._busy_timeout_s
        while True:
            with database_errors(str(self.location)), self._engine.connect() as connection:
                raw: Any = connection.connection.driver_connection
                try:
                    if raw.execute("PRAGMA journal_mode").fetchone()[0] != mode:
                        raw.execute(f"PRAGMA journal_mode={mode}")
                    return
                except raw.OperationalError as error:
                    if "locked" not in str(error) or time.monotonic() > end:
                        raise
            time.sleep(0.05)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view for the length of the block."""
        with self._lock, database_errors(str(self.location)), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: on disk when the block ends, undone when it raises.

        Raises:
            StoreReadOnly: this database was opened for reading.
        """
        if self.location.is_read_only:
            raise StoreReadOnly(f"{self.location}: open for reading only. {self.location.way_out}")
        with self._lock, database_errors(str(self.location)), self._engine.connect() as connection:
            writer = connection.execution_options(is_writer=True)
            with writer.begin():
                yield writer

    def check_integrity(self) -> None:
        """Look for damaged pages of a SQLite file; a server looks after itself.

        Raises:
            StoreCorrupted: there are some.
        """
        if self.location.path is None:
            return
        with self.read() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise StoreCorrupted(f"{self.location}: {found}. {way_out(StoreCorrupted)}")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _json_text(value: Any) -> str:
    # Most columns of most attempts are empty: flags, facts, stages.
    return ("[]" if type(value) is list else "{}") if type(value) in (list, dict) and not value else json.dumps(value)


def _json_value(text: str | bytes) -> Any:
    if len(text) == 2:
        if text in ("[]", b"[]"):
            return []
        if text in ("{}", b"{}"):
            return {}
    return json.loads(text)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # Python's driver would begin transactions by itself, and late: `_begin_sqlite` does it.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    # In WAL mode NORMAL survives a killed process and loses the last transactions at a power cut; FULL syncs at every
    # commit, so that an episode that `add` returned for is on disk. An episode takes seconds, a sync milliseconds.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and then writes can only fail, not wait, when another one wrote in between.
    is_writer = connection.get_execution_options().get("is_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")
