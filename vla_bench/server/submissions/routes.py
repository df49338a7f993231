"""Submissions over HTTP: open, send parts, seal, look; retract, withdraw, audit anew."""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa
import structlog
from fastapi import APIRouter, Depends, Header, Path, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from vla_bench.envs.registry import find_suite
from vla_bench.results.leaderboard.people import REPLAY
from vla_bench.results.store import Store
from vla_bench.server.accounts.access import limits_of, require
from vla_bench.server.accounts.people import Principal, Scope
from vla_bench.server.boards.place import registered_plan
from vla_bench.server.jobs import jobs_lifespan, ring
from vla_bench.server.problems import Problem
from vla_bench.server.settings import Settings
from vla_bench.server.submissions import moderation, uploads
from vla_bench.server.submissions.attestations import AttestationForm, attest
from vla_bench.server.submissions.declaration import Declaration, plain
from vla_bench.server.submissions.parts import Part, PartFolder
from vla_bench.server.submissions.states import State, find_submission
from vla_bench.spec.errors import UsageError

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/submissions", tags=["submissions"], lifespan=jobs_lifespan)
log = structlog.get_logger(__name__)

Submitter = Annotated[Principal, Depends(require(Scope.SUBMIT))]
Maintainer = Annotated[Principal, Depends(require(Scope.ADMIN))]
SubmissionId = Annotated[str, Path(pattern=r"^[0-9a-z]{12}$")]
PartNumber = Annotated[int, Path(ge=1, le=uploads.MOST_PARTS)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"), AfterValidator(plain)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Announcement(_Form):
    """What is going to be sent."""

    run_name: Name
    suite: Name
    protocol: Name
    plan_hash: Sha256
    policy_digest: Sha256
    eval_hash: Sha256
    bundle_digest: Sha256
    bundle_size: int = Field(gt=0, le=2**40)
    declaration: Declaration


class Reason(_Form):
    """Why; public."""

    reason: str = Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")


@router.post("", status_code=201)
def post_submission(request: Request, principal: Submitter, wanted: Announcement) -> dict[str, Any]:
    """Open an upload, or go on with the one of the same bundle. What can be refused now is, before a byte is sent."""
    settings, store = _settings(request), _store(request)
    if not settings.accepts_submissions:
        raise Problem(403, "this leaderboard takes no submissions", kind="closed")
    if wanted.bundle_size > settings.max_bundle_bytes:
        raise Problem(413, f"the bundle has {wanted.bundle_size} bytes, the limit is {settings.max_bundle_bytes}")
    _check_plan(wanted)
    with store.database.read() as connection:
        found = uploads.find_upload(connection, principal.account_id, wanted.bundle_digest)
    if found is None:
        limits_of(request).count_submission(principal.account_id)
    values = wanted.model_dump(exclude={"suite", "protocol"})
    with store.database.write() as connection:
        submission_id = uploads.open_upload(
            connection,
            principal,
            values,
            most_bytes=uploads.MOST_OPEN * settings.max_bundle_bytes,
            keep_days=settings.keep_refused_days,
        )
        parts = uploads.parts_of(connection, submission_id)
    url = f"/api/v1/submissions/{submission_id}"
    return {
        "id": submission_id,
        "state": "open",
        "url": url,
        "parts_url": f"{url}/parts/{{n}}",
        "part_bytes": settings.max_part_bytes,
        "parts": parts,
    }


@router.put("/{submission_id}/parts/{number}")
async def put_part(
    request: Request,
    principal: Submitter,
    submission_id: SubmissionId,
    number: PartNumber,
    x_part_digest: Annotated[str, Header(pattern=r"^([0-9a-f]{64})?$")] = "",
) -> dict[str, Any]:
    """Send a part, in place of an earlier one of that number. `X-Part-Digest` is its SHA-256, where it is told."""
    store, folder = _store(request), PartFolder.of(_settings(request), _store(request), submission_id)

    def check() -> None:
        with store.database.read() as connection:
            uploads.own_upload(connection, principal, submission_id)

    await run_in_threadpool(check)
    part = await folder.receive(number, request.stream())
    try:
        if x_part_digest not in ("", part.digest):
            raise Problem(422, f"part {number} arrived damaged: send it again", kind="damaged-part")
        await run_in_threadpool(_keep, store, principal, submission_id, part)
    finally:
        part.discard()
    return {"number": number, "size": part.size, "digest": part.digest}


def _keep(store: Store, principal: Principal, submission_id: str, part: Part) -> None:
    # Renamed inside the transaction that saw the upload open: a sealed bundle never changes.
    with store.database.write() as connection:
        submission = uploads.own_upload(connection, principal, submission_id, locked=True)
        uploads.note_part(connection, submission, part.number, part.size, part.digest)
        part.keep()


@router.post("/{submission_id}/seal", status_code=202)
def post_seal(request: Request, principal: Submitter, submission_id: SubmissionId) -> dict[str, Any]:
    """Close the upload for good: it is checked, and listed or refused in public. A second call changes nothing."""
    store = _store(request)
    with store.database.write() as connection:
        row = find_submission(connection, submission_id)
        if row["account_id"] == principal.account_id and row["state"] != State.OPEN:
            return {"id": submission_id, "state": row["state"]}
        uploads.seal(connection, principal, submission_id)
    ring(request.app, submission_id)
    return {"id": submission_id, "state": "sealed"}


@router.get("/{submission_id}")
def get_submission(request: Request, submission_id: SubmissionId) -> dict[str, Any]:
    """Where a submission is. Everybody may ask; an upload that is not sealed is nobody's business yet."""
    with _store(request).database.read() as connection:
        row = find_submission(connection, submission_id)
        if row["state"] == State.OPEN:
            raise Problem(404, f"no submission {submission_id!r} has been sealed")
        counted = sa.select(REPLAY.c.state, sa.func.count()).where(REPLAY.c.submission_id == submission_id)
        replays = {state: int(n) for state, n in connection.execute(counted.group_by(REPLAY.c.state))}
    shown = ("id", "state", "reason", "run_name", "run_id", "policy_digest", "plan_hash", "eval_hash")
    stamps = ("created_at", "sealed_at", "updated_at")
    return {
        **{name: row[name] for name in (*shown, "bundle_digest", "declaration", *stamps)},
        "reasons": row["reason"].split("\n") if row["state"] == State.REFUSED else [],
        "replays": replays,
    }


@router.post("/{submission_id}/retract")
def post_retract(request: Request, principal: Submitter, submission_id: SubmissionId, why: Reason) -> dict[str, Any]:
    """Take back one's own submission. Its tombstone stays, and counts among the runs submitted."""
    with _store(request).database.write() as connection:
        moderation.retract(connection, submission_id, why.reason, by=principal)
    return {"id": submission_id, "state": "retracted"}


@router.post("/{submission_id}/withdraw")
def post_withdraw(request: Request, principal: Maintainer, submission_id: SubmissionId, why: Reason) -> dict[str, Any]:
    """Take a submission off its board, as a maintainer, with a public reason."""
    with _store(request).database.write() as connection:
        moderation.withdraw(connection, submission_id, why.reason, by=principal)
    return {"id": submission_id, "state": "withdrawn"}


@router.post("/{submission_id}/resume")
def post_resume(request: Request, principal: Maintainer, submission_id: SubmissionId, why: Reason) -> dict[str, Any]:
    """Replay anew what deviated or could not be replayed, as a maintainer, with a public reason."""
    with _store(request).database.write() as connection:
        state = moderation.resume(connection, submission_id, why.reason, by=principal)
    return {"id": submission_id, "state": state}


@router.post("/{submission_id}/attestations", status_code=201)
def post_attestation(
    request: Request, principal: Submitter, submission_id: SubmissionId, form: AttestationForm
) -> dict[str, Any]:
    """Say in public what one's own replays of somebody's listed run gave. No mark and no rank depends on it."""
    with _store(request).database.write() as connection:
        attest(connection, submission_id, form, by=principal)
    return {"id": submission_id, "n_replayed": form.n_replayed}


def _check_plan(wanted: Announcement) -> None:
    try:
        suite = find_suite(wanted.suite, wanted.protocol)
    except UsageError as error:
        raise Problem(422, f"this leaderboard has no board for it: {error}", kind="unknown-suite") from error
    if suite.standin:
        raise Problem(422, f"runs of {suite.name} as installed here are no results: {suite.standin}", kind="stand-in")
    if (plan := registered_plan(suite.name, suite.protocol.id)) != wanted.plan_hash:
        raise Problem(
            409, f"the run has plan {wanted.plan_hash[:16]}, the board of {suite.name} {suite.protocol.id} has "
            f"{plan[:16]}: run the protocol's full plan, every task and trial, without --seed", kind="other-plan",
        )  # fmt: skip


def _store(request: Request) -> Store:
    found: Store = request.app.state.store
    return found


def _settings(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found
