"""Numbers of a report in words; a dash where there is no number. Filters of its templates."""

from __future__ import annotations

import base64
from typing import Any

from vla_bench.results.chains import ChainSummary
from vla_bench.spec.canonical import canonical_json

__all__ = [
    "amount", "bounds_text", "bytes_text", "count_text", "decimal", "jpeg_url", "length_text", "ms_text", "value_text",
]  # fmt: skip

NOTHING = "–"


def decimal(value: float | None, digits: int = 1) -> str:
    """`12.3`."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def ms_text(value: float | None) -> str:
    """`0.84 ms`, `12.3 ms`, `1,204 ms`: three digits that count."""
    if value is None:
        return NOTHING
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f} ms"


def count_text(value: int | None) -> str:
    """`3.0 B`, `86 M`, `12 k`: parameters."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value is not None and value >= limit:
            return f"{value / limit:.2g} {unit}" if value < 10 * limit else f"{value / limit:,.0f} {unit}"
    return NOTHING if value is None else str(value)


def bytes_text(value: int | None) -> str:
    """`7.2 GiB`."""
    for limit, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value is not None and value >= limit:
            return f"{value / limit:.1f} {unit}"
    return NOTHING if value is None else f"{value} B"


def amount(count: int, noun: str) -> str:
    """`1 episode`, `2 episodes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def bounds_text(pair: Any) -> str:
    """`[86.0, 94.0]` in percent, of an interval or a pair."""
    if pair is None:
        return NOTHING
    low, high = pair if isinstance(pair, tuple) else (pair.low, pair.high)
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def length_text(chains: ChainSummary) -> str:
    """`[4.172, 4.327]`, the interval of an average length; bounds where chains are missing."""
    if chains.mean_length is None:
        return NOTHING if chains.bounds is None else f"[{chains.bounds[0]:.3f}, {chains.bounds[1]:.3f}] bounds"
    if chains.interval is None:
        return "no variation"
    return f"[{chains.interval.low:.3f}, {chains.interval.high:.3f}]{' rough' if chains.is_rough else ''}"


def value_text(value: Any) -> str:
    """A plain JSON value as people write it."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else canonical_json(value)


def jpeg_url(data: bytes) -> str:
    """A picture inside the page."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
