"""Pages of boards: all of them, one of them, those of a suite, and a suite itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from vla_bench.server.boards import read
from vla_bench.server.boards.ranking import MANY_TIED
from vla_bench.server.boards.views import BoardHead, BoardPage, LogEntry, SuitePage
from vla_bench.server.pages.listing import (
    CLASSES,
    EVERY,
    VIEWS,
    Asked,
    board_axis,
    column_heads,
    form_fields,
    read_query,
    row_groups,
    shown_columns,
    told_columns,
)
from vla_bench.server.pages.pictures import picture_urls
from vla_bench.server.pages.site import address, database, link, render
from vla_bench.server.pages.words import amount, run_name
from vla_bench.server.problems import Problem

__all__ = ["about_board", "router"]

router = APIRouter(include_in_schema=False)
PAGE = 50
_NEWS = 8
_RENDERERS = {
    "gpu": "rendered on a GPU",
    "software": "rendered in software: a board of its own, for pictures differ",
    "tiny": "rendered by PyBullet's own renderer",
    "none": "no rendered pictures",
    "mixed": "several renderers: a board of its own",
}
_COUNTED = {"gone": "retracted or withdrawn"}
_NEWSWORTHY = ("run_listed", "mark_changed", "run_retracted", "run_withdrawn", "board_frozen", "published_loaded",
              "dispute_opened", "dispute_answered")  # fmt: skip
"""Of the log, what a reader of every week wants to know; the rest is one click away."""


@router.get("/")
def home(request: Request) -> Response:
    """All boards, and what is new."""
    found = read.boards(database(request))
    log = read.log_page(database(request), size=100)
    groups = [
        (title, [_card(head) for head in heads])
        for title, heads in (
            ("Boards with runs", [head for head in found if _n_runs(head)]),
            ("Boards with published figures alone", [head for head in found if not _n_runs(head)]),
        )
        if heads
    ]
    news = [_news(entry) for entry in log.entries if entry.action in _NEWSWORTHY][:_NEWS]
    return render(request, "home.html", etag=f"{read.etag(database(request))}{log.etag}", groups=groups, news=news)


def _n_runs(head: BoardHead) -> int:
    return sum(n for name, n in head.counts.items() if name not in ("published", "variant"))


def _card(head: BoardHead) -> dict[str, Any]:
    counts = ", ".join(
        amount(n, "ablation") if name == "variant" else f"{n} {_COUNTED.get(name, name)}"
        for name, n in head.counts.items()
        if n
    )
    said = {"about": about_board(head), "leading": _leading(head), "saturated": _saturated(head)}
    return {"head": head, "counts": counts or "no rows", **said}


def _saturated(head: BoardHead) -> str:
    seen = head.saturation
    if not seen.is_saturated:
        return ""
    if seen.n_leaders > MANY_TIED:
        return f"{seen.n_leaders} rows share rank 1"
    return "less is left above the leader than this board can tell apart"


def _leading(head: BoardHead) -> str:
    n = len(head.leaders)
    if not n:
        is_published = bool(head.counts.get("published"))
        return "Published figures; none gives what a rank needs." if is_published else "No ranked row yet."
    name = CLASSES[head.rank_class][0]
    return f"{name}: {amount(n, 'row')} may be first" if n > 1 else f"{name}: first"


def about_board(head: BoardHead) -> str:
    """What a board is of, in a line."""
    parts = [f"{head.suite} {head.protocol}", _RENDERERS.get(head.renderer_class, head.renderer_class)]
    if head.assets != "original":
        parts.append("made-up assets, no results")
    if head.n_planned:
        parts.append(amount(head.n_planned, "episode" if head.form == "rate" else "chain"))
    return " · ".join(part for part in parts if part)


def _news(entry: LogEntry) -> dict[str, str]:
    detail = entry.detail
    about = str(detail.get("policy") or detail.get("run") or "")
    reason = str(detail.get("reason") or "")
    text = " ".join(filter(None, (about, entry.action.removeprefix("run_").replace("_", " "))))
    if detail.get("mark"):
        text += f", {detail['mark']}"
    if detail.get("to"):
        text += f" from {detail.get('from')} to {detail['to']}"
    if entry.subject_kind == "submission":
        return {"at": entry.at, "text": text, "target": f"/submissions/{entry.subject}", "target_name": entry.subject}
    is_board = entry.subject_kind == "board" and entry.subject.count("/") >= 3
    return {
        "at": entry.at,
        "text": f"{text}: {reason}" if reason else text,
        "target": f"/boards/{entry.subject}" if is_board else "",
        "target_name": entry.subject if is_board else "",
    }


@router.get("/boards")
def boards(request: Request) -> Response:
    """The list of boards is the front page."""
    return RedirectResponse("/", status_code=308)


@router.get("/boards/{slug:path}")
def board(request: Request, slug: str) -> Response:
    """One board, or the choice where a suite has several."""
    slug = slug.strip("/")
    if slug.count("/") < 3:
        return _choice(request, slug)
    asked = read_query(request.query_params, is_page=True)
    page = read.board_page(
        database(request), slug, asked.filters, sort=asked.sort, descending=asked.descending, after=asked.after,
        size=PAGE,
    )  # fmt: skip
    groups, notes = row_groups(page, asked)
    heads = column_heads(page, asked)
    path = f"/boards/{slug}"
    return render(
        request,
        "board.html",
        # The citation names the day.
        etag=f"{page.head.id}-{page.head.version}-{datetime.now(UTC).date()}",
        page=page,
        about=about_board(page.head),
        heads=heads,
        groups=groups,
        notes=notes,
        axis=board_axis(page),
        fields=form_fields(page, asked),
        is_filtered=asked.is_filtered,
        views=(views := _views(path, page, asked)),
        elsewhere=[] if asked.is_filtered else _elsewhere(page, views),
        told=told_columns(page, asked),
        sorted_by=next((head.title.lower() for head in heads if head.aria), asked.sort),
        hidden_columns=len(page.columns) - len(shown_columns(page, asked)),
        next=link(path, **(asked.plain | {"after": page.next_after})) if page.next_after else "",
        first=link(path, **(asked.plain | {"after": ""})) if asked.after else "",
        page_size=PAGE,
        all_columns="" if asked.plain["columns"] else link(path, **(asked.plain | {"columns": "all"})),
        choices=_choices(page),
        citation=_citation(request, page.head),
        exports=_exports(path, page, asked),
        permalink=address(request, path),
    )


def _views(path: str, page: BoardPage, asked: Asked) -> list[tuple[str, int, str, bool]]:
    """Links to the classes of marks that have rows, with how many: which rows are shown is one click."""
    counts = {facet.value: facet.n for facet in page.facets.get("mark", ())}
    shown = ",".join(page.filters.marks)
    plain = asked.plain | {"after": ""}
    found = []
    for marks, name in VIEWS:
        n = page.n_board if marks == EVERY else sum(counts.get(mark, 0) for mark in marks.split(","))
        is_here = marks == (shown or EVERY)
        if n or is_here:
            found.append((name, n, link(path, **(plain | {"mark": marks})), is_here))
    return found


def _elsewhere(page: BoardPage, views: Sequence[tuple[str, int, str, bool]]) -> list[tuple[int, str, str]]:
    """What stands on this board and not in this view, in words."""
    words = {"Verified": "verified", "Self-reported": "self-reported", "Published": "published"}
    if not page.filters.marks:
        return []
    return [(n, words[name], target) for name, n, target, is_here in views if name in words and n and not is_here]


def _choices(page: BoardPage) -> list[tuple[int, str]]:
    """The rows of this page, to compare two of them; those with a run come first."""
    rows = sorted((row for row in page.rows if row.score is not None), key=lambda row: row.run_id is None)
    return [
        (row.id, " ".join(filter(None, (row.policy, row.version, f"({run_name(row) or row.mark.mark})"))))
        for row in rows
    ]


def _citation(request: Request, head: BoardHead) -> str:
    from vla_bench.server.exports.citation import Citation

    note = f"Board version {head.version}, of {head.updated_at[:10]}"
    url = address(request, f"/boards/{head.slug}")
    return Citation.of(f"{head.suite} {head.protocol}", url, note, request.app.state.settings.title).text


def _exports(path: str, page: BoardPage, asked: Asked) -> list[tuple[str, str]]:
    """The same rows in other forms."""
    shown = {"after": "", "mark": ",".join(page.filters.marks)}
    forms = (("CSV", "csv"), ("JSON", "json"), ("LaTeX", "tex"), ("Markdown", "md"), ("BibTeX", "bib"))
    return [(name, link(f"{path}.{form}", **(asked.plain | shown))) for name, form in forms]


def _choice(request: Request, start: str) -> Response:
    """The boards whose address begins so; the board itself where there is one."""
    found = [head for head in read.boards(database(request)) if f"{head.slug}/".startswith(f"{start}/")]
    if not found:
        raise Problem(404, f"no board is called {start!r}")
    if len(found) == 1:
        return RedirectResponse(link(f"/boards/{found[0].slug}"), status_code=307)
    return render(
        request, "boards.html", etag=read.etag(database(request)), suite=start, cards=[_card(head) for head in found]
    )


@router.get("/suites")
def suites(request: Request) -> Response:
    """All suites that have a board."""
    found = sorted(read.boards(database(request)), key=lambda head: head.suite)
    rows = [_suite_row(name, list(heads)) for name, heads in groupby(found, key=lambda head: head.suite)]
    return render(request, "suites.html", etag=read.etag(database(request)), rows=rows)


def _suite_row(name: str, heads: Sequence[BoardHead]) -> dict[str, Any]:
    title = next((head.title for head in heads if head.title), "")
    return {
        "name": name,
        "title": title,
        "heads": heads,
        "n_runs": sum(_n_runs(head) for head in heads),
        "n_published": sum(head.counts.get("published", 0) for head in heads),
        "resolvable": next((h.saturation.resolvable for h in heads if h.saturation.resolvable is not None), None),
        "is_rate": heads[0].form == "rate",
    }


@router.get("/suites/{suite}")
def suite(request: Request, suite: str) -> Response:
    """What a suite measures, its protocols, tasks and traps."""
    page = read.suite_page(database(request), suite, after=request.query_params.get("after", ""))
    path = f"/suites/{suite}"
    pictures = picture_urls(request.app.state.settings, suite, [task.id for task in page.tasks])
    return render(
        request,
        "suite.html",
        etag=f"{page.etag}{pictures}",
        pictures=pictures,
        page=page,
        cards=[_card(head) for head in page.boards],
        interface=_interface(page),
        next=link(path, after=page.next_after) if page.next_after else "",
        first=link(path) if request.query_params.get("after") else "",
    )


def _interface(page: SuitePage) -> dict[str, Any]:
    """What a policy sees and gives, for people."""
    found: dict[str, Any] = {f"camera {camera.get('name', '')}": camera for camera in page.cameras}
    found["state"] = page.state
    found |= {f"action, {name}": value for name, value in page.action.items()}
    return found
