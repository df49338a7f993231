"""Figures as this project cites them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["efficiency_of"]


def efficiency_of(family: str) -> tuple[Mapping[str, Any], ...]:
    """Published figures on size and speed of a family."""

    return ()
