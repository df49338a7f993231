"""Heat maps of rates and differences: tasks down, policies across, the number in every cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vla_bench.results.plots.style import Theme

__all__ = ["CELL_IN", "MOST_UPRIGHT", "HeatColumn", "draw_heatmap", "label_height"]

CELL_IN = (0.62, 0.27)
"""Width and height of a cell, inches."""

MOST_UPRIGHT = 4
"""More columns than this have slanted labels; those of fewer are broken into lines above wider cells."""
_LINE_LETTERS = 13


@dataclass(frozen=True, slots=True)
class HeatColumn:
    """One column of a heat map.

    Attributes:
        label: above it.
        values: one per row; None where there is no number.
        is_difference: differences from -1 to 1 and not rates.
        emphasis: rows whose number is set in bold.
    """

    label: str
    values: Sequence[float | None]
    is_difference: bool = False
    emphasis: frozenset[int] = frozenset()


def draw_heatmap(axes: Any, rows: Sequence[str], columns: Sequence[HeatColumn], theme: Theme, *, title: str) -> None:
    """Draw cells with their numbers, rates in percent and differences in points with their sign."""
    from matplotlib.patches import Rectangle

    axes.set_facecolor(theme.background)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(colors=theme.ink, labelsize=8.5, length=0, labeltop=True, labelbottom=False)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(rows), 0)
    for x, column in enumerate(columns):
        for y, value in enumerate(column.values):
            fill, ink = _colours(value, theme, is_difference=column.is_difference)
            axes.add_patch(Rectangle((x + 0.02, y + 0.04), 0.96, 0.92, facecolor=fill, edgecolor="none"))
            weight = "bold" if y in column.emphasis else "normal"
            text = _text(value, is_difference=column.is_difference)
            axes.text(x + 0.5, y + 0.5, text, color=ink, fontsize=8, ha="center", va="center_baseline", weight=weight)
    axes.set_yticks([y + 0.5 for y in range(len(rows))], list(rows))
    is_slanted = len(columns) > MOST_UPRIGHT
    turned = {"rotation": 40, "ha": "left", "rotation_mode": "anchor"} if is_slanted else {}
    labels = [column.label if is_slanted else "\n".join(_broken(column.label)) for column in columns]
    axes.set_xticks([x + 0.5 for x in range(len(columns))], labels, **turned)
    axes.set_title(title, loc="left", color=theme.ink, fontsize=10.5, fontweight="bold", pad=10)


def label_height(labels: Sequence[str], n_columns: int) -> float:
    """Inches that the labels above the columns take."""
    if n_columns > MOST_UPRIGHT:
        return 0.055 * max(map(len, labels), default=0)
    return 0.15 * max((len(_broken(label)) for label in labels), default=1)


def _broken(label: str) -> list[str]:
    """Lines that a cell is wide enough for, broken behind `-` and `_` where there are some."""
    lines = [""]
    for part in re.findall(r"[^-_ ]*[-_ ]|[^-_ ]+", label):
        for piece in (part[at : at + _LINE_LETTERS] for at in range(0, len(part), _LINE_LETTERS)):
            if len(lines[-1]) + len(piece) <= _LINE_LETTERS:
                lines[-1] += piece
            else:
                lines.append(piece)
    return lines


def _colours(value: float | None, theme: Theme, *, is_difference: bool) -> tuple[str, str]:
    if value is None:
        return theme.background, theme.muted
    return theme.change(value) if is_difference else theme.level(value)


def _text(value: float | None, *, is_difference: bool) -> str:
    if value is None:
        return "–"
    # A difference that rounds to 0 has no sign.
    return (
        f"{round(100 * value) + 0:+d}".replace("+0", "0").replace("-", "−") if is_difference else f"{100 * value:.0f}"
    )
