"""What a supervised worker may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["DEFAULT_LIMITS", "WorkerLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLimits:
    """What a worker may take before it is killed.

    Attributes:
        start_s: seconds until its env is open, and for its first reset (assets are loaded, models compiled).
        reset_s: seconds in a later reset to another task, whose scene may have to be loaded and compiled; `call_s`
            where that is more.
        call_s: seconds of silence in each advance, and in a reset to the same task.
        close_s: seconds to free the simulator.
        memory_growth_bytes: resident memory beyond what it has after its first reset.
    """

    start_s: float = 120.0
    reset_s: float = 120.0
    call_s: float = 30.0
    close_s: float = 5.0
    memory_growth_bytes: int = 2 << 30


DEFAULT_LIMITS: Final = WorkerLimits()
