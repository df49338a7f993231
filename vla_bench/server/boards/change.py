"""What becomes of a row later: its mark is computed anew, it is retracted or withdrawn, its board is frozen."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.leaderboard.boards import BOARD, BOARD_ROW
from vla_bench.results.rows import now, plain_text
from vla_bench.server.audit import SERVER, write_audit
from vla_bench.server.boards.enter import count_family, lock_board
from vla_bench.server.boards.evidence import mark_of_run
from vla_bench.server.boards.marks import RANK_CLASS, MarkFacts
from vla_bench.server.boards.ranking import rerank
from vla_bench.spec.errors import NotListed, UsageError

__all__ = ["TOMBSTONES", "bury", "freeze_board", "refresh_mark"]

TOMBSTONES = ("retracted", "withdrawn")


def refresh_mark(connection: Connection, run_id: int, *, actor: str = SERVER) -> MarkFacts:
    """Compute the mark of a listed run from the facts as they are now; ranks follow where it changed its class.

    To be called in the transaction that changes a replay or closes a challenge.

    Args:
        connection: inside a write transaction.
        run_id: of the run.
        actor: for the log.

    Raises:
        NotListed: the run stands on no board.
    """
    row = _row(connection, run_id)
    lock_board(connection, row.slug)
    facts = mark_of_run(connection, run_id, row.submission_id)
    values = {"mark": facts.mark.value, "facts": asdict(facts)}
    if row.rank_class:
        values["rank_class"] = RANK_CLASS[facts.mark]
    if all(getattr(row, name) == value for name, value in values.items()):
        return facts
    connection.execute(sa.update(BOARD_ROW).where(BOARD_ROW.c.id == row.id).values(values))
    rerank(connection, row.board_id)
    if facts.mark.value != row.mark:
        detail = {"row": row.id, "run_id": run_id, "policy": f"{row.policy} {row.version}".strip()}
        detail |= {"from": row.mark, "to": facts.mark.value, "why": facts.text}
        write_audit(connection, actor, "mark_changed", "board", row.slug[:200], detail)
    return facts


def bury(connection: Connection, run_id: int, state: str, reason: str, *, actor: str) -> None:
    """Make a row a tombstone: it keeps its numbers, struck, and its place among the counted runs; it loses its rank.

    Args:
        connection: inside a write transaction.
        run_id: of the run.
        state: `retracted` (by its owner) or `withdrawn` (by maintainers).
        reason: public.
        actor: for the log.

    Raises:
        NotListed: the run stands on no board.
        UsageError: no reason, another state, or it is a tombstone already.
    """
    if state not in TOMBSTONES:
        raise UsageError(f"a row is retracted or withdrawn, not {state!r}")
    if not reason.strip():
        raise UsageError("say why: the reason is public")
    row = _row(connection, run_id)
    if row.state in TOMBSTONES:
        raise UsageError(f"it is {row.state} already: {row.state_reason}")
    lock_board(connection, row.slug)
    values = {"state": state, "state_reason": plain_text(reason), "rank_class": "", "unranked": state}
    connection.execute(sa.update(BOARD_ROW).where(BOARD_ROW.c.id == row.id).values(values))
    count_family(connection, row.board_id, row.family)
    rerank(connection, row.board_id)
    detail = {"row": row.id, "policy": f"{row.policy} {row.version}".strip(), "reason": reason}
    write_audit(connection, actor, f"run_{state}", "board", row.slug[:200], detail)


def freeze_board(connection: Connection, slug: str, reason: str, *, actor: str) -> None:
    """Close a board, with a banner that says why and what follows it; its rows are never rescored.

    Raises:
        NotListed: there is no such board.
    """
    if connection.scalar(sa.select(BOARD.c.id).where(BOARD.c.slug == slug)) is None:
        raise NotListed(f"this leaderboard has no board {slug!r}")
    board = lock_board(connection, slug)
    values = {"frozen": plain_text(reason), "version": board["version"] + 1, "updated_at": now()}
    connection.execute(sa.update(BOARD).where(BOARD.c.id == board["id"]).values(values))
    write_audit(connection, actor, "board_frozen", "board", slug[:200], {"reason": reason})


def _row(connection: Connection, run_id: int) -> sa.Row[tuple[object, ...]]:
    names = ("id", "board_id", "submission_id", "state", "state_reason", "mark", "facts", "rank_class", "family")
    names += ("policy", "version")
    found = connection.execute(
        sa.select(*(BOARD_ROW.c[name] for name in names), BOARD.c.slug)
        .join(BOARD, BOARD.c.id == BOARD_ROW.c.board_id)
        .where(BOARD_ROW.c.run_id == run_id)
    ).first()
    if found is None:
        raise NotListed(f"run {run_id} stands on no board")
    return found
