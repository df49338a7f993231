"""What a suite measures: its tasks, its protocols, its boards."""

from __future__ import annotations

from functools import lru_cache

import sqlalchemy as sa

from vla_bench.envs.registry import find_suite
from vla_bench.results.database import Database
from vla_bench.results.leaderboard.boards import BOARD
from vla_bench.results.rows import suite_content as plain_suite
from vla_bench.results.tables import SUITE
from vla_bench.server.boards.reading.contents import SuiteContent, content_of, suite_content
from vla_bench.server.boards.reading.cursor import decode_number, encode, etag_of
from vla_bench.server.boards.reading.shape import head_of
from vla_bench.server.boards.traps import traps_of
from vla_bench.server.boards.views import SuitePage
from vla_bench.spec.errors import NotListed, UsageError, VlaBenchError

__all__ = ["suite_page"]

MOST_TASKS = 500


def suite_page(database: Database, suite: str, *, after: str, size: int) -> SuitePage:
    """See `vla_bench.server.boards.read`."""
    if not 1 <= size <= MOST_TASKS:
        raise UsageError(f"a page has 1 to {MOST_TASKS} tasks, not {size}")
    start = decode_number(after) + 1 if after else 0
    with database.read() as connection:
        boards = connection.execute(
            sa.select(BOARD).where(BOARD.c.suite == suite).order_by(BOARD.c.slug)
        ).mappings().all()  # fmt: skip
        if not boards:
            raise NotListed(f"this leaderboard has no suite {suite[:200]!r}")
        stored = connection.execute(sa.select(SUITE.c.digest).where(SUITE.c.name == suite).order_by(SUITE.c.digest))
        contents = [suite_content(connection, digest) for digest in stored.scalars()]
    contents = contents or ([registered] if (registered := _registered(suite)) else [])
    heads = sorted((head_of(board) for board in boards), key=lambda head: (-sum(head.counts.values()), head.slug))
    first = contents[0] if contents else SuiteContent(facts={}, tasks={})
    tasks = list(first.tasks.values())
    page = tasks[start : start + size]
    facts = first.facts
    protocols = [content.facts["protocol"] for content in contents]
    return SuitePage(
        suite=suite,
        title=heads[0].title,
        boards=tuple(heads),
        protocols={f"{protocol['name']}/{protocol['version']}": protocol for protocol in protocols},
        tasks=tuple(page),
        n_tasks=len(tasks),
        next_after=encode(start + size - 1) if start + size < len(tasks) else "",
        cameras=tuple(facts.get("cameras", ())),
        state=facts.get("state", {}),
        action=facts.get("action", {}),
        group_by=tuple(facts.get("group_by", ())),
        group_notes=facts.get("group_notes", {}),
        provenance=facts.get("provenance", {}),
        traps=traps_of(suite),
        etag=etag_of(suite, after, size, [(board["slug"], board["version"]) for board in boards]),
    )


@lru_cache(maxsize=64)
def _registered(suite: str) -> SuiteContent | None:
    """The suite as it is registered here, for boards without a run."""
    try:
        return content_of(plain_suite(find_suite(suite)))
    except VlaBenchError:
        return None
