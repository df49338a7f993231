"""A run on its board, and the list of its episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.database import Database
from vla_bench.results.leaderboard.boards import BOARD, BOARD_ROW, TASK_CELL
from vla_bench.results.runs import RunSummary
from vla_bench.results.stats.rates import wilson
from vla_bench.results.tables import AGGREGATE, EPISODE, RUN
from vla_bench.server.boards.marks import Mark
from vla_bench.server.boards.reading.contents import SuiteContent, policy_content, suite_content
from vla_bench.server.boards.reading.cursor import decode_number, encode, etag_of
from vla_bench.server.boards.reading.shape import board_columns, head_of, row_of, row_statement
from vla_bench.server.boards.views import EpisodeLine, EpisodesPage, Leader, RunPage, TaskLine
from vla_bench.spec.errors import NotListed, UsageError
from vla_bench.spec.outcomes import Outcome

__all__ = ["MOST_TASKS", "episode_line", "episodes_page", "find_run_row", "run_page"]

MOST_TASKS, MOST_EPISODES, MOST_OTHERS = 500, 500, 10


def run_page(database: Database, run_id: int) -> RunPage:
    """See `vla_bench.server.boards.read`."""
    with database.read() as connection:
        found = find_run_row(connection, run_id)
        board = connection.execute(sa.select(BOARD).where(BOARD.c.id == found["board_id"])).mappings().one()
        run = connection.execute(
            sa.select(RUN.c["plan_hash", "suite_digest", "command"]).where(RUN.c.id == run_id)
        ).mappings().one()  # fmt: skip
        suite = suite_content(connection, run["suite_digest"])
        summary, n_tasks = _summary(connection, run_id), _n_tasks(connection, found["id"])
        tasks = _tasks(connection, found["id"], suite)
        policy = policy_content(connection, found["policy_digest"])
        others = _others(connection, found)
    source: Mapping[str, Any] = found["source"]
    return RunPage(
        head=head_of(board),
        columns=board_columns(board),
        row=row_of(found, with_bins=True),
        summary=summary,
        tasks=tasks,
        n_tasks=n_tasks,
        plan_hash=run["plan_hash"],
        command=run["command"],
        machines=tuple((each["machine"], each["n"]) for each in source.get("machines", ())),
        declaration=source.get("declaration", {}),
        suite=suite.facts,
        policy=policy,
        others=others,
        etag=etag_of(run_id, board["slug"], board["version"]),
    )


def episodes_page(
    database: Database, run_id: int, *, task: str, outcome: str, after: str, size: int
) -> EpisodesPage:  # fmt: skip
    """See `vla_bench.server.boards.read`."""
    if not 1 <= size <= MOST_EPISODES:
        raise UsageError(f"a page has 1 to {MOST_EPISODES} episodes, not {size}")
    if outcome and outcome not in list(Outcome):
        raise UsageError(f"outcome={outcome[:80]!r} is none of: {', '.join(Outcome)}")
    wanted = sa.select(EPISODE).where(EPISODE.c.run_id == run_id).order_by(EPISODE.c.position).limit(size + 1)
    if after:
        wanted = wanted.where(EPISODE.c.position > decode_number(after))
    if task:
        wanted = wanted.where(EPISODE.c.task == task)
    if outcome:
        wanted = wanted.where(EPISODE.c.outcome == outcome)
    with database.read() as connection:
        found = find_run_row(connection, run_id)
        version = connection.scalar(sa.select(BOARD.c.version).where(BOARD.c.id == found["board_id"]))
        lines = [episode_line(row) for row in connection.execute(wanted).mappings()]
    return EpisodesPage(
        run_id=run_id,
        run=found["run_name"],
        board=found["slug"],
        task=task,
        outcome=outcome,
        lines=tuple(lines[:size]),
        next_after=encode(lines[size - 1].position) if len(lines) > size else "",
        etag=etag_of("episodes", run_id, found["slug"], version, task, outcome, after, size),
    )


def find_run_row(connection: Connection, run_id: int) -> RowMapping:
    """The row that a run has on its board.

    Raises:
        NotListed: it has none.
    """
    found = connection.execute(row_statement().where(BOARD_ROW.c.run_id == run_id)).mappings().first()
    if found is None:
        raise NotListed(f"this leaderboard has no run {run_id}")
    return found


def episode_line(row: RowMapping) -> EpisodeLine:
    """A row of `episode`."""
    same = ("episode_id", "position", "task", "trial", "repeat", "outcome", "error_kind", "n_attempts", "n_steps")
    return EpisodeLine(**{name: row[name] for name in same}, n_clipped=row["n_clipped"], flags=tuple(row["flags"]))


def _summary(connection: Connection, run_id: int) -> RunSummary:
    """The stored summary without its tasks: ten thousand of them are pages of their own."""
    details = AGGREGATE.c.details
    row = connection.execute(
        sa.select(AGGREGATE.c.headline, details["groups"].label("groups"), details["chains"].label("chains")).where(
            AGGREGATE.c.run_id == run_id
        )
    ).one()
    return RunSummary.from_dict({**row.headline, "per_task": [], "groups": row.groups or {}, "chains": row.chains})


def _n_tasks(connection: Connection, row_id: int) -> int:
    """Positions count from 0 without a gap, so that the last one tells."""
    last = connection.scalar(sa.select(sa.func.max(TASK_CELL.c.position)).where(TASK_CELL.c.row_id == row_id))
    return 0 if last is None else last + 1


def _tasks(connection: Connection, row_id: int, suite: SuiteContent) -> tuple[TaskLine, ...]:
    cells = connection.execute(
        sa.select(TASK_CELL).where(TASK_CELL.c.row_id == row_id).order_by(TASK_CELL.c.position).limit(MOST_TASKS)
    ).mappings()  # fmt: skip
    return tuple(_task(cell, suite) for cell in cells)


def _task(cell: RowMapping, suite: SuiteContent) -> TaskLine:
    task, interval = suite.tasks.get(cell["task"]), wilson(cell["k"], cell["n"])
    return TaskLine(
        position=cell["position"],
        task=cell["task"],
        instruction=task.instruction if task else "",
        k=cell["k"],
        n=cell["n"],
        rate=cell["k"] / cell["n"] if cell["n"] else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        mean_steps=cell["steps"] / cell["n"] if cell["n"] else None,
        tags=task.tags if task else {},
    )


def _others(connection: Connection, found: RowMapping) -> tuple[Leader, ...]:
    """Rows that can be compared pair by pair with this one."""
    names = ("id", "policy", "version", "score", "mark")
    rows = connection.execute(
        sa.select(*(BOARD_ROW.c[name] for name in names))
        .where(
            BOARD_ROW.c.board_id == found["board_id"],
            BOARD_ROW.c.rank_class.in_(("verified", "self-reported")),
            BOARD_ROW.c.id != found["id"],
        )
        .order_by(BOARD_ROW.c.score.desc(), BOARD_ROW.c.id)
        .limit(MOST_OTHERS)
    ).mappings()
    return tuple(
        Leader(
            row_id=row["id"], policy=row["policy"], version=row["version"], score=row["score"], mark=Mark(row["mark"])
        )
        for row in rows
    )
