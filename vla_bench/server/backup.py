"""Backup and restore: one folder for both databases, checked from end to end.

    FOLDER/manifest.json    schema, rows of each table, digest of results.db, digests of the traces
    FOLDER/results.db       every table as SQLite, whatever the board's own database is
    FOLDER/traces/ab/…      the traces, unless only their list was wanted

A backup of SQLite restores into PostgreSQL and the other way round: that is also how a board moves. It holds the keys
of draws and the digests of tokens, so that it wants the same care as the database. Bundles that are being uploaded are
not in it: their owners resume or repeat them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fsspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.database import Database, locate
from vla_bench.results.leaderboard import boards, people
from vla_bench.results.rows import now
from vla_bench.results.schema import HEAD, upgrade
from vla_bench.results.tables import Table
from vla_bench.results.traces import TraceFolder
from vla_bench.server.database import revision_of
from vla_bench.spec.errors import SchemaMismatch, StoreCorrupted, UsageError

__all__ = ["Manifest", "back_up", "restore"]

FORMAT = "vla-bench/backup/1"
IN_BATCH = 2_000
BUSY_S = 30.0
# Importing both modules puts their tables into the one metadata.
assert {boards.BOARD.metadata, people.AUDIT.metadata} == {Table.metadata}
TABLES = Table.metadata.sorted_tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds.

    Attributes:
        made_at: UTC, ISO 8601.
        schema: migration of the tables.
        source: database it was made of, without a password.
        rows: table → number.
        digest: SHA-256 of `results.db`.
        traces: digest → length of the file, bytes.
        has_traces: whether they are in the folder; else this is their list alone.
    """

    made_at: str
    schema: str
    source: str
    rows: Mapping[str, int]
    digest: str
    traces: Mapping[str, int]
    has_traces: bool


