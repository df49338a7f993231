"""Tables of the board as values: whole for programs, short for papers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vla_bench.results.exports.papers.layouts import Block, Cell, Column, Table
from vla_bench.server.boards.views import (
    BoardHead,
    BoardPage,
    ComparePage,
    EpisodesPage,
    LatencyTable,
    LogPage,
    PolicyPage,
    Row,
    RunPage,
    SuitePage,
)

__all__ = [
    "Sheet", "board_sheet", "boards_sheet", "compare_sheet", "episodes_sheet", "latency_sheet", "log_sheet",
    "policy_sheet", "run_sheet", "suite_sheet",
]  # fmt: skip

PAPER_COLUMNS = 8
"""Small numbers in a table for a paper: it has a width."""
_COUNTED = ("re-run", "replayed", "self-reported", "published", "incomplete", "gone", "variant")
CLASSES = {"verified": "replayed or re-run", "self-reported": "self-reported", "published": "published, cited"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table.

    Attributes:
        columns: names in snake_case.
        rows: plain values, None where nothing is known.
        paper: the same, short; None where it makes no table for a paper.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    paper: Table | None = None


_ROW = (
    "rank_best", "rank_worst", "letters", "rank_class", "unranked", "policy", "version", "family", "kind", "score",
    "low", "high", "bound_low", "bound_high", "n_success", "n_judged", "n_planned", "trained_on", "checkpoint_scope",
    "parameters", "open_weights", "n_runs", "date", "harness", "state", "state_reason", "run", "run_id",
    "submission_id", "published_key", "weights_digest", "policy_digest", "eval_hash",
)  # fmt: skip


def board_sheet(page: BoardPage, rows: Sequence[Row]) -> Sheet:
    """A board: `rows` are those of all pages."""
    keys = [column.key for column in page.columns]
    whole = tuple((*_row(row), *_cells(row, keys), *_said(row)) for row in rows)
    columns = ("row", "mark", "mark_says", *_ROW, *keys, "notes", "source")
    return Sheet(columns=columns, rows=whole, paper=_paper(page, rows))


def _row(row: Row) -> tuple[Any, ...]:
    return (row.id, row.mark.mark.value, row.mark.text, *(getattr(row, name) for name in _ROW))


def _cells(row: Row, keys: Sequence[str]) -> list[Any]:
    """The row's own cells under the board's columns: it may have fewer, in another order."""
    found = {cell.key: cell.text if cell.value is None and cell.text else cell.value for cell in row.cells}
    return [found.get(key) for key in keys]


def _said(row: Row) -> tuple[str, str]:
    notes = " ".join(note.text for note in row.notes)
    source = ", ".join(f"{name}: {value}" for name, value in row.source.items() if isinstance(value, (str, int)))
    return notes, source


def _paper(page: BoardPage, rows: Sequence[Row]) -> Table:
    is_rate = page.head.form == "rate"
    small = page.columns[:PAPER_COLUMNS] if len(page.columns) <= PAPER_COLUMNS else ()
    columns = [Column("Rank", "text"), Column("Policy", "text"), Column("Mark", "text"), Column("n", "count")]
    # An interval of lengths is text: the kind `interval` is of fractions.
    columns += [Column("Success", "rate"), Column("95 %", "interval")] if is_rate else []
    columns += [] if is_rate else [Column("Length", "length"), Column("95 %", "text")]
    columns += [Column(column.title, "rate") for column in small]
    shown = [row for row in rows if not row.is_gone and row.state == "listed"]
    keys = [column.key for column in small]
    blocks = []
    for rank_class, words in [*CLASSES.items(), ("", "not ranked")]:
        of_class = [_short(row, keys, is_rate=is_rate) for row in shown if row.rank_class == rank_class]
        if of_class:
            blocks.append(Block(f"{page.head.suite}, {page.head.protocol}: {words}", of_class))
    return Table(columns, blocks)


def _short(row: Row, small: Sequence[str], *, is_rate: bool) -> list[Cell]:
    policy = f"{row.policy} {row.version}".strip()
    ends = None if row.low is None or row.high is None else (row.low, row.high)
    interval: Cell = ends if is_rate or ends is None else f"[{ends[0]:.2f}, {ends[1]:.2f}]"
    values = {cell.key: cell.value for cell in row.cells}
    return [row.rank, policy, row.mark.mark.value, row.n_judged, row.score, interval, *map(values.get, small)]


def policy_sheet(page: PolicyPage) -> Sheet:
    """A policy over all boards."""
    columns = ("board", "suite", "protocol", "row", "mark", "mark_says", *_ROW)
    rows = tuple(
        (result.head.slug, result.head.suite, result.head.protocol, *_row(result.row))
        for result in (*page.results, *page.gone)
    )
    return Sheet(columns=columns, rows=rows)


def run_sheet(page: RunPage) -> Sheet:
    """The tasks of a run."""
    names = ("position", "task", "instruction", "k", "n", "rate", "low", "high", "mean_steps")
    tags = sorted({tag for task in page.tasks for tag in task.tags})
    rows = tuple(
        (*(getattr(task, name) for name in names), *(task.tags.get(tag) for tag in tags)) for task in page.tasks
    )
    columns = [Column("Task", "text"), Column("n", "count"), Column("Success", "rate"), Column("95 %", "interval")]
    cells: Iterable[list[Cell]] = (
        [task.task, task.n, task.rate, None if task.low is None or task.high is None else (task.low, task.high)]
        for task in page.tasks
    )
    block = Block(f"{_who(page.row)} on {_where(page.head)}", list(cells))
    return Sheet(columns=(*names, *tags), rows=rows, paper=Table(columns, [block]))


def compare_sheet(page: ComparePage) -> Sheet:
    """Two rows beside each other, task by task."""
    names = ("title", "n_a", "k_a", "rate_a", "n_b", "k_b", "rate_b", "difference")
    rows = tuple(tuple(getattr(task, name) for name in names) for task in page.tasks)
    first, second = _who(page.a), _who(page.b)
    columns = [Column("Task", "text"), Column(first, "rate"), Column(second, "rate"), Column("Difference", "rate")]
    cells: list[list[Cell]] = [[task.title, task.rate_a, task.rate_b, task.difference] for task in page.tasks]
    block = Block(_where(page.head) if page.head else "two boards", cells)
    return Sheet(columns=names, rows=rows, paper=Table(columns, [block]))


def boards_sheet(heads: Sequence[BoardHead]) -> Sheet:
    """All boards, one a row."""
    names = (
        "slug", "title", "suite", "protocol", "renderer_class", "assets", "form", "n_planned", "plan_hash", "frozen",
        "version", "updated_at",
    )  # fmt: skip
    seen = ("n_leaders", "resolvable", "room", "is_saturated")
    rows = tuple(
        (
            *(getattr(head, name) for name in names),
            *(head.counts.get(mark, 0) for mark in _COUNTED),
            *(getattr(head.saturation, name) for name in seen),
        )
        for head in heads
    )
    return Sheet(columns=(*names, *(mark.replace("-", "_") for mark in _COUNTED), *seen), rows=rows)


def latency_sheet(tables: Sequence[LatencyTable]) -> Sheet:
    """Answer times of all devices, fastest first within each."""
    columns = ("device", "precision", "board", "row", "policy", "version", "p50_ms", "p95_ms", "n_queries")
    rows = tuple(
        (table.device, table.precision, line.row.board, line.row.id, line.row.policy, line.row.version, line.p50_ms,
         line.p95_ms, line.n_queries)
        for table in tables
        for line in table.lines
    )  # fmt: skip
    return Sheet(columns=columns, rows=rows)


def suite_sheet(page: SuitePage) -> Sheet:
    """The tasks of a suite."""
    names = ("id", "instruction", "horizon", "stages", "tags")
    return Sheet(columns=names, rows=tuple(tuple(getattr(task, name) for name in names) for task in page.tasks))


def episodes_sheet(page: EpisodesPage) -> Sheet:
    """A page of the episodes of a run."""
    names = (
        "episode_id", "position", "task", "trial", "repeat", "outcome", "error_kind", "n_attempts", "n_steps",
        "n_clipped", "flags",
    )  # fmt: skip
    return Sheet(columns=names, rows=tuple(tuple(getattr(line, name) for name in names) for line in page.lines))


def log_sheet(page: LogPage) -> Sheet:
    """Lines of the public log."""
    names = ("id", "at", "actor", "action", "subject_kind", "subject", "detail")
    return Sheet(columns=names, rows=tuple(tuple(getattr(entry, name) for name in names) for entry in page.entries))


def _who(row: Row) -> str:
    return f"{row.policy} {row.version}".strip()


def _where(head: BoardHead) -> str:
    return f"{head.suite}, {head.protocol}"
