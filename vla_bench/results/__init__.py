"""Results: SQL tables, the store that writes them, traces, statistics and summaries, data frames."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vla_bench.results.frames import Frames as Frames
    from vla_bench.results.frames import load as load

__all__ = ["Frames", "load"]

_HOMES = {"Frames": "frames", "load": "frames"}


def __getattr__(name: str) -> Any:
    # Whoever imports a module of this room gets that module only.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
