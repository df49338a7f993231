"""Charts of lines: how far chains go, and a policy's score from version to version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vla_bench.server.pages.charts.axis import Axis, Tick, fitted_axis, rate_axis

__all__ = ["Line", "LineChart", "Point", "history_chart", "survival_chart"]


@dataclass(frozen=True, slots=True)
class Point:
    """One place of a line, percent of the frame; `y` counts from the top.

    Attributes:
        x, y: of the mark.
        low, high: ends of its interval along y; None where there is none.
        text: beside the mark.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A named line: its points, and the same as path data in a frame of 100 by 100."""

    name: str
    points: tuple[Point, ...]
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """A chart.

    Attributes:
        title, desc: for those who do not see it.
        x, y: axes with their labels.
        x_label, y_label: what is on them.
        lines: at most four are told apart by dashes.
    """

    title: str
    desc: str
    x: Axis
    y: Axis
    x_label: str
    y_label: str
    lines: tuple[Line, ...]


def line(name: str, points: Sequence[Point]) -> Line:
    """A line through points."""
    path = "".join(f"{'L' if index else 'M'}{point.x:g} {point.y:g}" for index, point in enumerate(points))
    return Line(name, tuple(points), path)


def survival_chart(curves: Sequence[tuple[str, Sequence[float]]]) -> LineChart | None:
    """Share of chains that reach at least k subtasks in a row, from k = 1.

    Args:
        curves: name and shares from 0 to 1, equally many each.

    Returns:
        None where there is no curve.
    """
    curves = [(name, shares) for name, shares in curves if shares]
    if not curves:
        return None
    n_stages = max(len(shares) for _, shares in curves)
    y = rate_axis([0.0, 1.0])
    places = [100 * index / max(1, n_stages - 1) for index in range(n_stages)]
    x = Axis(1, n_stages, tuple(Tick(round(at, 2), str(index + 1)) for index, at in enumerate(places)))
    lines = [
        line(name, [Point(x.at(k), 100 - y.at(share), text=f"{100 * share:.1f}") for k, share in enumerate(shares, 1)])
        for name, shares in curves
    ]
    said = "; ".join(f"{name}: " + ", ".join(f"{100 * share:.1f} %" for share in shares) for name, shares in curves)
    return LineChart(
        title="How far chains go",
        desc=f"Share of chains with at least 1 to {n_stages} subtasks in a row. {said}.",
        x=x, y=y, x_label="subtasks in a row, at least", y_label="% of chains", lines=tuple(lines),
    )  # fmt: skip


def history_chart(
    title: str, versions: Sequence[tuple[str, float | None, float | None, float | None]], *, is_rate: bool
) -> LineChart | None:
    """A score from version to version, with intervals.

    Args:
        title: of the chart.
        versions: name, score, low, high; in order. Those without a score are left out.
        is_rate: scores are rates from 0 to 1, else lengths.

    Returns:
        None where fewer than two versions have a score: a line needs two points.
    """
    scored = [(name, score, low, high) for name, score, low, high in versions if score is not None]
    if len(scored) < 2:
        return None
    values = [value for _, *three in scored for value in three if value is not None]
    y = rate_axis(values) if is_rate else fitted_axis(values, lambda value: f"{value:g}")
    places = [100 * (index + 0.5) / len(scored) for index in range(len(scored))]
    x = Axis(0, len(scored), tuple(Tick(round(at, 2), row[0]) for at, row in zip(places, scored, strict=True)))
    points = [
        Point(
            round(at, 2), round(100 - y.at(score), 2),
            None if low is None else round(100 - y.at(low), 2), None if high is None else round(100 - y.at(high), 2),
            f"{100 * score:.1f}" if is_rate else f"{score:.2f}",
        )
        for at, (_, score, low, high) in zip(places, scored, strict=True)
    ]  # fmt: skip
    said = ", ".join(f"{row[0]}: {point.text}" for row, point in zip(scored, points, strict=True))
    return LineChart(
        title=title, desc=f"Score by version: {said}.", x=x, y=y, x_label="version",
        y_label="% success" if is_rate else "average length", lines=(line(title, points),),
    )  # fmt: skip
