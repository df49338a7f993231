"""What pages and JSON API read. Every function takes a `Database` and reads boards, their rows and stored aggregates.

Episodes are read one page at a time and by index; nothing here counts them.
"""

from __future__ import annotations

from vla_bench.results.database import Database
from vla_bench.results.traces import TraceFolder
from vla_bench.server.boards.reading import board as _board
from vla_bench.server.boards.reading import compare as _compare
from vla_bench.server.boards.reading import episode as _episode
from vla_bench.server.boards.reading import latency as _latency
from vla_bench.server.boards.reading import policy as _policy
from vla_bench.server.boards.reading import run as _run
from vla_bench.server.boards.reading import submission as _submission
from vla_bench.server.boards.reading import suite as _suite
from vla_bench.server.boards.views import (
    BoardHead,
    BoardPage,
    ComparePage,
    EpisodePage,
    EpisodesPage,
    Filters,
    LatencyTable,
    LogPage,
    PolicyPage,
    Row,
    RunPage,
    SubmissionPage,
    SuitePage,
)

__all__ = [
    "board_page", "boards", "compare_page", "episode_page", "episodes_page", "etag", "latency_tables", "log_page",
    "policy_page", "row", "run_page", "submission_page", "suite_page",
]  # fmt: skip


def etag(database: Database) -> str:
    """A short text that changes with anything on any board: the ETag of the list of boards."""
    return _board.etag(database)


def boards(database: Database) -> tuple[BoardHead, ...]:
    """All boards, by suite, protocol, renderer class and assets; those with runs before those without."""
    return _board.boards(database)


def board_page(
    database: Database,
    slug: str,
    filters: Filters = Filters(),  # noqa: B008
    *,
    sort: str = "rank",
    descending: bool = False,
    after: str = "",
    size: int = 50,
) -> BoardPage:
    """A page of a board.

    By `rank`, verified rows come first, then self-reported, published, unranked and incomplete ones and tombstones;
    best first within each.

    Args:
        database: of the results.
        slug: of the board.
        filters: which rows.
        sort: see `BoardPage`.
        descending: the other way round; rows without the value come last all the same.
        after: `next_after` of the page before.
        size: rows of a page, 1 … 200.

    Raises:
        NotListed: there is no such board.
        UsageError: sort, filter or `after` is not understood.
    """
    return _board.board_page(database, slug, filters, sort=sort, descending=descending, after=after, size=size)


def row(database: Database, row_id: int) -> Row:
    """One row by its id.

    Raises:
        NotListed: there is none.
    """
    return _board.row(database, row_id)


def policy_page(database: Database, family: str) -> PolicyPage:
    """All results of a family of policies.

    Raises:
        NotListed: no row is of that family.
    """
    return _policy.policy_page(database, family)


def run_page(database: Database, run_id: int) -> RunPage:
    """A run on its board.

    Raises:
        NotListed: no such run stands on a board.
    """
    return _run.run_page(database, run_id)


def episodes_page(
    database: Database, run_id: int, *, task: str = "", outcome: str = "", after: str = "", size: int = 50
) -> EpisodesPage:
    """A page of the episodes of a run, in plan order.

    Raises:
        NotListed: no such run stands on a board.
        UsageError: `after` is not understood.
    """
    return _run.episodes_page(database, run_id, task=task, outcome=outcome, after=after, size=size)


def episode_page(database: Database, traces: TraceFolder, run_id: int, episode_id: str) -> EpisodePage:
    """One episode of a run, with its recorded actions where they are stored.

    Raises:
        NotListed: no such run stands on a board, or the episode is not one of its.
    """
    return _episode.episode_page(database, traces, run_id, episode_id)


def compare_page(database: Database, row_a: int, row_b: int, *, after: str = "", size: int = 50) -> ComparePage:
    """Two rows beside each other: pair by pair on one plan, by their counts else.

    Raises:
        NotListed: a row does not exist.
        UsageError: both are one row, or `after` is not understood.
    """
    return _compare.compare_page(database, row_a, row_b, after=after, size=size)


def suite_page(database: Database, suite: str, *, after: str = "", size: int = 100) -> SuitePage:
    """What a suite measures.

    Raises:
        NotListed: no board is of that suite.
    """
    return _suite.suite_page(database, suite, after=after, size=size)


def submission_page(database: Database, submission_id: str, *, reader: str = "") -> SubmissionPage:
    """A submission as everybody may see it; before it is sealed, as its owner may.

    Args:
        database: of the results.
        submission_id: of it.
        reader: name of the account that asks; empty for everybody.

    Raises:
        NotListed: there is none, or it is not sealed and somebody else's.
    """
    return _submission.submission_page(database, submission_id, reader=reader)


def log_page(
    database: Database, *, subject_kind: str = "", subject: str = "", after: str = "", size: int = 100
) -> LogPage:
    """The public log, newest first; of one subject where it is named. A submission's first line is its seal.

    Raises:
        UsageError: `after` is not understood.
    """
    return _submission.log_page(database, subject_kind=subject_kind, subject=subject, after=after, size=size)


def latency_tables(database: Database) -> tuple[LatencyTable, ...]:
    """Answer times, one table a device and precision, at batch size 1."""
    return _latency.latency_tables(database)
