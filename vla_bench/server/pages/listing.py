"""A board's page as its template wants it: which filters were asked for, which columns have room, notes by number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from vla_bench.results.report.words import count_text
from vla_bench.server.boards.views import BoardPage, Cell, Column, Filters, Note, Row
from vla_bench.server.pages.charts import Axis, Span, fitted_axis, rate_axis, span
from vla_bench.server.pages.site import link
from vla_bench.server.pages.words import bounds, score_text
from vla_bench.server.problems import Problem

__all__ = [
    "CLASSES",
    "EVERY",
    "VIEWS",
    "Asked",
    "Head",
    "RowView",
    "board_axis",
    "column_heads",
    "form_fields",
    "read_query",
    "row_groups",
    "told_columns",
]

MOST_COLUMNS = 7
"""Small numbers beside a score; where there are more, groups alone are shown unless all are asked for."""
MOST_ASKED = 12
"""Of those: a page stays below 150 kB; the CSV has them all."""
CLASSES = {
    "verified": ("Verified", "replayed or re-run; ranked among themselves"),
    "self-reported": ("Self-reported", "complete bundles that nobody has replayed; ranked among themselves"),
    "published": ("Published", "figures from papers, cited; ranked apart, and only where a count is given"),
    "": ("Not ranked", "oracles, stand-ins, incomplete runs and figures without a count; struck rows were taken back"),
}
MARKS = ("re-run", "replayed", "self-reported", "published")
VERIFIED, EVERY = "re-run,replayed", "all"
"""What `mark` is in the address of two views: verified rows, and all rows. Without it the board chooses."""
VIEWS = ((VERIFIED, "Verified"), ("self-reported", "Self-reported"), ("published", "Published"), (EVERY, "All rows"))
_SORTS = ("rank", "score", "policy", "n", "mark", "parameters", "runs", "date")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an address asks of a board: filters, sort and place; `plain` is the same as it stands in addresses."""

    filters: Filters
    sort: str
    descending: bool
    after: str
    plain: Mapping[str, str]

    @property
    def is_filtered(self) -> bool:
        """Whether anything but a view and a place in it is asked for."""
        is_mark = self.plain["mark"] not in ("", *(marks for marks, _ in VIEWS))
        return is_mark or _is_narrowed(self.plain)


def _is_narrowed(plain: Mapping[str, str]) -> bool:
    return any(value for name, value in plain.items() if name not in ("mark", "sort", "dir", "after", "columns"))


def read_query(query: Mapping[str, str], *, is_page: bool = False) -> Asked:
    """Read the GET parameters of a board.

    Args:
        query: as they stand in the address.
        is_page: a page to look at: with no parameter it shows the strongest rows. A table for programs has all.

    Raises:
        Problem: 400, a number or a date is none.
    """
    names = (
        "mark",
        "trained_on",
        "scope",
        "family",
        "hardware",
        "weights",
        "min_b",
        "max_b",
        "since",
        "until",
        "variants",
        "columns",
    )
    plain = {name: query.get(name, "").strip()[:200] for name in (*names, "sort", "dir", "after")}
    marks = tuple(mark for mark in plain["mark"].split(",") if mark and plain["mark"] != EVERY)
    if unknown := [mark for mark in marks if mark not in MARKS]:
        raise Problem(400, f"there is no mark {unknown[0]!r}; there are {', '.join(MARKS)}")
    filters = Filters(
        marks=marks,
        strongest=is_page and not plain["mark"] and not _is_narrowed(plain),
        trained_on=plain["trained_on"],
        checkpoint_scope=plain["scope"],
        family=plain["family"],
        hardware=plain["hardware"],
        open_weights=plain["weights"] == "open",
        min_parameters=_billions(plain["min_b"]),
        max_parameters=_billions(plain["max_b"]),
        since=plain["since"],
        until=plain["until"],
        variants=plain["variants"] == "yes",
    )
    return Asked(
        filters=filters,
        sort=plain["sort"] or "rank",
        descending=plain["dir"] == "desc",
        after=plain["after"],
        plain=plain,
    )


