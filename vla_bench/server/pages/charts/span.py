"""`Span`: one estimate with its interval, as a line on an axis that its neighbours share."""

from __future__ import annotations

from dataclasses import dataclass

from vla_bench.server.pages.charts.axis import Axis

__all__ = ["Span", "span"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where to draw; percent of the frame, None for what there is not.

    Attributes:
        at: the estimate.
        low, high: ends of its interval, or of its bounds.
        is_bounds: the ends are bounds of an incomplete run: drawn dashed.
        ticks: of the axis, for the grid behind.
        words: the same in words.
    """

    at: float | None
    low: float | None
    high: float | None
    is_bounds: bool
    ticks: tuple[float, ...]
    words: str


def span(
    axis: Axis, value: float | None, low: float | None, high: float | None, *, words: str = "", is_bounds: bool = False
) -> Span:
    """Place an estimate on an axis.

    Args:
        axis: common to all rows.
        value: in units of the axis; None where there is none.
        low: lower end of its interval, None where there is none.
        high: upper end.
        words: what a reader who does not see it is told.
        is_bounds: see `Span`.
    """
    has_ends = low is not None and high is not None
    return Span(
        at=None if value is None else axis.at(value),
        low=axis.at(low) if has_ends and low is not None else None,
        high=axis.at(high) if has_ends and high is not None else None,
        is_bounds=is_bounds,
        ticks=tuple(tick.at for tick in axis.ticks),
        words=words,
    )
