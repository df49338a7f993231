"""From rows of the database to the types of `views`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.leaderboard.boards import BOARD, BOARD_ROW
from vla_bench.results.tables import RUN
from vla_bench.server.boards.marks import Mark, MarkFacts
from vla_bench.server.boards.views import BoardHead, Cell, Column, Leader, Note, Row, Saturation, SettingChange
from vla_bench.spec.errors import NotListed
from vla_bench.spec.settings import EvalSettings

__all__ = [
    "DEFAULT_SETTINGS", "NATIVE", "board_columns", "find_board", "find_rows", "head_of", "row_of", "row_statement",
    "setting_changes",
]  # fmt: skip

DEFAULT_SETTINGS: Mapping[str, Any] = {k: v for k, v in EvalSettings().to_dict().items() if k != "preset"}
NATIVE = frozenset({"ssm_vla", "spatial_forcing", "clad", "dial", "lamp"})
"""Families that this project has trained anew from their papers: their runs say so, unless their authors sent them."""

_NOTHING_SEEN = {
    "n": 0, "resolvable": None, "discordance": None, "n_leaders": 0, "room": None, "is_saturated": False, "text": "",
}  # fmt: skip
_ROW_COLUMNS = [column for column in BOARD_ROW.c if column.name != "vector"]
_RE_MADE = Note(
    kind="reimplementation",
    text="This project's own implementation and training of the published method, not its authors' weights.",
)


def row_statement() -> sa.Select[Any]:
    """Rows with the slug and form of their board and the name of their run."""
    return (
        sa.select(*_ROW_COLUMNS, BOARD.c.slug, BOARD.c.form, RUN.c.name.label("run_name"))
        .join(BOARD, BOARD.c.id == BOARD_ROW.c.board_id)
        .outerjoin(RUN, RUN.c.id == BOARD_ROW.c.run_id)
    )


def find_rows(connection: Connection, ids: list[int]) -> dict[int, Row]:
    """Rows by id; unknown ids are left out."""
    if not ids:
        return {}
    found = connection.execute(row_statement().where(BOARD_ROW.c.id.in_(ids))).mappings()
    return {row["id"]: row_of(row) for row in found}


def find_board(connection: Connection, slug: str) -> RowMapping:
    """The row of a board.

    Raises:
        NotListed: there is none.
    """
    found = connection.execute(sa.select(BOARD).where(BOARD.c.slug == slug)).mappings().first()
    if found is None:
        raise NotListed(f"this leaderboard has no board {slug[:200]!r}")
    return found


def board_columns(board: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns of a board."""
    return tuple(Column(**column) for column in board["columns"])


def head_of(board: Mapping[str, Any]) -> BoardHead:
    """A board without its rows."""
    summary = board["summary"]
    columns = board["columns"]
    n_stages = sum(column["kind"] == "stage" for column in columns) if board["form"] == "avg_length" else 1
    same = ("id", "slug", "title", "suite", "protocol", "renderer_class", "assets", "form", "plan_hash", "n_planned")
    return BoardHead(
        **{name: board[name] for name in (*same, "version", "frozen", "updated_at")},
        n_stages=max(1, n_stages),
        counts=summary.get("counts", {}),
        leaders=tuple(Leader(**leader | {"mark": Mark(leader["mark"])}) for leader in summary.get("leaders", ())),
        rank_class=summary.get("rank_class", ""),
        saturation=Saturation(**_NOTHING_SEEN | summary.get("saturation", {})),
    )


def row_of(row: RowMapping, *, with_bins: bool = False) -> Row:
    """A row of `row_statement`; lists of rows do without the bins of answer times, which are longer than the rest."""
    source = row["source"]
    is_native = row["run_id"] is not None and row["family"] in NATIVE
    is_reimplementation = is_native and source.get("declaration", {}).get("implementation") != "authors"
    notes = tuple(Note(**note) for note in row["notes"])
    same = (
        "id", "form", "run_id", "submission_id", "state", "state_reason", "rank_class", "unranked", "rank_best",
        "rank_worst", "letters", "family", "policy", "version", "kind", "weights_digest", "policy_digest", "eval_hash",
        "score", "low", "high", "bound_low", "bound_high", "n_success", "n_judged", "n_planned", "trained_on",
        "checkpoint_scope", "parameters", "open_weights", "n_runs", "date", "harness",
    )  # fmt: skip
    return Row(
        **{name: row[name] for name in same},
        board=row["slug"],
        efficiency={key: value for key, value in row["efficiency"].items() if with_bins or key != "bins"},
        run=row["run_name"] or "",
        published_key=row["published_key"] or "",
        mark=MarkFacts(**row["facts"] | {"mark": Mark(row["mark"])}),
        is_reimplementation=is_reimplementation,
        cells=tuple(Cell(**cell) for cell in row["cells"]),
        settings=setting_changes(row["settings"], DEFAULT_SETTINGS) if row["settings"] else (),
        notes=(_RE_MADE, *notes) if is_reimplementation else notes,
        source=source if row["run_id"] is None else {},
    )


def setting_changes(settings: Mapping[str, Any], default: Mapping[str, Any]) -> tuple[SettingChange, ...]:
    """What differs; the preset is a name only, and comes last where there is one."""
    names = [name for name in {**default, **settings} if name != "preset"]
    changes = [
        SettingChange(name=name, value=settings.get(name), default=default.get(name))
        for name in names
        if settings.get(name) != default.get(name)
    ]
    if settings.get("preset", "") != default.get("preset", ""):
        changes.append(SettingChange(name="preset", value=settings.get("preset"), default=default.get("preset", "")))
    return tuple(changes)
