"""`GET /api/v1/runs/{id}/bundle`: a listed run as one file, so that everybody can check it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse

from vla_bench.server.api.answers import PROBLEMS
from vla_bench.server.fetching.keep import kept_bundle

__all__ = ["router"]

MEDIA_TYPE = "application/zstd"
router = APIRouter(prefix="/api/v1/runs", tags=["read"])
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bundle.", "content": {MEDIA_TYPE: {}}},
    206: {"description": "The part of it that `Range` names.", "content": {MEDIA_TYPE: {}}},
    416: {"description": "The bundle has no such part."},
    **{status: PROBLEMS[status] for status in (404, 422, 429, 503)},
}


@router.get("/{run_id}/bundle", summary="Download a run", response_class=FileResponse, responses=_ANSWERS)
def get_bundle(request: Request, run_id: Annotated[int, Path(ge=1, le=2**31 - 1)]) -> FileResponse:
    """Everything that a listed run claims and the recorded actions that show it: tombstones too.

    `X-Bundle-Digest` is the SHA-256 of the file. What broke off goes on with `Range` and `If-Range`.
    """
    state = request.app.state
    found = kept_bundle(state.store, state.settings, run_id)
    headers = {
        "ETag": f'"{found.digest}"',
        "X-Bundle-Digest": found.digest,
        "Cache-Control": "no-cache, no-transform",
        "Access-Control-Allow-Origin": "*",
    }
    return FileResponse(
        found.path, headers=headers, media_type=MEDIA_TYPE, filename=f"run-{run_id}-{found.submission_id}.bundle"
    )
