"""Two rows beside each other: pair by pair on one plan, by their counts else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.database import Database
from vla_bench.results.leaderboard.boards import BOARD, BOARD_ROW, TASK_CELL
from vla_bench.results.stats.chains import counted, independent_lengths, noninferior_lengths
from vla_bench.results.stats.paired import Pairs, tango_interval
from vla_bench.results.stats.rates import Interval
from vla_bench.results.stats.unpaired import independent_p, score_interval
from vla_bench.results.tables import EPISODE
from vla_bench.server.boards.place import AVG_LENGTH
from vla_bench.server.boards.ranking import chain_variance
from vla_bench.server.boards.reading.cursor import decode_number, encode, etag_of
from vla_bench.server.boards.reading.shape import board_columns, head_of, row_of, row_statement, setting_changes
from vla_bench.server.boards.vectors import compare_vectors, unpack
from vla_bench.server.boards.views import Column, ComparePage, Discordant, Row, TaskPair
from vla_bench.spec.errors import NotListed, UsageError

__all__ = ["MOST_TASKS", "compare_page"]

MOST_TASKS, MOST_DISCORDANT = 200, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Test:
    """What the two rows say of each other."""

    kind: str = "none"
    reason: str = ""
    pairs: Pairs | None = None
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None


def compare_page(database: Database, row_a: int, row_b: int, *, after: str, size: int) -> ComparePage:
    """See `vla_bench.server.boards.read`."""
    if row_a == row_b:
        raise UsageError("two different rows are wanted")
    if not 1 <= size <= MOST_DISCORDANT:
        raise UsageError(f"a page has 1 to {MOST_DISCORDANT} episodes, not {size}")
    last = decode_number(after) if after else -1
    with database.read() as connection:
        a, b = (_find(connection, row_id) for row_id in (row_a, row_b))
        boards = {
            board["id"]: board
            for board in connection.execute(
                sa.select(BOARD).where(BOARD.c.id.in_((a["board_id"], b["board_id"])))
            ).mappings()
        }  # fmt: skip
        vectors = _vectors(a, b, boards[a["board_id"]])
        test = _unpaired(a, b, boards) if vectors is None else _paired(*vectors, form=a["form"])
        discordant: list[Discordant] = []
        differing = np.array([], np.int64)
        if vectors is not None:
            differing = np.flatnonzero(vectors[0] != vectors[1])
            positions = differing[differing > last][: size + 1]
            discordant = _episodes(connection, a["run_id"], positions, vectors, form=a["form"])
        tasks = _tasks(connection, row_a, row_b) if test.kind == "paired" else ()
    shared = boards[a["board_id"]] if len(boards) == 1 else None
    view_a, view_b = row_of(a), row_of(b)
    counts = test.pairs
    has_more = len(discordant) > size
    return ComparePage(
        a=view_a,
        b=view_b,
        head=head_of(shared) if shared else None,
        kind=test.kind,
        reason=test.reason,
        both=counts.both if counts else None,
        a_only=counts.new_only if counts else None,
        b_only=counts.base_only if counts else None,
        neither=counts.neither if counts else None,
        difference=test.difference,
        interval=test.interval,
        p=test.p,
        tasks=tasks,
        columns=_columns(board_columns(shared), view_a, view_b) if shared else (),
        settings=setting_changes(a["settings"], b["settings"]) if a["settings"] and b["settings"] else (),
        discordant=tuple(discordant[:size]),
        n_discordant=len(differing),
        next_after=encode(int(positions[size - 1])) if has_more else "",
        etag=etag_of(row_a, row_b, after, size, sorted((board["slug"], board["version"]) for board in boards.values())),
    )


def _find(connection: Connection, row_id: int) -> RowMapping:
    found = connection.execute(
        row_statement().add_columns(BOARD_ROW.c.vector).where(BOARD_ROW.c.id == row_id)
    ).mappings().first()  # fmt: skip
    if found is None:
        raise NotListed(f"this leaderboard has no row {row_id}")
    return found


def _vectors(a: RowMapping, b: RowMapping, board: RowMapping) -> tuple[NDArray[np.int8], NDArray[np.int8]] | None:
    """Outcomes in plan order where both are complete runs of their board's one plan."""
    for row in (a, b):
        is_of_plan = row["vector"] is not None and row["rank_class"] != ""
        if not is_of_plan or row["board_id"] != board["id"] or row["n_judged"] != row["n_planned"]:
            return None
    return unpack(a["vector"]), unpack(b["vector"])


def _paired(a: NDArray[np.int8], b: NDArray[np.int8], *, form: str) -> _Test:
    is_chain = form == AVG_LENGTH
    found = compare_vectors(a, b, is_chain=is_chain)
    if found is None:
        return _Test(reason="an episode of one of them has no judged outcome")
    if is_chain:
        # One-sided ends of 2.5 % on either side: the 95 % interval of the bootstrap over chains.
        bootstrap = noninferior_lengths(
            counted(a.astype(np.int64) - b), 0.0, 0.025, n_stages=max(1, int(a.max()), int(b.max()))
        )
        interval = None if bootstrap is None else Interval(bootstrap.low, bootstrap.high, "bootstrap")
        return _Test(kind="paired", difference=found.difference, interval=interval, p=found.p)
    pairs = Pairs.of(a == 1, b == 1)
    interval = tango_interval(pairs.new_only, pairs.base_only, pairs.n)
    return _Test(kind="paired", pairs=pairs, difference=found.difference, interval=interval, p=found.p)


