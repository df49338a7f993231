"""What went wrong, as a problem document (RFC 9457) in the API and as a plain page elsewhere.

    {"type": "…/problems/not-found", "title": "Not found", "status": 404, "detail": "…", "instance": "/api/…",
     "request_id": "…"}

A router raises `Problem`, or any `VlaBenchError`; nothing else reaches the reader but a title and the request's id.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from vla_bench.spec import errors

__all__ = ["ErrorPage", "Problem", "add_handlers", "problem_of", "respond"]

MEDIA_TYPE = "application/problem+json"
RETRY_S = 5
"""When to come again after a fault that passes."""

ErrorPage = Callable[[Request, "Problem"], Response]
"""What `app.state.error_page` is: the page of an error, for people."""

_STATUS: tuple[tuple[type[errors.VlaBenchError], int], ...] = (
    (errors.UnknownName, 404),
    (errors.NotListed, 404),
    (errors.PlanMismatch, 409),
    (errors.MessageTooLarge, 413),
    (errors.Unauthorized, 401),
    (errors.UsageError, 422),
    (errors.StoreFull, 507),
    (errors.StoreLocked, 503),
    (errors.StoreUnreachable, 503),
)
"""By error; every other one is a fault of ours, 500, whose message stays in the log."""

log = structlog.get_logger(__name__)


class Problem(Exception):
    """An answer that is no success.

    Attributes:
        status: of HTTP.
        detail: one line for whoever asked: what happened, with what values, and the way out.
        kind: stable name in kebab-case; of the status where empty.
        headers: to send along (`Retry-After`, `WWW-Authenticate`).
        more: further members of the document, plain JSON values.
    """

    def __init__(
        self, status: int, detail: str = "", *, kind: str = "", headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, dict(headers or {}), more
        self.kind = kind or self.title.lower().replace(" ", "-").replace("'", "")

    @property
    def title(self) -> str:
        """The status in words."""
        try:
            return HTTPStatus(self.status).phrase.capitalize()
        except ValueError:
            return "Error"

    def document(self, path: str, request_id: str) -> dict[str, Any]:
        """The members of the problem document."""
        core = {
            "type": f"/problems/{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": path,
            "request_id": request_id,
        }
        return {**self.more, **core}


def problem_of(error: Exception) -> Problem:
    """What an exception is to the reader."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        # Values stay out: what was sent to the wrong field may be a token.
        found = [{"where": ".".join(map(str, item["loc"])), "what": item["msg"]} for item in error.errors()]
        told = "; ".join(f"{item['where']}: {item['what']}" for item in found)
        return Problem(422, told, kind="invalid-request", errors=found)
    if isinstance(error, HTTPException):
        return Problem(error.status_code, str(error.detail), headers=error.headers)
    for kind, status in _STATUS:
        if isinstance(error, kind):
            wait = {"Retry-After": str(RETRY_S)} if status == 503 else None
            return Problem(status, str(error), kind=error.kind.replace("_", "-"), headers=wait)
    return Problem(500, "a fault of the leaderboard; the log has it under this request's id", kind="internal")


def respond(request: Request, problem: Problem) -> Response:
    """The answer: a document where a program asked, a page where a person did."""
    request_id = request.scope.get("request_id", "")
    if is_for_programs(request):
        content = problem.document(request.url.path, request_id)
        return JSONResponse(content, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)
    page: ErrorPage | None = getattr(request.app.state, "error_page", None)
    if page is None:
        return _plain_page(problem, request_id)
    response = page(request, problem)
    response.headers.update(problem.headers)
    return response


def is_for_programs(request: Request) -> bool:
    """Whether a program asked: by the path, or by what it accepts."""
    path = request.url.path
    if path.startswith(("/api/", "/healthz", "/readyz", "/metrics")) or path.endswith((".json", ".csv")):
        return True
    accepted = request.headers.get("accept", "")
    return "json" in accepted and "text/html" not in accepted


def add_handlers(app: FastAPI) -> None:
    """Make every exception that a router raises an answer of `respond`."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status >= 500 and problem is not error:
            log.error("request_failed", exc_info=error)
        return respond(request, problem)

    for kind in (Problem, RequestValidationError, HTTPException, errors.VlaBenchError):
        app.add_exception_handler(kind, handle)


def _plain_page(problem: Problem, request_id: str) -> Response:
    detail, title = html.escape(problem.detail), html.escape(problem.title)
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>'
        f"<p>{detail}</p><p>Request {html.escape(request_id)}</p>"
    )
    return HTMLResponse(body, problem.status, headers=problem.headers)
