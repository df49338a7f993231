"""Accounts over HTTP: signing in and out with a token, who one is, one's own tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from vla_bench.results.store import Store
from vla_bench.server.accounts.access import require, sign_in, sign_out
from vla_bench.server.accounts.people import Principal, Scope, create_token, list_tokens, revoke_token
from vla_bench.server.accounts.tokens import Token
from vla_bench.server.problems import Problem

__all__ = ["MOST_DAYS", "NewToken", "make_own_token", "router"]

router = APIRouter(tags=["accounts"])
Anyone = Annotated[Principal, Depends(require())]
MOST_DAYS = 365
_AFTER = "/account"


class NewToken(BaseModel):
    """A token to be made for one's own account."""

    model_config = ConfigDict(extra="forbid")

    scopes: list[Scope] = Field(default=[Scope.SUBMIT], min_length=1, max_length=len(Scope))
    label: str = Field(default="", max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
    days: int = Field(default=90, ge=1, le=MOST_DAYS)


@router.post("/account/sign-in", include_in_schema=False)
async def post_sign_in(request: Request) -> Response:
    """Exchange the token of a form for a cookie, and go where the form wanted."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=5)
    answer = RedirectResponse(_local(form.get("next", [""])[0]), status_code=303)
    await run_in_threadpool(sign_in, request, answer, form.get("token", [""])[0])
    return answer


@router.post("/account/sign-out", include_in_schema=False)
def post_sign_out(request: Request) -> Response:
    """Forget the cookie."""
    answer = RedirectResponse("/", status_code=303)
    sign_out(request, answer)
    return answer


@router.get("/api/v1/account")
def get_account(principal: Anyone) -> dict[str, Any]:
    """Who one is."""
    return {
        "name": principal.name,
        "role": principal.role,
        "scopes": sorted(principal.scopes),
        "token": principal.token_id,
    }


@router.get("/api/v1/account/tokens")
def get_tokens(request: Request, principal: Anyone) -> dict[str, Any]:
    """One's own tokens, without their secrets."""
    with _store(request).database.read() as connection:
        return {"tokens": list_tokens(connection, principal.account_id)}


@router.post("/api/v1/account/tokens", status_code=201)
def post_token(request: Request, response: Response, principal: Anyone, wanted: NewToken) -> dict[str, Any]:
    """Make a token. Its scopes are among those of the token that asks; it is shown in this answer and never again."""
    token = make_own_token(request, principal, wanted)
    response.headers["Cache-Control"] = "no-store"
    return {"token": str(token), "id": token.id}


def make_own_token(request: Request, principal: Principal, wanted: NewToken) -> Token:
    """Make a token for whoever asks, from the API and from the form alike.

    Raises:
        Problem: 403, it could do more than the token that asks.
    """
    if beyond := sorted(set(wanted.scopes) - principal.scopes):
        raise Problem(403, f"a token cannot make one with more scopes: {', '.join(beyond)}", kind="missing-scope")
    with _store(request).database.write() as connection:
        return create_token(
            connection,
            principal.name,
            wanted.scopes,
            label=wanted.label,
            valid_for=timedelta(days=wanted.days),
            actor=principal.name,
        )


@router.delete("/api/v1/account/tokens/{token_id}", status_code=204)
def delete_token(request: Request, principal: Anyone, token_id: str) -> Response:
    """Revoke one of one's own tokens."""
    with _store(request).database.write() as connection:
        revoke_token(connection, token_id, actor=principal.name, account_id=principal.account_id)
    return Response(status_code=204)


def _local(target: str) -> str:
    """A path of this board; what leads elsewhere leads home instead."""
    parts = urlsplit(target)
    is_local = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return target if is_local and "\\" not in target and target.isprintable() else _AFTER


def _store(request: Request) -> Store:
    found: Store = request.app.state.store
    return found
