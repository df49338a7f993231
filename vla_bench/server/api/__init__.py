"""The JSON API for reading, version 1: the same data as the pages, from the same functions."""

from __future__ import annotations

from vla_bench.server.api.routes import router

__all__ = ["router"]
