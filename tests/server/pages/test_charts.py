"""Geometry of the charts, and the colours that they and the pages share."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.results.plots.style import DARK, LIGHT, Theme
from vla_bench.results.stats.bins import count_bins
from vla_bench.server.pages.charts import (
    action_chart,
    fitted_axis,
    history_chart,
    latency_chart,
    rate_axis,
    span,
    split_parts,
    survival_chart,
)
from vla_bench.server.pages.site import static_files

RATES = st.lists(st.floats(0, 1), max_size=20)


@given(RATES)
def test_an_axis_of_rates_holds_every_value_and_nothing_beyond_0_and_1(values: list[float]) -> None:
    axis = rate_axis(values)
    assert 0 <= axis.low < axis.high <= 1
    for value in values:
        assert axis.low - 1e-9 <= value <= axis.high + 1e-9
    places = [tick.at for tick in axis.ticks]
    assert places == sorted(places)
    assert 2 <= len(places) <= 9
    assert (places[0], places[-1]) == (0.0, 100.0)


def test_an_axis_begins_at_the_data_and_not_at_0() -> None:
    axis = rate_axis([0.86, 0.98])
    assert [tick.text for tick in axis.ticks] == ["85", "90", "95", "100"]
    assert axis.low == pytest.approx(0.85)


def test_a_count_has_no_half_ticks() -> None:
    axis = fitted_axis([0, 1], lambda value: f"{value:g}", least_step=1.0)
    assert [tick.text for tick in axis.ticks] == ["0", "1"]


def test_a_row_without_a_number_draws_nothing_there() -> None:
    axis = rate_axis([0.4, 0.9])
    drawn = span(axis, None, 0.5, 0.8, is_bounds=True)
    assert drawn.at is None
    assert drawn.is_bounds
    assert drawn.low is not None
    assert span(axis, 0.5, None, None).low is None


def test_survival_says_every_share() -> None:
    chart = survival_chart([("a", [0.96, 0.9, 0.85, 0.79, 0.745]), ("none", [])])
    assert chart is not None
    assert [round(point.y, 3) for point in chart.lines[0].points] == [4, 10, 15, 21, 25.5]
    assert "a: 96.0 %, 90.0 %, 85.0 %, 79.0 %, 74.5 %" in chart.desc
    assert survival_chart([("none", [])]) is None


def test_history_needs_two_versions_with_a_score() -> None:
    assert history_chart("h", [("1", 0.9, 0.8, 0.95), ("2", None, None, None)], is_rate=True) is None
    chart = history_chart("h", [("1", 0.9, 0.8, 0.95), ("2", 0.95, None, None)], is_rate=True)
    assert chart is not None
    assert chart.lines[0].points[1].low is None
    assert chart.lines[0].points[1].y < chart.lines[0].points[0].y


@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=300))
def test_a_histogram_loses_no_answer(times: list[float]) -> None:
    chart = latency_chart(count_bins(np.asarray(times, np.float32)))
    assert chart is not None
    assert sum(count for _, count in chart.rows) == len(times)
    assert len(chart.bars) <= 24
    assert all(0 <= bar.height <= 100 and 0 <= bar.x <= 100 for bar in chart.bars)
    assert latency_chart({}) is None


def test_parts_fill_the_frame() -> None:
    parts = split_parts([("both", 430), ("a", 45), ("b", 10), ("neither", 15)])
    assert parts[-1].x + parts[-1].width == pytest.approx(100)
    assert split_parts([("none", 0)]) == ()


def test_long_traces_keep_their_outline() -> None:
    actions = np.zeros((5000, 2), np.float32)
    actions[3210, 0] = 1.0
    chart = action_chart(actions, ["x"], list(range(0, 5000, 8)))
    assert chart is not None
    assert chart.entries[0].path.count("L") < 400
    assert "64.2" in chart.entries[0].path  # the one step that differs is drawn: 3210 of 5000
    assert (chart.entries[0].high, chart.entries[1].name) == (1.0, "entry 1")
    assert chart.queries == ()
    assert action_chart(np.zeros((0, 2), np.float32), [], []) is None


def _css() -> str:
    return static_files()["board.css"][0].decode()


def _colours(index: int) -> dict[str, str]:
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", _css())
    return {name: pair[index] for name, *pair in found}


@pytest.mark.parametrize(("index", "theme"), [(0, LIGHT), (1, DARK)])
def test_the_pages_have_the_colours_of_the_plots_and_enough_contrast(index: int, theme: Theme) -> None:
    colours = _colours(index)
    for name, colour in theme.variables().items():
        if name in colours:
            assert colours[name] == colour, name
    assert {f"levels-{step}" for step in range(11)} < set(colours)
    for name in ("ink", "muted", "accent", "better", "worse"):
        for paper in ("background", "raised"):
            assert _contrast(colours[name], colours[paper]) >= 4.5, (name, paper)
    assert _contrast(colours["edge"], colours["background"]) >= 3
    for step in range(11):
        ink = colours["ink"] if step < 7 else colours["background"]
        assert _contrast(ink, colours[f"levels-{step}"]) >= 4.5, step


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_style_sheet_and_the_script_stay_small() -> None:
    assert len(_css().splitlines()) <= 500
    assert len(static_files()["board.js"][0].splitlines()) <= 60
    assert "url(" not in _css()
