"""The list of boards, and one board with its rows.

A board's rows are ordered and filtered by a light index of them, a dozen plain columns a row, found by the board's
index; then the rows of one page are read by their ids. So every order and filter costs the same on both databases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from vla_bench.results.database import Database
from vla_bench.results.leaderboard.boards import BOARD, BOARD_ROW
from vla_bench.server.boards.marks import RANK_CLASS, Mark
from vla_bench.server.boards.ranking import CLASSES
from vla_bench.server.boards.reading.cursor import decode, encode, etag_of
from vla_bench.server.boards.reading.shape import DEFAULT_SETTINGS, board_columns, find_board, find_rows, head_of
from vla_bench.server.boards.views import BoardHead, BoardPage, Facet, Filters, Row
from vla_bench.spec.errors import NotListed, UsageError

__all__ = ["MOST_ROWS", "board_page", "boards", "etag", "row"]

MOST_ROWS = 200
VARIANT = "variant"

_LIGHT = (
    "id", "state", "mark", "rank_class", "unranked", "score", "low", "high", "bound_low", "bound_high", "policy",
    "version", "family", "trained_on", "checkpoint_scope", "parameters", "open_weights", "date", "n_judged", "n_runs",
)  # fmt: skip
_SORTS: Mapping[str, Callable[[RowMapping], Any]] = {
    "policy": lambda row: f"{row['policy'].lower()} {row['version']}",
    "score": lambda row: row["score"],
    "n": lambda row: row["n_judged"],
    "date": lambda row: row["date"] or None,
    "parameters": lambda row: row["parameters"],
    "runs": lambda row: row["n_runs"],
    "mark": lambda row: list(Mark).index(Mark(row["mark"])),
}
_FACETS = ("mark", "trained_on", "checkpoint_scope", "family", "hardware")
_HARDWARE = BOARD_ROW.c.efficiency["device"].as_string().label("hardware")
_VERIFIED = (Mark.RE_RUN.value, Mark.REPLAYED.value)


def etag(database: Database) -> str:
    """See `vla_bench.server.boards.read`."""
    with database.read() as connection:
        counted = sa.select(sa.func.count(), sa.func.sum(BOARD.c.version)).select_from(BOARD)
        return etag_of("boards", *connection.execute(counted).one())


def boards(database: Database) -> tuple[BoardHead, ...]:
    """See `vla_bench.server.boards.read`."""
    with database.read() as connection:
        found = connection.execute(sa.select(BOARD).order_by(BOARD.c.slug)).mappings().all()
    return tuple(head_of(board) for board in sorted(found, key=lambda board: not board["plan_hash"]))


def row(database: Database, row_id: int) -> Row:
    """See `vla_bench.server.boards.read`."""
    with database.read() as connection:
        found = find_rows(connection, [row_id])
    if row_id not in found:
        raise NotListed(f"this leaderboard has no row {row_id}")
    return found[row_id]


def board_page(
    database: Database, slug: str, filters: Filters, *, sort: str, descending: bool, after: str, size: int
) -> BoardPage:
    """See `vla_bench.server.boards.read`."""
    if not 1 <= size <= MOST_ROWS:
        raise UsageError(f"a page has 1 to {MOST_ROWS} rows, not {size}")
    _check_marks(filters)
    with database.read() as connection:
        board = find_board(connection, slug)
        value = _sort_value(sort, board)
        names = (*_LIGHT, "cells") if sort not in (*_SORTS, "rank") else _LIGHT
        light = connection.execute(
            sa.select(*(BOARD_ROW.c[name] for name in names), _HARDWARE).where(BOARD_ROW.c.board_id == board["id"])
        ).mappings().all()  # fmt: skip
        filters = _resolved(filters, light)
        chosen = [each for each in light if _passes(each, filters)]
        keyed = sorted((_key(value(each), each["id"], descending), each["id"]) for each in chosen)
        start = 0
        if after:
            last = _after_key(after, descending)
            start = sum(_comparable(key, last) <= 0 for key, _ in keyed)
        page = keyed[start : start + size]
        rows = find_rows(connection, [row_id for _, row_id in page])
    main = [each for each in light if each["rank_class"] != VARIANT]
    has_more = start + size < len(keyed)
    return BoardPage(
        head=head_of(board),
        columns=board_columns(board),
        filters=filters,
        sort=sort,
        descending=descending,
        rows=tuple(rows[row_id] for _, row_id in page),
        n_total=len(chosen),
        n_board=len(main),
        next_after=_cursor(page[-1][0]) if has_more else "",
        axis=_axis(chosen),
        facets=_facets(main),
        default_settings=DEFAULT_SETTINGS,
    )


class _Reversed:
    """A value whose order is the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


