"""The operations of `/api/v1`, all for reading. Lists go on with `?after=`, the `next_after` of the page before."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from vla_bench.results.database import Database
from vla_bench.server.api.answers import PROBLEMS, answer
from vla_bench.server.api.models import Boards, EpisodeOut, RunOut, ScoreChanges
from vla_bench.server.boards import read
from vla_bench.server.boards.views import (
    BoardHead,
    BoardPage,
    ComparePage,
    EpisodesPage,
    Filters,
    LatencyTable,
    LogPage,
    Mark,
    PolicyPage,
    Row,
    SuitePage,
)
from vla_bench.server.pages.changes import score_changes
from vla_bench.spec.errors import NotListed
from vla_bench.spec.outcomes import Outcome

__all__ = ["router"]


router = APIRouter(prefix="/api/v1", tags=["read"], responses=PROBLEMS)

_PLAIN = r"^[^\x00]*$"
_DATE = r"^(\d{4}-\d{2}-\d{2})?$"
_MOST = 2**31 - 1

Id = Annotated[int, Path(ge=1, le=_MOST)]
Part = Annotated[str, Path(max_length=200, pattern=r"^[A-Za-z0-9_.-]+$")]
Name = Annotated[str, Path(max_length=200, pattern=_PLAIN)]
Text = Annotated[str, Query(max_length=200, pattern=_PLAIN)]
After = Annotated[str, Query(max_length=1000, description="`next_after` of the page before", pattern=_PLAIN)]


@router.get("/boards", response_model=Boards, summary="List the boards")
def list_boards(
    request: Request, suite: Text = "", after: Text = "", size: Annotated[int, Query(ge=1, le=500)] = 100
) -> Response:
    """Boards in the order of their slugs, of one suite where it is named; `after` is a slug."""
    database = _database(request)
    found = sorted(read.boards(database), key=lambda board: board.slug)
    wanted = [board for board in found if suite in ("", board.suite) and board.slug > after]
    page = tuple(wanted[:size])
    content = Boards(boards=page, next_after=page[-1].slug if len(wanted) > size else "")
    return answer(request, Boards, content, read.etag(database))


@router.get("/boards/{suite}/{protocol}/{renderer}/{assets}", response_model=BoardHead, summary="Get a board")
def get_board(request: Request, suite: Part, protocol: Part, renderer: Part, assets: Part) -> Response:
    """A board without its rows; the four parts of the path are its slug."""
    slug = f"{suite}/{protocol}/{renderer}/{assets}"
    found = [board for board in read.boards(_database(request)) if board.slug == slug]
    if not found:
        raise NotListed(f"this leaderboard has no board {slug!r}")
    return answer(request, BoardHead, found[0], f"{slug} {found[0].version}")


@router.get("/boards/{suite}/{protocol}/{renderer}/{assets}/rows", response_model=BoardPage, summary="List its rows")
def list_rows(
    request: Request,
    suite: Part,
    protocol: Part,
    renderer: Part,
    assets: Part,
    mark: Annotated[list[Mark], Query(description="any of these marks; all where none is named")] = [],  # noqa: B006
    trained_on: Text = "",
    checkpoint_scope: Text = "",
    family: Text = "",
    hardware: Annotated[str, Query(max_length=200, description="as declared", pattern=_PLAIN)] = "",
    open_weights: bool = False,
    min_parameters: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
    max_parameters: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
    since: Annotated[str, Query(pattern=_DATE, description="`2026-11-01`")] = "",
    until: Annotated[str, Query(pattern=_DATE)] = "",
    variants: Annotated[bool, Query(description="ablations of papers too")] = False,
    sort: Annotated[str, Query(max_length=300, description="`rank`, `policy`, `score`, … or a column's key")] = "rank",
    descending: bool = False,
    after: After = "",
    size: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Rows of a board with rank ranges, intervals, marks and footnotes. Rows without the sorted value come last."""
    filters = Filters(
        marks=tuple(each.value for each in mark),
        trained_on=trained_on,
        checkpoint_scope=checkpoint_scope,
        family=family,
        hardware=hardware,
        open_weights=open_weights,
        min_parameters=min_parameters,
        max_parameters=max_parameters,
        since=since,
        until=until,
        variants=variants,
    )
    slug = f"{suite}/{protocol}/{renderer}/{assets}"
    page = read.board_page(
        _database(request), slug, filters, sort=sort, descending=descending, after=after, size=size
    )  # fmt: skip
    return answer(request, BoardPage, page, f"{slug} {page.head.version}")


