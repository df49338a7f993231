"""Published rows come onto their boards when the service starts; a second time changes nothing."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.database import Database
from vla_bench.results.leaderboard.boards import BOARD, BOARD_ROW
from vla_bench.results.rows import now
from vla_bench.server.audit import SERVER, write_audit
from vla_bench.server.boards.cells import joined
from vla_bench.server.boards.enter import make_board
from vla_bench.server.boards.ranking import rerank
from vla_bench.server.published.boards import PublishedRow, published_rows

__all__ = ["load_published"]


def load_published(database: Database) -> int:
    """Bring the cited figures of this version into a database: missing rows are added, changed ones corrected.

    Returns:
        Rows written; 0 where all of them are there already.

    Raises:
        StoreError: (a child) the database cannot be written.
    """
    wanted = published_rows()
    with database.read() as connection:
        if not _missing(connection, wanted):
            return 0
    with database.write() as connection:
        missing = _missing(connection, wanted)
        by_board: dict[str, list[PublishedRow]] = {}
        for row in missing:
            by_board.setdefault(row.placement.slug, []).append(row)
        for rows in by_board.values():
            _store(connection, rows)
        if missing:
            detail = {"n_rows": len(missing), "n_boards": len(by_board)}
            write_audit(connection, SERVER, "published_loaded", "board", "published", detail)
    return len(missing)


def _missing(connection: Connection, wanted: list[PublishedRow]) -> list[PublishedRow]:
    found = connection.execute(
        sa.select(BOARD_ROW.c.published_key, BOARD_ROW.c.source).where(BOARD_ROW.c.published_key.is_not(None))
    )
    present = {key: source.get("digest") for key, source in found}
    return [row for row in wanted if present.get(row.values["published_key"]) != row.digest]


def _store(connection: Connection, rows: list[PublishedRow]) -> None:
    columns: list[dict[str, Any]] = []
    for row in rows:
        columns = joined(columns, row.columns)
    board = make_board(connection, rows[0].placement, columns)
    keys = [row.values["published_key"] for row in rows]
    there = connection.execute(
        sa.select(BOARD_ROW.c.published_key, BOARD_ROW.c.id).where(BOARD_ROW.c.published_key.in_(keys))
    )
    ids = {row.published_key: row.id for row in there}
    for row in rows:
        values = {**row.values, "board_id": board["id"]}
        if (row_id := ids.get(values["published_key"])) is not None:
            connection.execute(sa.update(BOARD_ROW).where(BOARD_ROW.c.id == row_id).values(values))
        else:
            connection.execute(sa.insert(BOARD_ROW).values(**values, letters="", entered_at=now()))
    connection.execute(
        sa.update(BOARD).where(BOARD.c.id == board["id"]).values(columns=joined(board["columns"], columns))
    )
    rerank(connection, board["id"])