_Key = tuple[bool, Any, int]


def _key(value: Any, row_id: int, descending: bool) -> _Key:
    """Rows without the value come last, whichever way; equal ones in the order of their ids."""
    missing = value is None
    plain = 0 if missing else value
    return missing, _Reversed(plain) if descending else plain, row_id


def _cursor(key: _Key) -> str:
    value = key[1].value if isinstance(key[1], _Reversed) else key[1]
    return encode(key[0], *(value if isinstance(value, tuple) else (value,)), key[2])


def _after_key(after: str, descending: bool) -> _Key:
    try:
        key = decode(after, 3)
    except UsageError:
        key = decode(after, 5)  # the three parts of a rank
    missing, *parts, row_id = key
    value: Any = parts[0] if len(parts) == 1 else tuple(parts)
    if not isinstance(missing, (bool, int)) or not isinstance(row_id, int):
        raise UsageError(f"after={after[:80]!r} is no cursor of this list: leave it out to begin at the first page")
    return bool(missing), _Reversed(value) if descending else value, row_id


def _comparable(key: _Key, last: _Key) -> int:
    """-1, 0 or 1; a cursor of another sort cannot be compared.

    Raises:
        UsageError: it is one.
    """
    try:
        return 0 if key == last else (-1 if key < last else 1)
    except TypeError as error:
        raise UsageError("after= is a cursor of another sort: leave it out to begin at the first page") from error


def _sort_value(sort: str, board: Mapping[str, Any]) -> Callable[[RowMapping], Any]:
    if sort == "rank":
        return _rank_order
    if sort in _SORTS:
        return _SORTS[sort]
    if any(column["key"] == sort for column in board["columns"]):
        return lambda row: next((cell["value"] for cell in row["cells"] if cell["key"] == sort), None)
    known = ", ".join(["rank", *_SORTS, *(column["key"] for column in board["columns"])])
    raise UsageError(f"sort={sort[:80]!r} is none of: {known}")


def _rank_order(row: RowMapping) -> tuple[int, int, float]:
    """State, class of mark, score: the best first."""
    state = {"listed": 0, "incomplete": 2}.get(row["state"], 3)
    if row["rank_class"] == VARIANT:
        state = 1
    name = RANK_CLASS[Mark(row["mark"])]
    place = CLASSES.index(name) if name == "published" or not row["unranked"] else len(CLASSES)
    return state, place, -row["score"] if row["score"] is not None else 1.0


def _check_marks(filters: Filters) -> None:
    known = [mark.value for mark in Mark]
    if strangers := [mark for mark in filters.marks if mark not in known]:
        raise UsageError(f"mark={strangers[0][:80]!r} is none of: {', '.join(known)}")


def _resolved(filters: Filters, rows: Sequence[RowMapping]) -> Filters:
    """With the marks that `strongest` stands for on this board."""
    if filters.marks or not filters.strongest:
        return filters
    is_verified = any(row["rank_class"] == "verified" and row["score"] is not None for row in rows)
    return replace(filters, marks=_VERIFIED if is_verified else ())


def _passes(row: RowMapping, filters: Filters) -> bool:
    n = row["parameters"]
    return (
        (filters.variants or row["rank_class"] != VARIANT)
        and (not filters.marks or row["mark"] in filters.marks)
        and filters.trained_on in ("", row["trained_on"])
        and filters.checkpoint_scope in ("", row["checkpoint_scope"])
        and filters.family in ("", row["family"])
        and filters.hardware in ("", row["hardware"])
        and (not filters.open_weights or bool(row["open_weights"]))
        and (filters.min_parameters is None or (n is not None and n >= filters.min_parameters))
        and (filters.max_parameters is None or (n is not None and n <= filters.max_parameters))
        and (not filters.since or row["date"][:10] >= filters.since)
        and (not filters.until or bool(row["date"] and row["date"][:10] <= filters.until))
    )


def _axis(rows: Sequence[RowMapping]) -> tuple[float, float] | None:
    names = ("score", "low", "high", "bound_low", "bound_high")
    values = [row[name] for row in rows for name in names if row[name] is not None]
    return (min(values), max(values)) if values else None


def _facets(rows: Sequence[RowMapping]) -> dict[str, tuple[Facet, ...]]:
    facets = {}
    for name in _FACETS:
        counts = Counter(str(row[name]) for row in rows if row[name] is not None)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        facets[name] = tuple(Facet(value=value, n=n) for value, n in ordered)
    return facets