@router.get("/rows/{row_id}", response_model=Row, summary="Get a row")
def get_row(request: Request, row_id: Id) -> Response:
    """One row of a board; its id is permanent."""
    database = _database(request)
    return answer(request, Row, read.row(database, row_id), read.etag(database))


@router.get("/policies/{family}", response_model=PolicyPage, summary="Get a policy")
def get_policy(request: Request, family: Name) -> Response:
    """All results of a family of policies, over all boards and versions."""
    page = read.policy_page(_database(request), family)
    return answer(request, PolicyPage, page, page.etag)


@router.get("/runs/{run_id}", response_model=RunOut, summary="Get a run")
def get_run(request: Request, run_id: Id) -> Response:
    """A run on its board: protocol, provenance, aggregates, tasks."""
    page = read.run_page(_database(request), run_id)
    return answer(request, RunOut, RunOut.of(page), page.etag)


@router.get("/runs/{run_id}/episodes", response_model=EpisodesPage, summary="List its episodes")
def list_episodes(
    request: Request,
    run_id: Id,
    task: Text = "",
    outcome: Outcome | None = None,
    after: After = "",
    size: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """Episodes of a run in plan order, of one task or outcome where it is named."""
    page = read.episodes_page(
        _database(request), run_id, task=task, outcome=outcome.value if outcome else "", after=after, size=size
    )
    return answer(request, EpisodesPage, page, page.etag)


@router.get("/runs/{run_id}/episodes/{episode_id}", response_model=EpisodeOut, summary="Get an episode")
def get_episode(request: Request, run_id: Id, episode_id: Name) -> Response:
    """One episode: seeds, attempts, recorded actions, replays."""
    store = request.app.state.store
    page = read.episode_page(store.database, store.traces, run_id, episode_id)
    return answer(request, EpisodeOut, EpisodeOut.of(page), page.etag)


@router.get("/compare", response_model=ComparePage, summary="Compare two rows")
def compare(
    request: Request,
    a: Annotated[int, Query(ge=1, le=_MOST, description="id of a row")],
    b: Annotated[int, Query(ge=1, le=_MOST, description="id of another row")],
    after: After = "",
    size: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Two rows beside each other: episode by episode where both ran one plan, by their counts else."""
    page = read.compare_page(_database(request), a, b, after=after, size=size)
    return answer(request, ComparePage, page, page.etag)


@router.get("/suites/{suite}", response_model=SuitePage, summary="Get a suite")
def get_suite(
    request: Request, suite: Part, after: After = "", size: Annotated[int, Query(ge=1, le=500)] = 100
) -> Response:
    """What a suite measures: tasks, protocols, boards, known traps."""
    page = read.suite_page(_database(request), suite, after=after, size=size)
    return answer(request, SuitePage, page, page.etag)


@router.get("/log", response_model=LogPage, summary="Read the public log")
def get_log(
    request: Request,
    subject_kind: Text = "",
    subject: Text = "",
    after: After = "",
    size: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """Everything that changed what the boards say, newest first."""
    page = read.log_page(_database(request), subject_kind=subject_kind, subject=subject, after=after, size=size)
    return answer(request, LogPage, page, page.etag)


@router.get("/latency", response_model=tuple[LatencyTable, ...], summary="Answer times")
def get_latency(request: Request) -> Response:
    """Answer times of policies, one table a device and precision, at batch size 1."""
    database = _database(request)
    return answer(request, tuple[LatencyTable, ...], read.latency_tables(database), read.etag(database))


@router.get("/scores", response_model=tuple[ScoreChanges, ...], summary="What can move a score")
def get_scores(request: Request) -> Response:
    """Protocols by the version of vla-bench that brought or changed them, newest first."""
    found = tuple(ScoreChanges(version=version, lines=lines) for version, lines in score_changes())
    return answer(request, tuple[ScoreChanges, ...], found, str(found))


def _database(request: Request) -> Database:
    database: Any = request.app.state.store.database
    return database  # type: ignore[no-any-return]
