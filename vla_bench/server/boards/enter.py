"""A run comes onto its board in one transaction: aggregates, row, tasks, pairs, ranks, the count of its family's runs.

Nothing is left for a reader to count. Entering a run again brings its row up to date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench import __version__
from vla_bench.results import reading, writing
from vla_bench.results.comparison.loading import load_vector
from vla_bench.results.database import Database
from vla_bench.results.leaderboard.boards import BOARD, BOARD_PAIR, BOARD_ROW, TASK_CELL
from vla_bench.results.rows import now, plain_text
from vla_bench.results.runs import RunSummary
from vla_bench.results.tables import EPISODE, POLICY, RUN, SUITE
from vla_bench.server.audit import SERVER, write_audit
from vla_bench.server.boards.cells import columns_and_cells, joined
from vla_bench.server.boards.evidence import mark_of_run
from vla_bench.server.boards.marks import RANK_CLASS
from vla_bench.server.boards.place import AVG_LENGTH, Placement, place
from vla_bench.server.boards.ranking import rerank
from vla_bench.server.boards.values import efficiency, notes, score, who
from vla_bench.server.boards.vectors import compare_vectors, pack, unpack
from vla_bench.spec.errors import UsageError

__all__ = ["Entry", "count_family", "enter_finished_runs", "enter_run", "lock_board", "make_board"]

IN_BATCH = 500
PLAUSIBILITY = "plausibility"
"""Kind of the notes that say what a reader should look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where a run came to stand.

    Attributes:
        row_id, board_id, slug: the row and its board.
        state: `listed` or `incomplete`.
        mark: its mark.
        unranked: why it has no rank; empty where it takes part.
    """

    row_id: int
    board_id: int
    slug: str
    state: str
    mark: str
    unranked: str


def enter_run(
    connection: Connection,
    run_name: str,
    *,
    submission_id: str = "",
    declaration: Mapping[str, Any] | None = None,
    harness: str = __version__,
    summary: RunSummary | None = None,
    flags: Sequence[str] = (),
    actor: str = SERVER,
) -> Entry:
    """List a stored run on its board, or bring its row up to date. Tombstones stay what they are.

    Args:
        connection: inside a write transaction.
        run_name: of a run that is stored, with its episodes.
        submission_id: that brought it; empty for a run of this database's own.
        declaration: plain form of what the submitter declared.
        harness: version of vla-bench that ran it.
        summary: of these very episodes, where the caller has just counted them; counted here where None.
        flags: of plausibility, a sentence each: notes that decide nothing. They stay when it is entered again.
        actor: for the log.

    Raises:
        UnknownRun: there is no such run.
        UsageError: the board is frozen.
        StoreCorrupted: it cannot be read.
    """
    declared = dict(declaration or {})
    run = reading.find_run(connection, run_name)
    writing.lock_run(connection, run["id"])
    finished_at = run["finished_at"] or now()
    summary = summary or reading.load_summary(connection, run, finished_at=finished_at)
    writing.store_summary(connection, run["id"], summary, finished_at)
    machines = [(asdict(machine), n) for machine, n in reading.load_fingerprints(connection, run["id"])]
    suite, policy = _content(connection, SUITE, run["suite_digest"]), _content(connection, POLICY, run["policy_digest"])
    placement = place(summary, suite, [machine for machine, _ in machines])
    columns, cells = columns_and_cells(summary)
    board = make_board(connection, placement, columns)
    present = _present(connection, run["id"])
    if board["frozen"] and present is None:
        raise UsageError(f"board {placement.slug} takes no further runs: {board['frozen']}")
    values = {
        **_identity(connection, board, run["id"], summary, placement, submission_id),
        **who(summary, policy, declared),
        **score(summary, placement.form),
        "cells": cells,
        "harness": plain_text(harness, 80),
        "settings": dict(summary.settings),
        "notes": notes(summary, declared) + _flags(flags, present),
        "efficiency": efficiency(summary, declared, reading.load_answer_bins(connection, run["id"])),
        "source": {
            "command": summary.command,
            "machines": [{"machine": machine, "n": n} for machine, n in machines[:20]],
            "declaration": declared,
        },
        "vector": pack(load_vector(connection, run_name)),
    }
    row_id = _store_row(connection, values, present)
    if present is not None and present["board_id"] != board["id"]:
        _leave(connection, present)
    _store_tasks(connection, row_id, run["id"], summary)
    connection.execute(
        sa.update(BOARD).where(BOARD.c.id == board["id"]).values(columns=joined(columns, board["columns"]))
    )
    _pair(connection, board["id"], row_id, is_chain=placement.form == AVG_LENGTH)
    count_family(connection, board["id"], values["family"])
    rerank(connection, board["id"])
    entry = Entry(
        row_id=row_id, board_id=board["id"], slug=placement.slug, state=values["state"], mark=values["mark"],
        unranked=values["unranked"],
    )  # fmt: skip
    detail = {"row": row_id, "run": run_name, "policy": f"{values['policy']} {values['version']}".strip()}
    detail |= {"state": entry.state, "mark": entry.mark, "submission": submission_id}
    action = "run_listed" if present is None else "run_updated"
    write_audit(connection, actor, action, "board", placement.slug[:200], detail)
    return entry


def enter_finished_runs(database: Database) -> list[Entry]:
    """List every run of a database that has ended and stands on no board yet: how one's own results become a board.

    Each has a transaction of its own.

    Raises:
        StoreError: (a child) the database cannot be written.
    """
    wanted = (
        sa.select(RUN.c.name)
        .outerjoin(BOARD_ROW, BOARD_ROW.c.run_id == RUN.c.id)
        .where(RUN.c.finished_at != "", BOARD_ROW.c.id.is_(None))
        .order_by(RUN.c.id)
    )
    with database.read() as connection:
        names = list(connection.scalars(wanted))
    entries = []
    for name in names:
        with database.write() as connection:
            entries.append(enter_run(connection, name))
    return entries


def make_board(connection: Connection, placement: Placement, columns: list[dict[str, Any]]) -> RowMapping:
    """The board, made where it is not there, and held until the transaction ends."""
    slug = placement.slug
    new = {
        "slug": slug,
        "title": plain_text(placement.title, 300),
        "suite": placement.suite,
        "protocol": placement.protocol,
        "plan_hash": placement.plan_hash,
        "n_planned": 0,
        "renderer_class": placement.renderer_class,
        "assets": placement.assets,
        "form": placement.form,
        "columns": columns,
        "summary": {},
        "version": 0,
        "frozen": "",
        "updated_at": now(),
    }
    if connection.scalar(sa.select(BOARD.c.id).where(BOARD.c.slug == slug)) is None:
        writing.insert_missing(connection, BOARD, [new])
    return lock_board(connection, slug)


def lock_board(connection: Connection, slug: str) -> RowMapping:
    """The row of a board, which nobody else changes until the transaction ends."""
    return connection.execute(sa.select(BOARD).where(BOARD.c.slug == slug).with_for_update()).mappings().one()


def count_family(connection: Connection, board_id: int, family: str) -> None:
    """Write into every row of a family how many complete runs it has on this board, tombstones included."""
    of_family = (BOARD_ROW.c.board_id == board_id, BOARD_ROW.c.family == family)
    counted = sa.select(sa.func.count()).where(
        *of_family, BOARD_ROW.c.run_id.is_not(None), BOARD_ROW.c.n_judged == BOARD_ROW.c.n_planned
    )
    n_runs = connection.scalar(counted)
    connection.execute(sa.update(BOARD_ROW).where(*of_family).values(n_runs=n_runs))


def _content(connection: Connection, table: sa.Table, digest: str) -> dict[str, Any]:
    content: dict[str, Any] = connection.scalars(sa.select(table.c.content).where(table.c.digest == digest)).one()
    return content


def _present(connection: Connection, run_id: int) -> RowMapping | None:
    names = ("id", "state", "board_id", "family", "notes")
    found = sa.select(*(BOARD_ROW.c[name] for name in names)).where(BOARD_ROW.c.run_id == run_id)
    return connection.execute(found).mappings().first()


def _flags(new: Sequence[str], present: RowMapping | None) -> list[dict[str, str]]:
    known = [note["text"] for note in present["notes"] if note["kind"] == PLAUSIBILITY] if present is not None else []
    return [{"kind": PLAUSIBILITY, "text": text} for text in dict.fromkeys([*known, *new])]


def _leave(connection: Connection, present: RowMapping) -> None:
    """A run that went on elsewhere, under another class of renderer, leaves the board that it stood on."""
    connection.execute(sa.select(BOARD.c.id).where(BOARD.c.id == present["board_id"]).with_for_update())
    of_row = sa.or_(BOARD_PAIR.c.row_a == present["id"], BOARD_PAIR.c.row_b == present["id"])
    connection.execute(sa.delete(BOARD_PAIR).where(BOARD_PAIR.c.board_id == present["board_id"], of_row))
    count_family(connection, present["board_id"], present["family"])
    rerank(connection, present["board_id"])


def _identity(
    connection: Connection,
    board: RowMapping,
    run_id: int,
    summary: RunSummary,
    placement: Placement,
    submission_id: str,
) -> dict[str, Any]:
    """Which run on which board, under which mark, and whether it is ranked; the first ranked run decides the plan."""
    unranked = placement.unranked
    plan = board["plan_hash"]
    if not unranked and not plan and summary.is_complete:
        plan = summary.plan_hash
    if not unranked and plan and summary.plan_hash != plan:
        unranked = "its plan is not the one that this board's runs have: other seeds or initial states"
    if plan != board["plan_hash"] or (not board["n_planned"] and plan == summary.plan_hash):
        values = {"plan_hash": plan, "n_planned": summary.n_planned}
        connection.execute(sa.update(BOARD).where(BOARD.c.id == board["id"]).values(values))
    if not summary.is_complete:
        unranked = unranked or "incomplete: a score wants every planned episode"
    facts = mark_of_run(connection, run_id, submission_id)
    return {
        "board_id": board["id"],
        "run_id": run_id,
        "submission_id": submission_id,
        "published_key": None,
        "state": "listed" if summary.is_complete else "incomplete",
        "mark": facts.mark.value,
        "rank_class": "" if unranked else RANK_CLASS[facts.mark],
        "unranked": unranked,
        "facts": asdict(facts),
    }


def _store_row(connection: Connection, values: dict[str, Any], present: RowMapping | None) -> int:
    """The id of the row. A tombstone stays one."""
    if present is None:
        fresh = {**values, "state_reason": "", "letters": "", "entered_at": now()}
        row_id: int = connection.execute(sa.insert(BOARD_ROW).values(fresh)).inserted_primary_key[0]
        return row_id
    if present["state"] in ("retracted", "withdrawn"):
        values |= {"state": present["state"], "rank_class": "", "unranked": present["state"]}
    connection.execute(sa.update(BOARD_ROW).where(BOARD_ROW.c.id == present["id"]).values(values))
    return int(present["id"])


def _store_tasks(connection: Connection, row_id: int, run_id: int, summary: RunSummary) -> None:
    counted = sa.select(EPISODE.c.task, sa.func.sum(EPISODE.c.n_steps)).where(
        EPISODE.c.run_id == run_id, EPISODE.c.outcome.in_(("success", "failure"))
    )
    steps = {task: int(total) for task, total in connection.execute(counted.group_by(EPISODE.c.task))}
    cells = [
        {
            "row_id": row_id,
            "position": position,
            "task": task.task,
            "n": task.n_judged,
            "k": task.n_success,
            "steps": steps.get(task.task, 0),
        }
        for position, task in enumerate(summary.per_task)
    ]
    connection.execute(sa.delete(TASK_CELL).where(TASK_CELL.c.row_id == row_id))
    if cells:
        connection.execute(sa.insert(TASK_CELL), cells)


def _pair(connection: Connection, board_id: int, row_id: int, *, is_chain: bool) -> None:
    """Compare a row with every other run of the board's plan: m new pairs for m rows."""
    connection.execute(
        sa.delete(BOARD_PAIR).where(
            BOARD_PAIR.c.board_id == board_id, sa.or_(BOARD_PAIR.c.row_a == row_id, BOARD_PAIR.c.row_b == row_id)
        )
    )
    runs = connection.execute(
        sa.select(BOARD_ROW.c.id, BOARD_ROW.c.vector).where(
            BOARD_ROW.c.board_id == board_id,
            BOARD_ROW.c.vector.is_not(None),
            BOARD_ROW.c.rank_class != "",
        )
    )
    vectors = {found_id: unpack(packed) for found_id, packed in runs}
    own = vectors.pop(row_id, None)
    if own is None:
        return
    pairs = []
    for other_id, other in vectors.items():
        a, b = (own, other) if row_id < other_id else (other, own)
        if (found := compare_vectors(a, b, is_chain=is_chain)) is not None:
            pairs.append(
                {"board_id": board_id, "row_a": min(row_id, other_id), "row_b": max(row_id, other_id), **asdict(found)}
            )
    if pairs:
        connection.execute(sa.insert(BOARD_PAIR), pairs)
