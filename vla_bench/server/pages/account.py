"""Pages for people with an account: signing in, one's tokens and submissions. Cookies and checks are the accounts'."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qs

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError
from sqlalchemy.engine import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from vla_bench.results.leaderboard.people import SUBMISSION
from vla_bench.server.accounts.access import principal_or_none, require
from vla_bench.server.accounts.people import Principal, Scope, list_tokens, revoke_token
from vla_bench.server.accounts.routes import MOST_DAYS, NewToken, make_own_token
from vla_bench.server.pages.site import database, link, render
from vla_bench.server.problems import Problem
from vla_bench.server.submissions import moderation

__all__ = ["newest_submissions", "router"]

router = APIRouter(include_in_schema=False)
SignedIn = Annotated[Principal, Depends(require())]
Submitter = Annotated[Principal, Depends(require(Scope.SUBMIT))]
MOST_SUBMISSIONS = 50
LONGEST_REASON = 2000


@router.get("/account")
def account(request: Request) -> Response:
    """The form to sign in, or who one is."""
    principal = principal_or_none(request)
    if principal is None:
        return render(request, "account.html", principal=None)
    return _account(request, principal)


def _account(request: Request, principal: Principal, made: str = "") -> Response:
    with database(request).read() as connection:
        tokens = list_tokens(connection, principal.account_id)
        submissions = newest_submissions(connection, principal.account_id)
    scopes = sorted(principal.scopes)
    return render(
        request, "account.html", principal=principal, tokens=tokens, submissions=submissions, grantable=scopes,
        scopes=" and ".join(scopes) or "only read", made=made,
    )  # fmt: skip


def newest_submissions(connection: Connection, account_id: int) -> list[dict[str, Any]]:
    """The submissions of an account that its page shows."""
    newest = (
        sa.select(SUBMISSION.c["id", "run_name", "state", "reason", "updated_at"])
        .where(SUBMISSION.c.account_id == account_id)
        .order_by(SUBMISSION.c.updated_at.desc())
        .limit(MOST_SUBMISSIONS)
    )
    return [dict(row) for row in connection.execute(newest).mappings()]


@router.post("/account/tokens")
async def new_token(request: Request, principal: SignedIn) -> Response:
    """Make a token from a form; its secret is on this one page and nowhere else."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=20)
    asked = {"scopes": form.get("scope", []), "label": form.get("label", [""])[0], "days": form.get("days", ["90"])[0]}
    try:
        wanted = NewToken.model_validate(asked)
    except ValidationError as error:
        raise Problem(
            422, f"a token may do at least one thing, has a short label and is valid for 1 to {MOST_DAYS} days"
        ) from error
    made = await run_in_threadpool(make_own_token, request, principal, wanted)
    return await run_in_threadpool(_account, request, principal, str(made))


@router.post("/account/tokens/{token_id}/revoke")
def revoke(request: Request, principal: SignedIn, token_id: str) -> Response:
    """Make one of one's own tokens worthless."""
    with database(request).write() as connection:
        revoke_token(connection, token_id, actor=principal.name, account_id=principal.account_id)
    return RedirectResponse("/account#tokens", status_code=303)


@router.post("/submissions/{submission_id}/retract")
async def retract(request: Request, principal: Submitter, submission_id: str) -> Response:
    """Take back one's own submission, from the form on its page."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=20)
    reason = " ".join(form.get("reason", [""])[0].split())
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise Problem(422, f"a reason is plain text of at most {LONGEST_REASON:,} characters")
    await run_in_threadpool(_retract, request, principal, submission_id, reason)
    return RedirectResponse(link(f"/submissions/{submission_id}"), status_code=303)


def _retract(request: Request, principal: Principal, submission_id: str, reason: str) -> None:
    with database(request).write() as connection:
        moderation.retract(connection, submission_id, reason, by=principal)
