"""Reading fields of foreign JSON: each fault is one line that names the file and the place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vla_bench.spec.errors import UsageError

__all__ = ["BadField", "as_bool", "as_count", "as_fraction", "as_list", "as_map", "as_number", "as_text", "reading"]


class BadField(ValueError):
    """A field that is missing or of another kind; `reading` turns it into a line for the user."""


@contextmanager
def reading(path: Any, tool: str) -> Iterator[None]:
    """Map a `BadField` inside the block.

    Raises:
        UsageError: with the file and the place.
    """
    try:
        yield
    except BadField as error:
        raise UsageError(f"{path}: not a result of {tool}: {error}") from error


def as_map(value: Any, place: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise BadField(f"{place} is {_kind(value)}, not an object")
    return value


def as_list(value: Any, place: str) -> list[Any]:
    """A JSON array."""
    if not isinstance(value, list):
        raise BadField(f"{place} is {_kind(value)}, not a list")
    return value


def as_text(value: Any, place: str) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise BadField(f"{place} is {_kind(value)}, not a text")
    return value


def as_count(value: Any, place: str) -> int:
    """A whole number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadField(f"{place} is {value!r}, not a count")
    return value


def as_number(value: Any, place: str) -> float:
    """A finite number that is not negative; 0 where it is absent or null."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise BadField(f"{place} is {value!r}, not a number")
    return float(value)


def as_bool(value: Any, place: str) -> bool:
    """Success or failure: a truth value, or exactly 0 or 1. A score between them is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    raise BadField(f"{place} is {value!r}, neither success nor failure")


def as_fraction(value: Any, whole: float = 1.0) -> float | None:
    """A claimed rate as a fraction; None for anything else, NaN included: a claim decides nothing."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value) / whole


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "missing"}
    return names.get(type(value), "a number")
