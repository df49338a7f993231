"""Tables that pages are made of: boards, their rows, pairs of rows, tasks of rows.

Written in the transaction that lists or changes a run, so that no page ever counts episodes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field

from vla_bench.results.tables import Table

__all__ = [
    "BOARD",
    "BOARD_PAIR",
    "BOARD_ROW",
    "TASK_CELL",
    "BoardPairRow",
    "BoardRowRow",
    "BoardTableRow",
    "TaskCellRow",
]


def _json() -> Any:
    return Field(sa_column=sa.Column(sa.JSON, nullable=False))


def _text() -> Any:
    return Field(sa_column=sa.Column(sa.Text, nullable=False))


class BoardTableRow(Table, table=True):
    """Where runs of one suite, protocol, class of renderer and class of assets stand side by side."""

    __tablename__: ClassVar[Any] = "board"
    __table_args__ = (sa.Index("ix_board_suite_protocol", "suite", "protocol"),)

    id: int | None = Field(default=None, primary_key=True)
    # `suite/protocol/renderer-class/assets`, the protocol with a dash for its slash.
    slug: str = Field(max_length=500, unique=True)
    title: str = Field(max_length=300)
    suite: str = Field(max_length=200)
    protocol: str = Field(max_length=200)
    # Empty until a run stands here: published figures name no plan.
    plan_hash: str = Field(max_length=64)
    n_planned: int
    renderer_class: str = Field(max_length=20)
    assets: str = Field(max_length=20)
    # `rate` or `avg_length`.
    form: str = Field(max_length=20)
    columns: list[dict[str, Any]] = _json()
    # Counts by mark, the leaders, what difference the board still resolves: what the list of boards shows.
    summary: dict[str, Any] = _json()
    # Grows with every change: the ETag of everything that shows this board.
    version: int
    # Why nothing is added any more, with the successor; empty while it is open.
    frozen: str = _text()
    updated_at: str = Field(max_length=40)


class BoardRowRow(Table, table=True):
    """A run, or a published figure, on its board. Rows are never deleted: they become tombstones."""

    __tablename__: ClassVar[Any] = "board_row"
    __table_args__ = (
        sa.UniqueConstraint("board_id", "run_id"),
        sa.Index("ix_board_row_board_id_rank_class", "board_id", "rank_class"),
        sa.Index("ix_board_row_family_date", "family", "date"),
        sa.Index("ix_board_row_policy_digest", "policy_digest"),
    )

    id: int | None = Field(default=None, primary_key=True)
    board_id: int = Field(foreign_key="board.id")
    run_id: int | None = Field(default=None, foreign_key="run.id", index=True)
    submission_id: str = Field(max_length=40)
    published_key: str | None = Field(default=None, max_length=300, unique=True)
    # `listed`, `incomplete`, `retracted` or `withdrawn`; the reason is public.
    state: str = Field(max_length=20)
    state_reason: str = _text()
    mark: str = Field(max_length=20)
    # Rows are ranked within `verified`, `self-reported` or `published`; `variant` and empty are not ranked.
    rank_class: str = Field(max_length=20)
    unranked: str = _text()
    family: str = Field(max_length=200)
    policy: str = Field(max_length=200)
    version: str = Field(max_length=200)
    kind: str = Field(max_length=20)
    weights_digest: str = Field(max_length=200)
    policy_digest: str = Field(max_length=64)
    eval_hash: str = Field(max_length=64)
    score: float | None
    low: float | None
    high: float | None
    # Where the score can lie while episodes are missing.
    bound_low: float | None
    bound_high: float | None
    n_success: int | None
    n_judged: int | None
    n_planned: int | None
    rank_best: int | None
    rank_worst: int | None
    letters: str = Field(max_length=200)
    trained_on: str = Field(max_length=200)
    checkpoint_scope: str = Field(max_length=40)
    parameters: int | None = Field(default=None, sa_type=sa.BigInteger)
    open_weights: bool | None
    n_runs: int
    date: str = Field(max_length=40)
    harness: str = Field(max_length=80)
    entered_at: str = Field(max_length=40)
    cells: list[dict[str, Any]] = _json()
    settings: dict[str, Any] = _json()
    notes: list[dict[str, Any]] = _json()
    # What the mark was computed from.
    facts: dict[str, Any] = _json()
    # Latencies, steps, device and precision; of published figures, parameters, memory and rates.
    efficiency: dict[str, Any] = _json()
    # Paper, table and line of a published figure; command and fingerprint of a run.
    source: dict[str, Any] = _json()
    # Outcomes (and lengths of chains) in plan order, packed: two runs are paired without reading an episode.
    vector: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))


class BoardPairRow(Table, table=True):
    """Two ranked rows of one plan, compared episode by episode; `row_a < row_b`."""

    __tablename__: ClassVar[Any] = "board_pair"

    board_id: int = Field(
        sa_column=sa.Column(sa.Integer, sa.ForeignKey("board.id", ondelete="CASCADE"), primary_key=True)
    )
    row_a: int = Field(
        sa_column=sa.Column(sa.Integer, sa.ForeignKey("board_row.id", ondelete="CASCADE"), primary_key=True)
    )
    row_b: int = Field(
        sa_column=sa.Column(sa.Integer, sa.ForeignKey("board_row.id", ondelete="CASCADE"), primary_key=True)
    )
    n: int
    # Episodes in which a alone, or b alone, succeeded (went further, for chains).
    b_count: int
    c_count: int
    # Score of a minus that of b.
    difference: float
    p: float


class TaskCellRow(Table, table=True):
    """One task of a run on a board: `k` successes of `n` judged episodes, `steps` in all."""

    __tablename__: ClassVar[Any] = "task_cell"

    row_id: int = Field(
        sa_column=sa.Column(sa.Integer, sa.ForeignKey("board_row.id", ondelete="CASCADE"), primary_key=True)
    )
    position: int = Field(primary_key=True)
    task: str = Field(max_length=200)
    n: int
    k: int
    steps: int = Field(sa_type=sa.BigInteger)


def _table(name: str) -> sa.Table:
    return Table.metadata.tables[name]


BOARD, BOARD_ROW = _table("board"), _table("board_row")
BOARD_PAIR, TASK_CELL = _table("board_pair"), _table("task_cell")
