"""The pages that people read: rendered here, from the same read functions as the JSON API; no page needs a script."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # The child process that makes films lives here too, and needs no web framework.
    if name == "router":
        from vla_bench.server.pages.router import router

        return router
    if name == "error_page":
        from vla_bench.server.pages.site import error_page

        return error_page
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