def _unpaired(a: RowMapping, b: RowMapping, boards: dict[int, RowMapping]) -> _Test:
    """Independent counts of one suite; nothing where one has none."""
    boards_of = [boards[row["board_id"]] for row in (a, b)]
    if boards_of[0]["suite"] != boards_of[1]["suite"] or a["form"] != b["form"]:
        return _Test(reason="they are of different suites")
    for row in (a, b):
        if row["score"] is None:
            return _Test(reason=f"{row['policy']} has no score: {row['unranked'] or 'episodes are missing'}")
        if row["low"] is None:
            return _Test(reason=f"{row['policy']} has no episodes behind its number")
    why = "one of them is no run of this board's plan: their episodes are not paired"
    if len(boards) > 1:
        why = (
            f"they stand on different boards ({boards_of[0]['slug']}, {boards_of[1]['slug']}): not the same conditions"
        )
    difference = a["score"] - b["score"]
    if a["form"] != AVG_LENGTH:
        counts = (a["n_success"], a["n_judged"], b["n_success"], b["n_judged"])
        interval, p = score_interval(*counts), independent_p(*counts)
        return _Test(kind="independent", reason=why, difference=difference, interval=interval, p=p)
    variances = [chain_variance(row["cells"]) for row in (a, b)]
    if variances[0] is None or variances[1] is None:
        return _Test(reason="a share of chains is missing", difference=difference)
    found = independent_lengths(a["score"], variances[0], a["n_judged"], b["score"], variances[1], b["n_judged"])
    if found is None:
        return _Test(reason="neither of them varies: there is no error to see", difference=difference)
    return _Test(kind="independent", reason=why, difference=difference, interval=found.interval, p=found.p)


def _episodes(
    connection: Connection,
    run_id: int,
    positions: NDArray[np.int64],
    vectors: tuple[NDArray[np.int8], NDArray[np.int8]],
    *,
    form: str,
) -> list[Discordant]:
    wanted = [int(position) for position in positions]
    rows = connection.execute(
        sa.select(EPISODE.c["position", "episode_id", "task", "trial"])
        .where(EPISODE.c.run_id == run_id, EPISODE.c.position.in_(wanted))
        .order_by(EPISODE.c.position)
    )
    found = []
    for row in rows:
        a, b = (int(vector[row.position]) for vector in vectors)
        is_chain = form == AVG_LENGTH
        found.append(
            Discordant(
                episode_id=row.episode_id,
                task=row.task,
                trial=row.trial,
                a_success=a > b if is_chain else a == 1,
                b_success=b > a if is_chain else b == 1,
                a_length=a if is_chain else None,
                b_length=b if is_chain else None,
            )
        )
    return found


def _tasks(connection: Connection, row_a: int, row_b: int) -> tuple[TaskPair, ...]:
    """Runs of one plan have their tasks at the same positions."""
    a, b = TASK_CELL.alias("a"), TASK_CELL.alias("b")
    gap = sa.func.abs(a.c.k * 1.0 / a.c.n - b.c.k * 1.0 / b.c.n)
    rows = connection.execute(
        sa.select(a.c.task, a.c.k.label("k_a"), a.c.n.label("n_a"), b.c.k.label("k_b"), b.c.n.label("n_b"))
        .join(b, sa.and_(b.c.row_id == row_b, b.c.position == a.c.position, b.c.task == a.c.task))
        .where(a.c.row_id == row_a, a.c.n > 0, b.c.n > 0)
        .order_by(gap.desc(), a.c.position)
        .limit(MOST_TASKS)
    ).mappings()
    return tuple(_pair(row["task"], row["k_a"], row["n_a"], row["k_b"], row["n_b"]) for row in rows)


def _columns(columns: tuple[Column, ...], a: Row, b: Row) -> tuple[TaskPair, ...]:
    of_a, of_b = ({cell.key: cell for cell in row.cells} for row in (a, b))
    pairs = []
    for column in columns:
        x, y = of_a.get(column.key), of_b.get(column.key)
        if x is None or y is None or x.value is None or y.value is None:
            continue
        pairs.append(
            TaskPair(
                title=column.title, n_a=x.n, k_a=x.k, n_b=y.n, k_b=y.k, rate_a=x.value, rate_b=y.value,
                difference=x.value - y.value,
            )
        )  # fmt: skip
    return tuple(pairs)


def _pair(title: str, k_a: int, n_a: int, k_b: int, n_b: int) -> TaskPair:
    a, b = k_a / n_a, k_b / n_b
    counts: dict[str, Any] = {"n_a": n_a, "k_a": k_a, "n_b": n_b, "k_b": k_b}
    return TaskPair(title=title, rate_a=a, rate_b=b, difference=a - b, **counts)
