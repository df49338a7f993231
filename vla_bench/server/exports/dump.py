"""The public tables as files that any program reads: so that the data outlives the service."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vla_bench.results.database import Database
from vla_bench.results.leaderboard.boards import BOARD, BOARD_PAIR, BOARD_ROW, TASK_CELL
from vla_bench.results.leaderboard.people import AUDIT, CHALLENGE, REPLAY, SUBMISSION
from vla_bench.server.exports.sheets import Sheet
from vla_bench.server.exports.writing import to_csv
from vla_bench.spec.canonical import canonical_json

__all__ = ["PUBLIC", "dump_tables"]

IN_BATCH = 5_000
PUBLIC = (BOARD, BOARD_ROW, BOARD_PAIR, TASK_CELL, SUBMISSION, REPLAY, CHALLENGE, AUDIT)
"""What everybody may see. Accounts, tokens and the keys of draws stay."""
_HIDDEN = {"account_id", "draw_key_id", "vector", "seed"}
"""Columns that mean nothing without what stays, that are binary, or that are secret still (a challenge's seed)."""

_UNSEALED = {SUBMISSION: SUBMISSION.c.state != "open", AUDIT: AUDIT.c.action != "submission_open"}
"""Of these tables only what this lets pass: an upload is nobody's business before its seal."""


def dump_tables(database: Database, folder: Path) -> dict[str, int]:
    """Write each public table as CSV and Parquet, and all of them as one file of SQL.

    Args:
        database: of the board.
        folder: made where it is not there; files in it are replaced.

    Returns:
        Table → rows.

    Raises:
        StoreError: (a child) the database cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    with database.read() as connection, closing(sqlite3.connect(":memory:")) as memory:
        for table in PUBLIC:
            columns = [column for column in table.columns if column.name not in _HIDDEN]
            sheet = _sheet(connection, table, columns)
            counts[table.name] = len(sheet.rows)
            (folder / f"{table.name}.csv").write_text(to_csv(sheet), encoding="utf-8")
            _write_parquet(sheet, folder / f"{table.name}.parquet")
            _insert(memory, table.name, sheet)
        memory.commit()
        (folder / "board.sql").write_text("\n".join(memory.iterdump()) + "\n", encoding="utf-8")
    return counts


def _sheet(connection: sa.Connection, table: sa.Table, columns: list[sa.Column[Any]]) -> Sheet:
    asked = sa.select(*columns).order_by(*table.primary_key.columns)
    if table in _UNSEALED:
        asked = asked.where(_UNSEALED[table])
    found = connection.execution_options(yield_per=IN_BATCH).execute(asked)
    rows = tuple(tuple(_plain(value) for value in row) for row in found)
    return Sheet(columns=tuple(column.name for column in columns), rows=rows)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else canonical_json(value)


def _write_parquet(sheet: Sheet, path: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return  # CSV and SQL say the same
    columns = list(_columns(sheet))
    arrays = [pa.array(values) for values in columns]
    pq.write_table(pa.table(arrays, names=list(sheet.columns)), path)


def _columns(sheet: Sheet) -> Iterator[list[Any]]:
    for index in range(len(sheet.columns)):
        values = [row[index] for row in sheet.rows]
        # A column of whole numbers and fractions is one of fractions.
        has_fractions = any(isinstance(value, float) for value in values)
        yield [float(value) if has_fractions and value is not None else value for value in values]


def _insert(memory: sqlite3.Connection, name: str, sheet: Sheet) -> None:
    columns = ", ".join(f'"{column}"' for column in sheet.columns)
    memory.execute(f'CREATE TABLE "{name}" ({columns})')
    marks = ", ".join("?" for _ in sheet.columns)
    memory.executemany(f'INSERT INTO "{name}" VALUES ({marks})', sheet.rows)
