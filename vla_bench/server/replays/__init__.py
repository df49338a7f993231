"""Replays: which episodes are drawn, who replays them, what is made of the reports; and challenges."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # A worker needs no web framework.
    if name == "router":
        from vla_bench.server.replays.routes import router

        return router
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