def _billions(text: str) -> int | None:
    if not text:
        return None
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1e6:
        raise Problem(400, f"parameters are given in billions, not as {text!r}")
    return round(found * 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A header of the table: its link sorts by it; `aria` is `ascending`, `descending` or empty."""

    title: str
    classes: str = ""
    href: str = ""
    aria: str = ""


def shown_columns(page: BoardPage, asked: Asked) -> tuple[Column, ...]:
    """The columns that have room: all of them, or groups without tasks where they are many.

    A column without a number on the page is none, nor is a single group, which is the score again.
    """
    if asked.plain["columns"] == "all":
        return tuple(page.columns[:MOST_ASKED])
    found = [column for column in page.columns if _tells(page, column)]
    if len(found) > MOST_COLUMNS:
        found = [column for column in found if column.kind != "task"]
    return tuple(found[:MOST_COLUMNS])


def _tells(page: BoardPage, column: Column) -> bool:
    found = [(row.score, cell.value) for row in page.rows for cell in row.cells if cell.key == column.key]
    is_whole = column.kind == "group" and sum(other.kind == "group" for other in page.columns) == 1
    has_more = any(value is not None and not (is_whole and value == score) for score, value in found)
    return has_more or page.sort == column.key


def column_heads(page: BoardPage, asked: Asked) -> list[Head]:
    """The headers, from left to right."""
    path = f"/boards/{page.head.slug}"

    def head(title: str, key: str, classes: str = "", *, falls: bool = True) -> Head:
        is_here = page.sort == key
        # A second click turns the order round; numbers begin with the largest.
        descending = not page.descending if is_here else falls
        query = asked.plain | {"sort": key, "dir": "desc" if descending else "", "after": ""}
        aria = ("descending" if page.descending else "ascending") if is_here else ""
        return Head(title=title, classes=classes, href=link(path, **query), aria=aria)

    return [
        head("Rank", "rank", falls=False),
        head("Policy", "policy", falls=False),
        head("Score" if page.head.form == "rate" else "Average length", "score", "number"),
        Head(title="", classes="plot"),
        head("Episodes", "n", "number"),
        head("Mark", "mark"),
        *(head(_title(column), column.key, "number") for column in shown_columns(page, asked)),
        *(_DECLARED[name](head) for name in told_columns(page, asked)),
    ]


_DECLARED: Mapping[str, Callable[[Callable[..., Head]], Head]] = {
    "settings": lambda head: Head(title="Settings"),
    "trained_on": lambda head: Head(title="Trained on"),
    "parameters": lambda head: head("Parameters", "parameters", "number"),
    "runs": lambda head: head("Runs", "runs", "number"),
    "date": lambda head: head("Date", "date", "number"),
}
_TOLD: Mapping[str, Callable[[Row], Any]] = {
    "settings": lambda row: row.run_id is not None,
    "trained_on": lambda row: row.trained_on != "undeclared" or row.checkpoint_scope not in ("", "undeclared"),
    "parameters": lambda row: row.parameters,
    "runs": lambda row: row.n_runs,
    "date": lambda row: row.date,
}


def told_columns(page: BoardPage, asked: Asked) -> tuple[str, ...]:
    """The columns on the right of which at least one row of the page has something to tell; all where all are asked."""
    wants_all = asked.plain["columns"] == "all"
    return tuple(name for name, tells in _TOLD.items() if wants_all or name == page.sort or any(map(tells, page.rows)))


def board_axis(page: BoardPage) -> Axis | None:
    """The axis that all rows of a board share, from its data."""
    if page.axis is None:
        return None
    if page.head.form == "rate":
        return rate_axis(page.axis)
    return fitted_axis(page.axis, lambda value: f"{value:g}", limits=(0.0, float(page.head.n_stages)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallNumber:
    """A cell: its text, or why there is none."""

    title: str
    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowView:
    """A row with what is drawn of it."""

    row: Row
    span: Span
    cells: tuple[SmallNumber, ...]
    notes: tuple[int, ...]
    classes: str
    source: str
    parameters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """Rows that are ranked together; without a title where the sort mixes them."""

    title: str
    about: str
    rows: tuple[RowView, ...]


def row_groups(page: BoardPage, asked: Asked) -> tuple[tuple[RowGroup, ...], tuple[Note, ...]]:
    """The rows by class of rank where they are sorted by rank, and their notes, each once."""
    axis = board_axis(page) or Axis(0.0, 1.0)
    columns = shown_columns(page, asked)
    numbers: dict[Note, int] = {}
    views = [row_view(row, columns, axis, numbers) for row in page.rows]
    if page.sort != "rank":
        return (RowGroup(title="", about="", rows=tuple(views)),), tuple(numbers)
    groups = [
        RowGroup(title=CLASSES[name][0], about=CLASSES[name][1], rows=tuple(rows))
        for name, rows in groupby(views, key=lambda view: _class(view.row))
    ]
    return tuple(groups), tuple(numbers)


def _class(row: Row) -> str:
    if row.published_key and not row.is_gone:
        return "published"
    return row.rank_class if row.rank else ""


def row_view(row: Row, columns: Sequence[Column], axis: Axis, numbers: dict[Note, int]) -> RowView:
    """A row with what is drawn of it; `numbers` grows by the notes that it has not seen."""
    is_rate = row.form == "rate"
    found = {cell.key: cell for cell in row.cells}
    is_incomplete = row.score is None
    low, high = (row.bound_low, row.bound_high) if is_incomplete else (row.low, row.high)
    said = f"{score_text(row.score, is_rate=is_rate)} {bounds(low, high, is_rate=is_rate)}".strip()
    flags = {
        "tied": row.rank_best == 1 and row.rank_class == "verified",
        "quiet": row.rank_class != "verified",
        "gone": row.is_gone,
    }
    return RowView(
        row=row,
        span=span(axis, row.score, low, high, words=said, is_bounds=is_incomplete),
        cells=tuple(_small(found.get(column.key), column) for column in columns),
        notes=tuple(numbers.setdefault(note, len(numbers) + 1) for note in row.notes),
        classes=" ".join(name for name, is_so in flags.items() if is_so),
        source=source_text(row.source),
        parameters=count_text(row.parameters) if row.parameters else "",
    )


def _title(column: Column) -> str:
    """A bare number above chains says little: at least so many subtasks in a row."""
    return f"≥ {column.title}" if column.kind == "stage" and column.title.isdecimal() else column.title


def _small(cell: Cell | None, column: Column) -> SmallNumber:
    if cell is None or cell.value is None:
        return SmallNumber(title=_title(column), text="", reason=(cell.text if cell else "") or "not known")
    return SmallNumber(title=_title(column), text=f"{100 * cell.value:.1f}", reason="")


def source_text(source: Mapping[str, Any]) -> str:
    """Where a published figure stands: paper, table and line."""
    parts = [str(source[name]) for name in ("paper", "table") if source.get(name)]
    if source.get("line"):
        parts.append(f"line {source['line']}")
    return ", ".join(parts)


def form_fields(page: BoardPage, asked: Asked) -> list[dict[str, Any]]:
    """The fields of the filter form, each with its options where there are few."""

    def facet(name: str, key: str, label: str) -> dict[str, Any]:
        options = [
            ("", "any"),
            *((item.value, f"{item.value or 'undeclared'} ({item.n})") for item in page.facets.get(key, ())[:60]),
        ]
        if asked.plain[name] and asked.plain[name] not in dict(options):
            options.append((asked.plain[name], asked.plain[name]))
        return {"name": name, "label": label, "options": options, "value": asked.plain[name]}

    marks = [(item.value, f"{item.value} ({item.n})") for item in page.facets.get("mark", ())]
    if len(page.filters.marks) == 1 and page.filters.marks[0] not in dict(marks):
        marks.append((page.filters.marks[0],) * 2)
    sorts = [(name, name.replace("n", "episodes") if name == "n" else name) for name in _SORTS]
    sorts += [(column.key, column.title) for column in shown_columns(page, asked)]
    return [
        {
            "name": "mark",
            "label": "mark",
            "options": [(EVERY, "any"), (VERIFIED, "verified"), *marks],
            "value": ",".join(page.filters.marks) or EVERY,
        },
        facet("trained_on", "trained_on", "trained on"),
        facet("scope", "checkpoint_scope", "checkpoint"),
        facet("family", "family", "policy family"),
        *(
            [facet("hardware", "hardware", "hardware")]
            if page.facets.get("hardware") or asked.plain["hardware"]
            else []
        ),
        {
            "name": "weights",
            "label": "weights",
            "options": [("", "any"), ("open", "open")],
            "value": asked.plain["weights"],
        },
        {
            "name": "min_b",
            "label": "parameters, at least (billions)",
            "options": [],
            "type": "number",
            "value": asked.plain["min_b"],
        },
        {
            "name": "max_b",
            "label": "at most (billions)",
            "options": [],
            "type": "number",
            "value": asked.plain["max_b"],
        },
        {"name": "since", "label": "since", "options": [], "type": "date", "value": asked.plain["since"]},
        {"name": "until", "label": "until", "options": [], "type": "date", "value": asked.plain["until"]},
        {
            "name": "variants",
            "label": "papers' ablations",
            "options": [("", "left out"), ("yes", "shown")],
            "value": asked.plain["variants"],
        },
        {"name": "sort", "label": "sort by", "options": sorts, "value": asked.sort},
        {
            "name": "dir",
            "label": "order",
            "options": [("", "smallest or best first"), ("desc", "largest or worst first")],
            "value": asked.plain["dir"],
        },
    ]
