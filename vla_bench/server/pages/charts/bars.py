"""Charts of bars: answer times from stored bins, and how two policies' outcomes meet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vla_bench.results.stats.bins import percentile
from vla_bench.server.pages.charts.axis import Axis, Tick, fitted_axis

__all__ = ["Bar", "BarChart", "Part", "latency_chart", "split_parts"]

N_BARS = 24
"""Bars of a histogram: as many as a phone can show."""
RATIO = 1.02
"""Of the edges of a stored bin, as `results.stats.bins` makes them."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, percent of the frame, and what it holds in words."""

    x: float
    width: float
    height: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """A histogram.

    Attributes:
        title, desc: for those who do not see it.
        x, y: axes; x is logarithmic, its ticks know where they stand.
        x_label, y_label: what is on them.
        bars: from left to right.
        marks: named vertical lines.
        rows: the same as a table: range and count.
    """

    title: str
    desc: str
    x: Axis
    y: Axis
    x_label: str
    y_label: str
    bars: tuple[Bar, ...]
    marks: tuple[Tick, ...]
    rows: tuple[tuple[str, int], ...]


def latency_chart(bins: Mapping[str, int] | Mapping[int, int]) -> BarChart | None:
    """Answer times as a histogram on a logarithmic axis, with the median and the 95th percentile.

    Args:
        bins: logarithmic bin → answers, see `results.stats.bins`.

    Returns:
        None where nothing was measured.
    """
    counts = {int(number): int(count) for number, count in bins.items() if int(count) > 0}
    if not counts:
        return None
    first = min(counts) - 1
    per_bar = max(1, -(-(max(counts) - first) // N_BARS))
    n_bars = -(-(max(counts) - first) // per_bar)
    heights = [0] * n_bars
    for number, count in counts.items():
        heights[(number - first - 1) // per_bar] += count
    edges = [RATIO ** (first + index * per_bar) for index in range(n_bars + 1)]
    y = fitted_axis([0, max(heights)], lambda value: f"{value:,.0f}", least_step=1.0)
    ranges = [f"{_ms(low)} to {_ms(high)}" for low, high in pairwise(edges)]
    x = _log_axis(edges[0], edges[-1])
    marks = [(name, percentile(counts, share)) for name, share in (("p50", 0.5), ("p95", 0.95))]
    said = ", ".join(f"{name} {_ms(value)}" for name, value in marks if value is not None)
    return BarChart(
        title="Answer times of the policy",
        desc=f"{sum(heights):,} answers between {_ms(edges[0])} and {_ms(edges[-1])}; {said}.",
        x=x, y=y, x_label="answer time, logarithmic", y_label="answers",
        bars=tuple(
            Bar(round(100 * index / n_bars, 2), round(100 / n_bars, 2), y.at(height), f"{ranges[index]}: {height:,}")
            for index, height in enumerate(heights)
        ),
        marks=tuple(Tick(x.at(math.log(value)), f"{name} {_ms(value)}") for name, value in marks if value is not None),
        rows=tuple(zip(ranges, heights, strict=True)),
    )  # fmt: skip


_STEPS = ((1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1,))
"""Round numbers of a decade, from many to few."""
_MOST_TICKS = 7


def _log_axis(low: float, high: float) -> Axis:
    axis = Axis(math.log(low), math.log(high))
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in _STEPS:
        values = [factor * 10.0**power for power in powers for factor in factors]
        inside = [value for value in values if low <= value <= high]
        if len(inside) <= _MOST_TICKS:
            break
    return Axis(axis.low, axis.high, tuple(Tick(axis.at(math.log(value)), _ms(value)) for value in inside))


def _ms(value: float) -> str:
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{value:.3g} ms" if value >= 0.1 else f"{1000 * value:.3g} µs"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole: name, count, and where it lies along the frame, percent."""

    name: str
    count: int
    x: float
    width: float


def split_parts(parts: Sequence[tuple[str, int]]) -> tuple[Part, ...]:
    """Lay parts side by side; empty where they add up to nothing."""
    total = sum(count for _, count in parts)
    if not total:
        return ()
    found, x = [], 0.0
    for name, count in parts:
        width = 100 * count / total
        found.append(Part(name, count, round(x, 3), round(width, 3)))
        x += width
    return tuple(found)
