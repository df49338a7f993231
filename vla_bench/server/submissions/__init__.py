"""Submissions: bundles, uploads, checks, states. `vla-bench submit` sends what this room takes apart."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # The command line writes bundles without a web framework.
    if name == "router":
        from vla_bench.server.submissions.routes import router

        return router
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
