"""Forms of a submission's page by which a run is disputed, and a dispute is answered."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from vla_bench.server.accounts.access import require
from vla_bench.server.accounts.people import Principal, Scope
from vla_bench.server.pages.site import database, link
from vla_bench.server.submissions import disputes

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
Submitter = Annotated[Principal, Depends(require(Scope.SUBMIT))]
Maintainer = Annotated[Principal, Depends(require(Scope.ADMIN))]


@router.post("/submissions/{submission_id}/dispute")
async def dispute(request: Request, principal: Submitter, submission_id: str) -> Response:
    """Say what is wrong with a listed run."""
    text = await _text(request)

    def write() -> None:
        with database(request).write() as connection:
            disputes.open_dispute(connection, submission_id, text, by=principal)

    await run_in_threadpool(write)
    return _back(submission_id)


@router.post("/submissions/{submission_id}/disputes/{number}/answer")
async def answer(request: Request, principal: Maintainer, submission_id: str, number: int) -> Response:
    """Answer a dispute."""
    text = await _text(request)

    def write() -> None:
        with database(request).write() as connection:
            disputes.answer_dispute(connection, submission_id, number, text, by=principal)

    await run_in_threadpool(write)
    return _back(submission_id)


async def _text(request: Request) -> str:
    form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=20)
    return " ".join(form.get("text", [""])[0].split())


def _back(submission_id: str) -> Response:
    return RedirectResponse(link(f"/submissions/{submission_id}") + "#disputes", status_code=303)
