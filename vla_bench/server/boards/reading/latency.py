"""Answer times, one table a device and precision: nothing else can be compared."""

from __future__ import annotations

import sqlalchemy as sa

from vla_bench.results.database import Database
from vla_bench.results.leaderboard.boards import BOARD
from vla_bench.server.boards.reading.shape import find_rows
from vla_bench.server.boards.views import LatencyLine, LatencyTable

__all__ = ["MOST_LINES", "latency_tables"]

MOST_LINES = 50


def latency_tables(database: Database) -> tuple[LatencyTable, ...]:
    """See `vla_bench.server.boards.read`."""
    with database.read() as connection:
        summaries = connection.scalars(sa.select(BOARD.c.summary).order_by(BOARD.c.slug))
        lines = [line for summary in summaries for line in summary.get("latency", ())]
        tables: dict[tuple[str, str], list[dict[str, object]]] = {}
        for line in sorted(lines, key=lambda line: (line["p50_ms"], line["row_id"])):
            tables.setdefault((line["device"], line["precision"]), []).append(line)
        wanted = [line["row_id"] for found in tables.values() for line in found[:MOST_LINES]]
        rows = find_rows(connection, wanted)
    return tuple(
        LatencyTable(
            device=device,
            precision=precision,
            lines=tuple(
                LatencyLine(
                    row=rows[line["row_id"]],
                    p50_ms=line["p50_ms"],
                    p95_ms=line["p95_ms"],
                    n_queries=line["n_queries"],
                )
                for line in found[:MOST_LINES]
                if line["row_id"] in rows
            ),
        )
        for (device, precision), found in sorted(tables.items())
    )
