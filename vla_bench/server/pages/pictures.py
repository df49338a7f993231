"""Pictures of a suite's tasks: files that the maintainers made with `vla-bench pictures --folder`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from vla_bench.results.database import data_home
from vla_bench.server.pages.site import link
from vla_bench.server.problems import Problem
from vla_bench.server.settings import Settings
from vla_bench.spec.names import file_name

__all__ = ["picture_urls", "pictures_folder", "router"]

router = APIRouter(include_in_schema=False)
SUFFIX = ".webp"


def pictures_folder(settings: Settings) -> Path:
    """Where pictures of tasks lie, a folder for each suite."""
    return Path(settings.pictures).expanduser() if settings.pictures else data_home() / "task_pictures"


def picture_urls(settings: Settings, suite: str, tasks: Iterable[str]) -> dict[str, str]:
    """Task → address of its picture, of the tasks that have one. A newer picture has another address."""
    found = {}
    for task in tasks:
        try:
            changed = _file(settings, suite, task).stat().st_mtime_ns
        except OSError:
            continue
        found[task] = link(f"/suites/{suite}/pictures/{task}{SUFFIX}", v=f"{changed:x}")
    return found


@router.get("/suites/{suite}/pictures/{task:path}")
def picture(request: Request, suite: str, task: str) -> Response:
    """The picture of a task."""
    path = _file(request.app.state.settings, suite, task.removesuffix(SUFFIX))
    try:
        is_there = task.endswith(SUFFIX) and path.is_file()
    except OSError:  # a name that is too long for a file
        is_there = False
    if not is_there:
        raise Problem(404)
    return FileResponse(path, media_type="image/webp", headers={"Cache-Control": "public, max-age=31536000, immutable"})


def _file(settings: Settings, suite: str, task: str) -> Path:
    # Whatever an address says, it becomes the name of a file in this folder and never a way out of it.
    return pictures_folder(settings) / file_name(suite) / f"{file_name(task)}{SUFFIX}"
