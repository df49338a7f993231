"""Who asks, and how often: accounts, tokens, the sign-in cookie, roles, scopes, rate limits."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # The command line makes accounts without a web framework.
    if name == "router":
        from vla_bench.server.accounts.routes import router

        return router
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
