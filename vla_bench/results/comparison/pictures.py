"""The pictures of a comparison: a forest plot of rates and differences, a heat map of tasks, two traces of a flip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vla_bench.results.comparison.differences import Difference
from vla_bench.results.comparison.flips import Traces
from vla_bench.results.comparison.table import ALPHA, Comparison, PolicyRow, SuiteTable
from vla_bench.results.plots.forest import ROW_IN, ForestRow, draw_forest
from vla_bench.results.plots.heatmap import CELL_IN, MOST_UPRIGHT, HeatColumn, draw_heatmap, label_height
from vla_bench.results.plots.style import Draw, Theme, new_figure, style_axes
from vla_bench.results.wording import points, points_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MOST_ROWS", "comparison_plot", "heat_rows", "labels", "suite_plot", "traces_plot"]

MOST_ROWS = 60
"""More tasks than this are shown by group: nobody reads a heat map of ten thousand lines."""
MOST_DIMENSIONS = 16
MOST_LETTERS = 34


def comparison_plot(comparison: Comparison) -> Draw:
    """All suites in one picture, one below the other."""

    def draw(theme: Theme) -> Figure:
        tables = comparison.suites
        heights = [height for table in tables for height in (_forest_height(table), _heat_height(table))]
        figure = new_figure(theme, _width(tables), sum(heights))
        parts = list(np.ravel(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)))
        for table, forest, heat in zip(tables, parts[::2], parts[1::2], strict=True):
            for part in (forest, heat):
                part.set_facecolor(theme.background)
            _draw_forest(forest, table, theme)
            _draw_heat(heat, table, theme)
        return figure

    return draw


def suite_plot(table: SuiteTable) -> Draw:
    """The picture of one suite."""
    return comparison_plot(Comparison(sides=tuple(row.side for row in table.policies), suites=(table,), notes=()))


def traces_plot(traces: Traces, names: tuple[str, str]) -> Draw:
    """The executed actions of a flipped episode, one line per dimension, both policies on one axis.

    Args:
        traces: of both.
        names: of the new policy and of the baseline.
    """

    def draw(theme: Theme) -> Figure:
        n = min(MOST_DIMENSIONS, traces.new.shape[1] if traces.new.ndim == 2 else 1)
        figure = new_figure(theme, 7.2, 0.9 + 0.42 * n)
        grid = figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0]
        for index, axes in enumerate(grid):
            style_axes(axes, theme, grid="")
            for actions, colour, line in ((traces.base, "worse", (0, (3, 2))), (traces.new, "better", "-")):
                axes.plot(
                    np.arange(len(actions)),
                    actions[:, index],
                    color=getattr(theme, colour),
                    linewidth=1.1,
                    linestyle=line,
                )
            if traces.flip.actions_part_at is not None:
                axes.axvline(traces.flip.actions_part_at, color=theme.muted, linewidth=0.9, linestyle=(0, (1, 2)))
            axes.set_ylabel(f"a{index}", color=theme.muted, fontsize=8, rotation=0, ha="right", va="center")
            axes.set_yticks([])
            axes.spines["bottom"].set_visible(index == n - 1)
        grid[-1].set_xlabel("control step", color=theme.muted, fontsize=9)
        lines, short = grid[0].get_lines(), _short(names, names)
        figure.legend(
            [lines[1], lines[0]], [short[name] for name in names], loc="outside upper left", ncols=2, frameon=False,
            fontsize=8.5, labelcolor=theme.ink,
        )  # fmt: skip
        return figure

    return draw


@dataclass(frozen=True, slots=True)
class _HeatRows:
    """What the heat map of a suite shows.

    Attributes:
        title: above it.
        labels: of the rows.
        rates: per policy, one value per row.
        differences: second policy minus first where there are two, else empty.
    """

    title: str
    labels: tuple[str, ...]
    rates: tuple[tuple[float | None, ...], ...]
    differences: tuple[Difference | None, ...]


def heat_rows(table: SuiteTable) -> _HeatRows:
    """Tasks where there are at most `MOST_ROWS`, else the values of the first tag that has few enough."""
    first = table.differences[0]
    what, labels = "task", tuple(part.name for part in first.tasks)
    pick = [{part.name: part for part in difference.tasks} for difference in table.differences]
    if len(labels) > MOST_ROWS:
        tags = [tag for tag, parts in first.groups.items() if len(parts) <= MOST_ROWS]
        if tags:
            what = tags[0]
            labels = tuple(part.name for part in first.groups[what])
            pick = [{part.name: part for part in difference.groups[what]} for difference in table.differences]
        else:
            ordered = sorted(first.tasks, key=lambda part: (part.p, -abs(part.difference)))[:MOST_ROWS]
            what, labels = f"the {MOST_ROWS} tasks that differ most", tuple(part.name for part in ordered)
    base = tuple(pick[0][label].rate_base for label in labels)
    others = [tuple(part[label].rate_new if label in part else None for label in labels) for part in pick]
    differences = tuple(pick[0].get(label) for label in labels) if len(pick) == 1 else ()
    title = f"Success rate by {what}, percent" + (", and the difference in points" if differences else "")
    return _HeatRows(title, tuple(label or "(none)" for label in labels), (base, *others), differences)


def _by_rate(table: SuiteTable) -> list[tuple[PolicyRow, Difference | None]]:
    """Policies with their difference against the first, the best one first."""
    differences: list[Difference | None] = [None, *(each.whole for each in table.differences)]
    rows = list(zip(table.policies, differences, strict=True))
    return sorted(rows, key=lambda row: -row[0].rate)


def _draw_forest(part: Figure, table: SuiteTable, theme: Theme) -> None:
    rows, names = _by_rate(table), labels(table)
    rates, differences = part.subplots(1, 2, width_ratios=(1, 1))
    draw_forest(
        rates,
        [_rate_row(row, names[row.side]) for row, _ in rows],
        theme,
        title=f"{table.suite} {table.protocol}: {table.n_compared} episodes",
        axis_label="success rate on these tasks, percent, 95 %\nsame letter: cannot be told apart",
        limits=_padded([row.these_tasks.low for row, _ in rows], [row.these_tasks.high for row, _ in rows], (0, 1)),
    )
    draw_forest(
        differences,
        [_difference_row(row, difference) for row, difference in rows],
        theme,
        title=f"against {names[table.policies[0].side]}",
        axis_label="difference, points, 95 %\nfilled: told apart from the reference (Holm, 5 %)",
        lines=((0.0, "muted"),),
        with_labels=False,
    )
    for axes in (rates, differences):
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}".replace("-", "−"))


def _rate_row(row: PolicyRow, label: str) -> ForestRow:
    low, high = row.these_tasks.low, row.these_tasks.high
    note = f"{100 * row.rate:.1f} [{100 * low:.1f}, {100 * high:.1f}]  {row.letters}"
    return ForestRow(label=label, value=row.rate, low=low, high=high, note=note)


def _difference_row(row: PolicyRow, difference: Difference | None) -> ForestRow:
    if difference is None:
        return ForestRow(label=row.side, value=None, note="reference")
    low, high = difference.interval.low, difference.interval.high
    is_sure = difference.p_adjusted <= ALPHA
    note = f"{points(difference.difference)} {points_interval(difference.interval)}"
    colour = ("better" if difference.difference > 0 else "worse") if is_sure else "muted"
    return ForestRow(
        label=row.side, value=difference.difference, low=low, high=high, note=note, is_sure=is_sure, colour=colour
    )


def _draw_heat(part: Figure, table: SuiteTable, theme: Theme) -> None:
    heat, names = heat_rows(table), labels(table)
    columns = [
        HeatColumn(names[row.side], rates) for row, rates in zip(table.policies, heat.rates, strict=True)
    ]  # fmt: skip
    if heat.differences:
        sure = frozenset(i for i, part in enumerate(heat.differences) if part and part.p_adjusted <= ALPHA)
        values = [part.difference if part else None for part in heat.differences]
        columns.append(HeatColumn("difference", values, is_difference=True, emphasis=sure))
    # Few columns do not fill the picture: a cell is no wider than its label.
    taken = _cells_width(table)
    axes, rest = part.subplots(1, 2, width_ratios=(taken, max(0.01, _width([table]) - taken)))
    rest.set_visible(False)
    draw_heatmap(axes, heat.labels, columns, theme, title=heat.title)


def labels(table: SuiteTable) -> dict[str, str]:
    """Side → what stands in the picture: without the name of the suite where all of them end with it."""
    sides = [row.side for row in table.policies]
    ending = f"-{table.suite}"
    are_all = all(side.endswith(ending) and side != ending for side in sides)
    return _short([side.removesuffix(ending) if are_all else side for side in sides], sides)


def _short(names: Sequence[str], sides: Sequence[str]) -> dict[str, str]:
    """Long names lose their middle: checkpoints of one training differ at the end. Whole where that makes two alike."""
    short = [name if len(name) <= MOST_LETTERS else f"{name[:20]}…{name[20 - MOST_LETTERS + 1 :]}" for name in names]
    clear = [label if short.count(label) == 1 else name for label, name in zip(short, names, strict=True)]
    return dict(zip(sides, clear, strict=True))


def _padded(low: Sequence[float], high: Sequence[float], within: tuple[float, float]) -> tuple[float, float]:
    room = 0.05 * max(0.05, max(high) - min(low))
    return max(within[0] - 0.01, min(low) - room), min(within[1] + 0.01, max(high) + room)


def _forest_height(table: SuiteTable) -> float:
    return 1.35 + ROW_IN * len(table.policies)


def _heat_height(table: SuiteTable) -> float:
    names = list(labels(table).values())
    return 0.9 + label_height(names, _n_columns(table)) + CELL_IN[1] * len(heat_rows(table).labels)


def _cells_width(table: SuiteTable) -> float:
    """Inches of the cells and of the labels beside them."""
    n_columns = _n_columns(table)
    cell = CELL_IN[0] if n_columns > MOST_UPRIGHT else 1.5 * CELL_IN[0]
    return 0.4 + 0.075 * max(map(len, heat_rows(table).labels), default=0) + cell * n_columns


def _n_columns(table: SuiteTable) -> int:
    return len(table.policies) + (len(table.differences) == 1)


def _width(tables: Sequence[SuiteTable]) -> float:
    return max(10.5, *(_cells_width(table) + 0.8 for table in tables))
