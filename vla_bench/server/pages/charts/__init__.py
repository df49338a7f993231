"""Geometry of the pages' charts: positions are percent of a frame, so that text keeps its size. Templates draw it."""

from vla_bench.server.pages.charts.actions import ActionChart, action_chart
from vla_bench.server.pages.charts.axis import Axis, Tick, fitted_axis, rate_axis
from vla_bench.server.pages.charts.bars import Bar, BarChart, Part, latency_chart, split_parts
from vla_bench.server.pages.charts.lines import Line, LineChart, Point, history_chart, survival_chart
from vla_bench.server.pages.charts.span import Span, span

__all__ = [
    "ActionChart", "Axis", "Bar", "BarChart", "Line", "LineChart", "Part", "Point", "Span", "Tick", "action_chart",
    "fitted_axis", "history_chart", "latency_chart", "rate_axis", "span", "split_parts", "survival_chart",
]  # fmt: skip
