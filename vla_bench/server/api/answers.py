"""An answer of the API: JSON with an ETag, or 304 where the reader has it; and what every operation may answer else."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import Request, Response
from pydantic import TypeAdapter

from vla_bench.server.api.models import Problem
from vla_bench.server.boards.reading.cursor import etag_of

__all__ = ["PROBLEMS", "answer"]

_DOCUMENT = {"application/problem+json": {"schema": Problem.model_json_schema()}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    304: {"description": "The reader has it: `If-None-Match` names the present ETag."},
    404: {"description": "The leaderboard has no such thing.", "content": _DOCUMENT},
    422: {"description": "A parameter is not understood.", "content": _DOCUMENT},
    429: {"description": "Too many requests; `Retry-After` says when to come again.", "content": _DOCUMENT},
    503: {"description": "The database is busy; `Retry-After` says when to come again.", "content": _DOCUMENT},
}
"""What every operation may answer besides its own model, for the OpenAPI document."""


def answer(request: Request, kind: Any, content: Any, etag: str) -> Response:
    """Write an answer.

    Args:
        request: that is answered; its query is part of the ETag.
        kind: type of the content, as the operation declares it.
        content: of that type; not validated again.
        etag: changes whenever the content does.
    """
    tag = f'"{etag_of(request.url.path, request.url.query, etag)}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
    if _has(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(_writer(kind).dump_json(content), media_type="application/json", headers=headers)


def _has(request: Request, tag: str) -> bool:
    named = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return tag in named or "*" in named


@cache
def _writer(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
