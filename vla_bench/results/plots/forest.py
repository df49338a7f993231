"""Forest plots: estimates with their intervals as lines on one common axis, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vla_bench.results.plots.style import Theme, style_axes

__all__ = ["ROW_IN", "ForestRow", "draw_forest"]

ROW_IN = 0.3
"""Height of a row, inches."""


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of a forest plot.

    Attributes:
        label: at the left.
        value, low, high: on the axis; None where there is none, and the note says why.
        note: at the right, usually the numbers.
        is_sure: a filled mark; an open one where the row is not told apart from the reference.
        colour: name of a theme's colour.
    """

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""
    is_sure: bool = True
    colour: str = "accent"


def draw_forest(
    axes: Any,
    rows: Sequence[ForestRow],
    theme: Theme,
    *,
    title: str,
    axis_label: str,
    limits: tuple[float, float] | None = None,
    lines: Sequence[tuple[float, str]] = (),
    with_labels: bool = True,
) -> None:
    """Draw rows from top to bottom.

    Args:
        axes: matplotlib axes of `len(rows) * ROW_IN` height.
        rows: at least one.
        theme: palette.
        title: above, at the left.
        axis_label: below, with its unit.
        limits: of the axis; fitted to the rows where None.
        lines: vertical lines, each with the name of a theme's colour.
        with_labels: whether the labels are written; False beside axes that have them.
    """
    style_axes(axes, theme)
    for at, colour in lines:
        axes.axvline(at, color=getattr(theme, colour), linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    for position, row in enumerate(rows):
        _draw_row(axes, position, row, theme)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [row.label for row in rows] if with_labels else [""] * len(rows))
    if limits is not None:
        axes.set_xlim(*limits)
    axes.set_xlabel(axis_label, color=theme.muted, fontsize=9)
    axes.set_title(title, loc="left", color=theme.ink, fontsize=10.5, fontweight="bold")


def _draw_row(axes: Any, position: int, row: ForestRow, theme: Theme) -> None:
    colour = getattr(theme, row.colour)
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [position, position], color=colour, linewidth=2, solid_capstyle="butt", zorder=2)
        for end in (row.low, row.high):
            axes.plot([end, end], [position - 0.16, position + 0.16], color=colour, linewidth=1.5, zorder=2)
    if row.value is not None:
        face = colour if row.is_sure else theme.background
        # Whole also at the edge: 0 and 100 percent are where many policies are.
        axes.plot(
            [row.value], [position], "o", markersize=6.5, color=colour, markerfacecolor=face, zorder=3, clip_on=False
        )
    if row.note:
        # In axes coordinates along x, so that notes stand in one column.
        axes.text(
            1.02, position, row.note, transform=axes.get_yaxis_transform(), color=theme.ink, fontsize=8.5, va="center"
        )
