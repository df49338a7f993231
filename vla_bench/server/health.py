"""Whether the process answers, whether it can do its work, and what it counts."""

from __future__ import annotations

import hmac

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from vla_bench.results.schema import HEAD
from vla_bench.results.store import Store
from vla_bench.server.accounts.access import address_of, is_from_here, limits_of
from vla_bench.server.database import revision_of
from vla_bench.server.metrics import CONTENT_TYPE, queue_state
from vla_bench.server.problems import Problem
from vla_bench.spec.errors import StoreError

__all__ = ["router"]

STALLED_S = 900.0
"""A replay that has waited for so long, with none being made, has no worker."""

MIN_FREE_BYTES = 64 << 20

log = structlog.get_logger(__name__)
router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="Whether the process answers")
async def healthz() -> dict[str, str]:
    """The process answers; nothing else is looked at."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Whether the service can do its work",
    responses={503: {"description": "A part is broken."}},
)
def readyz(request: Request) -> JSONResponse:
    """The database is at this version's migration, the store can be written; the queue is told, and costs no readiness.

    A queue without a worker leaves every page as it is: it is `degraded`, for whoever watches, not a reason to take
    the pages away.
    """
    store: Store = request.app.state.store
    database, queue = _database(store)
    parts = {"database": database, "traces": _traces(store), "queue": queue}
    is_ready = parts["database"] == "ok" and parts["traces"] == "ok"
    status = "ok" if is_ready and queue == "ok" else "degraded" if is_ready else "unavailable"
    return JSONResponse({"status": status, **parts}, 200 if is_ready else 503)


@router.get("/metrics", summary="Counters, for Prometheus", responses={401: {"description": "No or a wrong token."}})
def metrics(request: Request) -> Response:
    """Everything that is counted, as text. With a token where one is set, else for this machine alone."""
    _check_may_measure(request)
    return Response(request.app.state.metrics.render(), media_type=CONTENT_TYPE)


def _check_may_measure(request: Request) -> None:
    wanted: str = request.app.state.settings.metrics_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if wanted:
        limits, address = limits_of(request), address_of(request)
        limits.check_failures(address)
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            limits.count_failure(address)
            raise Problem(401, "metrics want their bearer token", headers={"WWW-Authenticate": "Bearer"})
    elif not is_from_here(request):
        raise Problem(403, "metrics are for this machine alone until a token is set")


def _database(store: Store) -> tuple[str, str]:
    """The state of the database, and of the queue in it."""
    try:
        with store.database.read() as connection:
            found = revision_of(connection)
            if found != HEAD:
                return f"schema {found}, this version wants {HEAD}", "unknown"
            n_queued, n_leased, waited_s = queue_state(connection)
    except StoreError as error:
        # The message may hold a path or a host: for the log, not for everybody.
        log.error("database_not_ready", error=str(error))
        return error.kind, "unknown"
    is_stalled = n_queued > 0 and n_leased == 0 and waited_s > STALLED_S
    return "ok", f"stalled: {n_queued} wait, the oldest for {waited_s:.0f} s" if is_stalled else "ok"


def _traces(store: Store) -> str:
    try:
        store.check_space(MIN_FREE_BYTES)
        if not store.traces.is_local:
            store.traces.has("0" * 64)  # an object store that does not answer raises
    except StoreError as error:
        log.error("traces_not_ready", error=str(error))
        return error.kind
    except Exception as error:  # an object store's own exceptions have no common class: it is not ready
        log.error("traces_not_ready", error=str(error))
        return "unreachable"
    return "ok"
