"""Replays over HTTP, for workers that hold a token with the scope `replay` and no database credentials."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from vla_bench.results.store import Store
from vla_bench.server.accounts.access import require
from vla_bench.server.accounts.people import Principal, Scope
from vla_bench.server.replays import desk
from vla_bench.server.replays.traces import leased_trace
from vla_bench.server.submissions.bundle.manifest import MachineLine

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/replays", tags=["replays"])
Worker = Annotated[Principal, Depends(require(Scope.REPLAY))]
ReplayId = Annotated[int, Path(ge=1, le=2**31 - 1)]
Lease = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9._-]+$")]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Claim(_Form):
    """Who asks for work, and what it can replay."""

    worker: Name
    suites: list[Name] = Field(min_length=1, max_length=500)
    n: int = Field(default=8, ge=1, le=desk.MOST_CLAIMED)
    machines: list[MachineLine] = Field(default=[], max_length=20)


class Held(_Form):
    """A lease."""

    lease: Lease


class Told(Held):
    """What came of a replay."""

    agreement: desk.Agreement
    reasons: list[Annotated[str, Field(max_length=1000)]] = Field(default=[], max_length=50)
    fingerprint: MachineLine | None = None


@router.post("/claim")
def post_claim(request: Request, principal: Worker, wanted: Claim) -> dict[str, Any]:
    """Lease replays, those recorded on a machine like the worker's first; none where nothing waits for these suites."""
    machines = [machine.model_dump() for machine in wanted.machines]
    with _store(request).database.write() as connection:
        jobs = desk.claim(connection, f"{principal.name}/{wanted.worker}", wanted.suites, wanted.n, machines)
    return {"jobs": jobs}


@router.post("/{replay_id}/renew")
def post_renew(request: Request, principal: Worker, replay_id: ReplayId, held: Held) -> dict[str, Any]:
    """Keep a lease."""
    with _store(request).database.write() as connection:
        return {"lease_until": desk.renew(connection, replay_id, held.lease)}


@router.post("/{replay_id}/release", status_code=204)
def post_release(request: Request, principal: Worker, replay_id: ReplayId, held: Held) -> Response:
    """Give a replay back unmade."""
    with _store(request).database.write() as connection:
        desk.release(connection, replay_id, held.lease)
    return Response(status_code=204)


@router.post("/{replay_id}/report")
def post_report(request: Request, principal: Worker, replay_id: ReplayId, told: Told) -> dict[str, Any]:
    """Say what came of a replay."""
    machine = told.fingerprint.model_dump() if told.fingerprint else None
    said = desk.Report(agreement=told.agreement, reasons=told.reasons, fingerprint=machine)
    with _store(request).database.write() as connection:
        return {"state": desk.report(connection, replay_id, told.lease, said)}


@router.get("/{replay_id}/trace", response_class=Response)
def get_trace(
    request: Request, principal: Worker, replay_id: ReplayId, lease: Annotated[str, Query(max_length=200)]
) -> Response:
    """The recorded actions of a leased replay: the bytes of the trace's file."""
    digest, packed = leased_trace(_store(request), replay_id, lease)
    return Response(packed, media_type="application/zstd", headers={"X-Trace-Digest": digest})


def _store(request: Request) -> Store:
    found: Store = request.app.state.store
    return found
