"""Where this room keeps things on disk: suites' own environments, and what probes found out."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["ASSETS_VARIABLE", "assets_folder", "cache_folder", "environments_folder"]

ASSETS_VARIABLE = "VLA_BENCH_ASSETS"


def environments_folder() -> Path:
    """`envs` in `VLA_BENCH_HOME`, or in the user's data folder of the platform; it need not exist."""
    return _home("data") / "envs"


def assets_folder() -> Path:
    """`VLA_BENCH_ASSETS`, or `assets` in `VLA_BENCH_HOME` or in the user's data folder; it need not exist.

    Workers are told by that variable: their interpreter may not know the platform's folders.
    """
    if chosen := os.environ.get(ASSETS_VARIABLE):
        return Path(chosen).expanduser().absolute()
    return _home("data") / "assets"


def cache_folder() -> Path:
    """`cache` in `VLA_BENCH_HOME`, or the user's cache folder of the platform; it need not exist."""
    return _home("cache") / "cache" if os.environ.get("VLA_BENCH_HOME") else _home("cache")


def _home(kind: str) -> Path:
    if chosen := os.environ.get("VLA_BENCH_HOME"):
        return Path(chosen).expanduser().absolute()
    # Only the parent asks, never a worker under a suite's own interpreter, which may not have it.
    import platformdirs

    find = platformdirs.user_data_dir if kind == "data" else platformdirs.user_cache_dir
    return Path(find("vla-bench", appauthor=False))
