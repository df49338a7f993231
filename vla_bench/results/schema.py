"""The schema of a database: made when it is new, brought up to date when it is old, refused when it is newer.

An older SQLite file is upgraded at opening, after a copy of it was put beside it. An older PostgreSQL database is
refused with the line that upgrades it: others may still use it with the older version.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.database import Database
from vla_bench.results.faults import database_errors
from vla_bench.results.tables import REVISION
from vla_bench.spec.errors import SchemaMismatch

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["alembic_config", "prepare_schema", "upgrade"]

HEAD = REVISION
MIGRATIONS = Path(__file__).parent / "migrations"
VERSIONS: tuple[Path, ...] = (MIGRATIONS / "versions",)


def prepare_schema(database: Database) -> list[str]:
    """Bring a database to the schema of this version, or refuse.

    Returns:
        What the user should know: that the file was upgraded and where the copy is.

    Raises:
        SchemaMismatch: it is newer, of another program, or older and not ours to upgrade.
    """
    with database.read() as connection:
        if _revision(connection) == HEAD:
            return []
        if not _tables(connection) and database.location.is_read_only:
            raise SchemaMismatch(f"{database.location} is empty: no run has been stored in it.")
    if database.location.is_read_only:
        raise SchemaMismatch(_refusal(database, None))
    return upgrade(database, may_upgrade_server=False)


def upgrade(database: Database, *, may_upgrade_server: bool = True) -> list[str]:
    """Create the tables of an empty database, or upgrade an older one in one transaction.

    Raises:
        SchemaMismatch: as for `prepare_schema`.
    """
    notices: list[str] = []
    with database.write() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7649035)")
        # Another process may have been first while this one waited for the lock.
        revision = _revision(connection)
        if revision == HEAD:
            return []
        if revision is None and _tables(connection):
            raise SchemaMismatch(f"{database.location} is not a database of vla-bench. Choose another one with --db.")
        if revision is not None:
            _check_is_older(database, revision)
            if not database.is_sqlite and not may_upgrade_server:
                raise SchemaMismatch(_refusal(database, revision))
            copy = _copy(database, revision)
            kept = f"; the database as it was is kept in {copy}" if copy else ""
            notices.append(f"{database.location}: schema upgraded from {revision} to {HEAD}{kept}")
        from alembic import command

        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return notices


def alembic_config() -> Config:
    """Alembic's configuration of our one history; put an open connection into `attributes["connection"]`."""
    from alembic.config import Config

    config = Config()
    # A percent sign in a path is an interpolation to the parser.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(str(path).replace("%", "%%") for path in VERSIONS))
    return config


def _revision(connection: Connection) -> str | None:
    if "alembic_version" not in _tables(connection):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def _tables(connection: Connection) -> list[str]:
    return sa.inspect(connection).get_table_names()


def _check_is_older(database: Database, revision: str) -> None:
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        ScriptDirectory.from_config(alembic_config()).get_revision(revision)
    except CommandError as error:
        raise SchemaMismatch(
            f"{database.location} has schema {revision}, this version of vla-bench knows up to {HEAD}: a newer version "
            "wrote it. Type: pip install --upgrade vla-bench"
        ) from error


def _refusal(database: Database, revision: str | None) -> str:
    if database.is_sqlite:
        return (
            f"{database.location} has another schema than {HEAD} and is open for reading only. To upgrade it, make it "
            f"writable and type: vla-bench runs --db '{database.location}'"
        )
    url = database.location.url.set(drivername="postgresql").render_as_string(hide_password=True)
    return (
        f"{database.location} has the older schema {revision}, this version of vla-bench wants {HEAD}. "
        f"When nobody uses it with the older version any more, type: python -m vla_bench.results.upgrade '{url}'"
    )


def _copy(database: Database, revision: str) -> Path | None:
    """Copy a SQLite file beside itself while our transaction keeps writers out; None where there is no file."""
    path = database.location.path
    if path is None:
        return None
    target = path.with_name(f"{path.name}.schema-{revision}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.schema-{revision}-{number}")
    try:
        with (
            database_errors(str(target)),
            closing(sqlite3.connect(path)) as source,
            closing(sqlite3.connect(target)) as destination,
        ):
            source.backup(destination)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target
