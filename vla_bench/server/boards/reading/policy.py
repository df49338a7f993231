"""All results of a family of policies."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from vla_bench.results.database import Database
from vla_bench.results.leaderboard.boards import BOARD, BOARD_ROW
from vla_bench.server.boards.ranking import CLASSES
from vla_bench.server.boards.reading.cursor import etag_of
from vla_bench.server.boards.reading.shape import board_columns, head_of, row_of, row_statement
from vla_bench.server.boards.views import PolicyPage, PolicyResult, Row, VersionLine
from vla_bench.server.published.figures import efficiency_of
from vla_bench.spec.errors import NotListed

__all__ = ["policy_page"]


def policy_page(database: Database, family: str) -> PolicyPage:
    """See `vla_bench.server.boards.read`."""
    with database.read() as connection:
        of_family = row_statement().where(BOARD_ROW.c.family == family).order_by(BOARD_ROW.c.date.desc())
        found = connection.execute(of_family).mappings().all()
        if not found:
            raise NotListed(f"this leaderboard has no policy {family[:200]!r}")
        rows = [row_of(row) for row in found if row["rank_class"] != "variant"] or [row_of(row) for row in found]
        ids = {row["board_id"] for row in found}
        boards = {
            board["slug"]: board
            for board in connection.execute(sa.select(BOARD).where(BOARD.c.id.in_(ids))).mappings()
        }  # fmt: skip
    results = [
        PolicyResult(head=head_of(boards[row.board]), columns=board_columns(boards[row.board]), row=row) for row in rows
    ]
    results.sort(key=lambda result: (result.head.slug, CLASSES[2] == result.row.mark.mark))
    runs = [row for row in rows if row.run_id is not None]
    named = runs or rows
    return PolicyPage(
        family=family,
        title=named[0].policy,
        versions=_versions(runs),
        results=tuple(result for result in results if not result.row.is_gone),
        gone=tuple(result for result in results if result.row.is_gone),
        efficiency=efficiency_of(family),
        n_runs=sum(row.n_judged == row.n_planned for row in runs),
        etag=etag_of(family, sorted((board["slug"], board["version"]) for board in boards.values())),
    )


def _versions(runs: Sequence[Row]) -> tuple[VersionLine, ...]:
    by_digest: dict[str, list[Row]] = {}
    for row in runs:
        by_digest.setdefault(row.policy_digest, []).append(row)
    lines = [
        VersionLine(
            policy=rows[0].policy,
            version=rows[0].version,
            weights_digest=rows[0].weights_digest,
            policy_digest=digest,
            first_date=min(row.date for row in rows),
            n_boards=len({row.board for row in rows}),
        )
        for digest, rows in by_digest.items()
    ]
    return tuple(sorted(lines, key=lambda line: (line.first_date, line.version), reverse=True))
