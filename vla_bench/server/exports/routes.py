"""Addresses of exports: those of the pages with `.csv`, `.json`, `.tex`, `.md` or `.bib` behind them, and badges."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from vla_bench.results.database import Database
from vla_bench.server.api.models import EpisodeOut
from vla_bench.server.badges import badge_of, draw
from vla_bench.server.boards import read
from vla_bench.server.boards.views import BoardPage, Row
from vla_bench.server.exports.citation import Citation, bibtex
from vla_bench.server.exports.sheets import (
    Sheet,
    board_sheet,
    boards_sheet,
    compare_sheet,
    episodes_sheet,
    latency_sheet,
    log_sheet,
    policy_sheet,
    run_sheet,
    suite_sheet,
)
from vla_bench.server.exports.writing import MEDIA_TYPES, to_csv, to_json, to_paper
from vla_bench.server.pages.listing import Asked, read_query
from vla_bench.server.problems import Problem

__all__ = ["BOARD_FORMS", "address", "router", "whole_board"]

BATCH = 200
LIST_FORMS = ("csv", "json")
BOARD_FORMS = ("csv", "json", "tex", "md", "bib")
RUN_FORMS = ("csv", "json", "tex", "md", "bib")
MOST_ID = 2**31 - 1

Id = Annotated[int, Path(ge=1, le=MOST_ID)]
_PLAIN = r"^[^\x00]*$"
Text = Annotated[str, Query(max_length=200, pattern=_PLAIN)]
Name = Annotated[str, Path(max_length=200, pattern=_PLAIN)]
router = APIRouter(tags=["exports"])


@router.get("/boards.{form}", summary="All boards")
@router.get("/suites.{form}", summary="All boards: each names its suite")
def boards(request: Request, form: str) -> Response:
    """Every board with its leaders and what it can resolve: `csv` or `json`."""
    _check_form(form, LIST_FORMS)
    heads = read.boards(_database(request))
    return _table(request, form, read.etag(_database(request)), {"boards": heads}, lambda: boards_sheet(heads))


@router.get("/latency.{form}", summary="Answer times, a table each device and precision")
def latency(request: Request, form: str) -> Response:
    """`csv` or `json`."""
    _check_form(form, LIST_FORMS)
    tables = read.latency_tables(_database(request))
    return _table(request, form, read.etag(_database(request)), {"tables": tables}, lambda: latency_sheet(tables))


@router.get("/boards/{slug:path}.{form}", summary="A board as a table, with the filters of its page")
def board(request: Request, slug: str, form: str) -> Response:
    """All rows that pass the filters: `csv`, `json`, `tex`, `md`; `bib` is how the board is cited."""
    _check_form(form, BOARD_FORMS)
    page, rows = whole_board(_database(request), slug, read_query(request.query_params))
    head = page.head
    if form == "bib":
        title = f"{head.suite} {head.protocol} ({head.renderer_class}, {head.assets})"
        return _cited(request, title, f"/boards/{slug}", f"board version {head.version}, of {head.updated_at[:10]}")
    content = {"head": head, "columns": page.columns, "default_settings": page.default_settings, "rows": rows}
    return _table(request, form, f"{head.id}-{head.version}", content, lambda: board_sheet(page, rows))


@router.get("/policies/{family:path}.{form}", summary="A policy over all boards")
def policy(request: Request, family: str, form: str) -> Response:
    """Every result of a family: `csv` or `json`; `bib` is how it is cited."""
    _check_form(form, ("csv", "json", "bib"))
    page = read.policy_page(_database(request), family)
    if form == "bib":
        digests = ", ".join(version.weights_digest[:12] for version in page.versions[:3] if version.weights_digest)
        return _cited(request, page.title, f"/policies/{family}", f"weights {digests}" if digests else "all results")
    return _table(request, form, page.etag, page, lambda: policy_sheet(page))


@router.get("/runs/{run_id}.{form}", summary="The tasks of a run")
def run(request: Request, run_id: Id, form: str) -> Response:
    """Task by task: `csv`, `json` (with everything that its page shows), `tex`, `md`; `bib` is how it is cited."""
    _check_form(form, RUN_FORMS)
    page = read.run_page(_database(request), run_id)
    if form == "bib":
        title = f"{page.row.policy} {page.row.version}".strip() + f" on {page.head.suite} {page.head.protocol}"
        return _cited(request, title, f"/runs/{run_id}", f"plan {page.plan_hash[:12]}, {page.row.mark.mark.value}")
    return _table(request, form, page.etag, page, lambda: run_sheet(page))


@router.get("/runs/{run_id}/episodes.{form}", summary="Episodes of a run, with the filters of their page")
def episodes(request: Request, run_id: Id, form: str, task: Text = "", outcome: Text = "", after: str = "") -> Response:
    """A page of them in plan order: `csv` or `json`, whose `next_after` gives the next one."""
    _check_form(form, LIST_FORMS)
    page = read.episodes_page(_database(request), run_id, task=task, outcome=outcome, after=after, size=BATCH)
    return _table(request, form, page.etag, page, lambda: episodes_sheet(page))


@router.get("/runs/{run_id}/episodes/{episode_id}.json", summary="One episode with its recorded actions")
def episode(request: Request, run_id: Id, episode_id: Name) -> Response:
    """What its page shows."""
    store = request.app.state.store
    page = read.episode_page(store.database, store.traces, run_id, episode_id)
    return _table(request, "json", page.etag, EpisodeOut.of(page).model_dump(mode="json"), _nothing)


@router.get("/compare/{row_a}/{row_b}.{form}", summary="Two rows beside each other, task by task")
def compare(request: Request, row_a: Id, row_b: Id, form: str) -> Response:
    """`csv`, `json` (with everything that the page shows), `tex` or `md`."""
    _check_form(form, ("csv", "json", "tex", "md"))
    page = read.compare_page(_database(request), row_a, row_b, after=request.query_params.get("after", ""))
    return _table(request, form, page.etag, page, lambda: compare_sheet(page))


@router.get("/log.{form}", summary="The public log, newest first")
def log(request: Request, form: str, after: str = "", kind: Text = "", subject: Text = "") -> Response:
    """A page of it, of one subject where it is named as on the page: `csv` or `json`."""
    _check_form(form, LIST_FORMS)
    page = read.log_page(_database(request), subject_kind=kind, subject=subject, after=after)
    return _table(request, form, page.etag, page, lambda: log_sheet(page))


@router.get("/suites/{suite}.{form}", summary="What a suite measures")
def suite(request: Request, suite: str, form: str, after: str = "") -> Response:
    """`json` is what its page shows, `csv` a page of its tasks."""
    _check_form(form, LIST_FORMS)
    page = read.suite_page(_database(request), suite, after=after)
    return _table(request, form, page.etag, page, lambda: suite_sheet(page))


@router.get("/submissions/{submission_id}.json", summary="A submission as everybody may see it")
def submission(request: Request, submission_id: str) -> Response:
    """What its page shows."""
    page = read.submission_page(_database(request), submission_id)
    return _table(request, "json", page.etag, page, _nothing)


@router.get("/badges/{suite}/{family:path}.svg", summary="A badge for a README")
def badge(request: Request, suite: str, family: str) -> Response:
    """The strongest mark of a policy on a suite, its score and interval, as SVG."""
    page = read.policy_page(_database(request), family)
    found = badge_of(page, suite)
    if found is None:
        raise Problem(404, f"{family!r} has no score on suite {suite!r}")
    return _kept(request, page.etag, "svg", lambda: draw(found))


def whole_board(database: Database, slug: str, asked: Asked) -> tuple[BoardPage, list[Row]]:
    """A board with the rows of all of its pages."""
    rows: list[Row] = []
    after = ""
    while True:
        page = read.board_page(
            database, slug, asked.filters, sort=asked.sort, descending=asked.descending, after=after, size=BATCH
        )
        rows += page.rows
        if not page.next_after:
            return page, rows
        after = page.next_after


def address(request: Request, path: str) -> str:
    """The address of a page as readers reach it."""
    base = request.app.state.settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return f"{base.rstrip('/')}{quote(path)}"


def _database(request: Request) -> Database:
    found: Database = request.app.state.store.database
    return found


def _check_form(form: str, known: tuple[str, ...]) -> None:
    if form not in known:
        raise Problem(404, f"this is written as {', '.join(f'.{name}' for name in known)}, not as .{form[:20]}")


def _nothing() -> Sheet:
    return Sheet(columns=(), rows=())


def _table(request: Request, form: str, etag: str, content: Any, sheet: Callable[[], Sheet]) -> Response:
    def write() -> str:
        if form == "json":
            return to_json(content)
        return to_csv(sheet()) if form == "csv" else to_paper(sheet(), form)

    return _kept(request, etag, form, write)


def _cited(request: Request, title: str, path: str, note: str) -> Response:
    citation = Citation.of(title, address(request, path), note, request.app.state.settings.title)
    return Response(bibtex(citation), media_type=MEDIA_TYPES["bib"], headers={"Cache-Control": "no-cache"})


def _kept(request: Request, etag: str, form: str, write: Callable[[], str]) -> Response:
    """An answer with an ETag; not written where the reader has it."""
    tag = hashlib.sha256(f"{form}\0{request.url.query}\0{etag}".encode()).hexdigest()[:16]
    headers = {"ETag": f'W/"{tag}"', "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(write(), media_type=MEDIA_TYPES[form], headers=headers)