def back_up(target: str, folder: Path, *, traces: str = "", with_traces: bool = True) -> Manifest:
    """Copy a board's database, as of one moment, and its traces. It may be in use.

    Args:
        target: the database, as `--db` takes it.
        folder: new or empty.
        traces: folder or object store of the traces; beside the database where empty.
        with_traces: copy them; else only their list is kept.

    Raises:
        UsageError: there is something in the folder already, or no database.
        SchemaMismatch: the database has another schema than this version's.
        StoreError: (a child) it cannot be read.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: name a new folder")
    location = locate(target, read_only=True)
    if location.path is not None and not location.path.exists():
        raise UsageError(f"no database at {location.path}")
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "results.db"
    with closing(Database(location, busy_timeout_s=BUSY_S)) as source:
        rows = _copy_out(source, copy)
    found = _copy_traces(TraceFolder(traces or location.traces), folder / "traces", is_wanted=with_traces)
    manifest = Manifest(
        made_at=now(), schema=HEAD, source=str(location), rows=rows, digest=_digest(copy), traces=found,
        has_traces=with_traces,
    )  # fmt: skip
    content = {"format": FORMAT, **asdict(manifest)}
    (folder / "manifest.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return manifest


def restore(folder: Path, target: str, *, traces: str = "") -> Manifest:
    """Fill an empty database, and the traces, from a backup, in one transaction.

    Args:
        folder: of `back_up`.
        target: a database without tables, SQLite or PostgreSQL.
        traces: folder or object store of the traces; beside the database where empty.

    Raises:
        UsageError: the folder is no backup, or the database is not empty.
        SchemaMismatch: the backup has another schema than this version's.
        StoreCorrupted: the backup is damaged.
        StoreError: (another child) it cannot be written.
    """
    manifest = _read_manifest(folder)
    copy = folder / "results.db"
    if _digest(copy) != manifest.digest:
        raise StoreCorrupted(f"{copy} is not the file that its manifest describes: the backup is damaged")
    location = locate(target)
    with closing(Database(location, busy_timeout_s=BUSY_S)) as database:
        with database.read() as connection:
            if sa.inspect(connection).get_table_names():
                raise UsageError(f"{location} is not empty: a backup is restored into a new database")
        _restore_traces(folder, manifest, TraceFolder(traces or location.traces))
        upgrade(database)
        with closing(Database(locate(copy, read_only=True), busy_timeout_s=BUSY_S)) as source:
            _copy_in(source, database, manifest)
    return manifest


def _copy_out(source: Database, copy: Path) -> dict[str, int]:
    rows: dict[str, int] = {}
    with source.read() as reader:
        if not source.is_sqlite:
            # One moment for all tables, also while others write.
            reader.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if (found := revision_of(reader)) != HEAD:
            raise SchemaMismatch(f"{source.location} has schema {found}, this version backs up {HEAD}")
        with closing(Database(locate(copy), busy_timeout_s=BUSY_S, uses_wal=False)) as target:
            upgrade(target)
            with target.write() as writer:
                for table in TABLES:
                    rows[table.name] = _copy_table(reader, writer, table)
    return rows


def _copy_in(source: Database, target: Database, manifest: Manifest) -> None:
    with source.read() as reader, target.write() as writer:
        for table in TABLES:
            n_rows = _copy_table(reader, writer, table)
            if n_rows != manifest.rows.get(table.name, 0):
                raise StoreCorrupted(
                    f"table {table.name} has {n_rows} rows in the backup, its manifest says {manifest.rows}"
                )
            if not target.is_sqlite:
                _advance(writer, table)


def _copy_table(reader: Connection, writer: Connection, table: sa.Table) -> int:
    """Copy the rows of a table, oldest first: of two rows that refer to each other the older one is the first."""
    order = list(table.primary_key.columns)
    found = reader.execution_options(yield_per=IN_BATCH).execute(sa.select(table).order_by(*order)).mappings()
    n_rows = 0
    for batch in found.partitions(IN_BATCH):
        writer.execute(sa.insert(table), [dict(row) for row in batch])
        n_rows += len(batch)
    return n_rows


def _advance(writer: Connection, table: sa.Table) -> None:
    """PostgreSQL counts ids by itself: the next one comes after those that were copied."""
    column = table.autoincrement_column
    if column is None:
        return
    sequence = writer.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, column.name)))
    last = writer.scalar(sa.select(sa.func.max(column)))
    if sequence and last:
        writer.execute(sa.select(sa.func.setval(sequence, last)))


def _copy_traces(source: TraceFolder, folder: Path, *, is_wanted: bool) -> dict[str, int]:
    found: dict[str, int] = {}
    filesystem, root = fsspec.core.url_to_fs(source.url)
    if not filesystem.exists(root):
        return found
    for path, info in filesystem.find(root, detail=True).items():
        name = path.rpartition("/")[2]
        if not name.endswith(".trace.zst") or name.startswith("."):
            continue
        digest = name.removesuffix(".trace.zst")
        found[digest] = int(info["size"])
        if is_wanted:
            target = folder / digest[:2] / name
            target.parent.mkdir(parents=True, exist_ok=True)
            filesystem.get_file(path, str(target))
    return dict(sorted(found.items()))


def _restore_traces(folder: Path, manifest: Manifest, target: TraceFolder) -> None:
    if not manifest.has_traces:
        missing = [digest for digest in manifest.traces if not target.has(digest)]
        if missing:
            raise UsageError(
                f"the backup has only the list of its {len(manifest.traces)} traces, and {len(missing)} of them are "
                f"not in {target.url}: copy them there first"
            )
        return
    source = TraceFolder(folder / "traces")
    for digest in manifest.traces:
        target.copy_from(source, digest)


def _read_manifest(folder: Path) -> Manifest:
    try:
        content: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        manifest = Manifest(**content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder} is no backup of this kind ({FORMAT}): {error}") from error
    if manifest.schema != HEAD:
        raise SchemaMismatch(
            f"the backup has schema {manifest.schema}, this version restores {HEAD}: restore it with the version that "
            "made it, then upgrade the database"
        )
    return manifest


def _digest(path: Path) -> str:
    if not path.exists():
        raise StoreCorrupted(f"{path} is missing from the backup")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
