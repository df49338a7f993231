"""Plots in both palettes: readable, the same every time, and without anything from elsewhere."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from vla_bench.results.plots.forest import ForestRow, draw_forest
from vla_bench.results.plots.heatmap import HeatColumn, draw_heatmap
from vla_bench.results.plots.page import page_css
from vla_bench.results.plots.style import THEMES, Theme, adaptive_svg, new_figure, save_plot
from vla_bench.spec.errors import UsageError

BOTH = pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES.keys())


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def draw(theme: Theme):
    figure = new_figure(theme, 6, 3)
    left, right = figure.subplots(1, 2)
    rows = [ForestRow("a <b> & $c$", 0.5, 0.4, 0.6, "note"), ForestRow("none", None, note="reference")]
    draw_forest(left, rows, theme, title="t", axis_label="x")
    columns = [HeatColumn("rate", [0.0, 1.0]), HeatColumn("difference", [None, -0.2], is_difference=True)]
    draw_heatmap(right, ["one", "two"], columns, theme, title="t")
    return figure


@BOTH
def test_text_and_marks_have_contrast(theme: Theme) -> None:
    for name in ("ink", "muted", "accent", "better", "worse"):
        assert contrast(getattr(theme, name), theme.background) >= 4.5, name
    for step in range(101):
        assert contrast(*theme.level(step / 100)) >= 4.5
        assert contrast(*theme.change(step / 50 - 1)) >= 4.5


@BOTH
def test_no_two_roles_share_a_colour(theme: Theme) -> None:
    colours = list(theme.variables().values())
    assert len(set(colours)) == len(colours)


@BOTH
def test_a_higher_rate_is_always_further_from_the_paper(theme: Theme) -> None:
    distances = [contrast(theme.level(step / 10)[0], theme.background) for step in range(11)]
    assert all(low < high for low, high in pairwise(distances))


def test_an_svg_is_adaptive_and_the_same_every_time() -> None:
    one, again = (adaptive_svg(draw, title="T & t", description="d") for _ in range(2))
    assert one == again
    root = ElementTree.fromstring(one)
    assert root.get("role") == "img"
    assert root[0].text == "T & t"
    assert "prefers-color-scheme:dark" in one
    body = one[one.index("</style>") :]
    assert not any(colour in body for colour in THEMES["light"].variables().values())
    assert "a &lt;b&gt; &amp; $c$" in one


def test_a_fixed_theme_has_one_palette() -> None:
    text = adaptive_svg(draw, title="t", description="d", theme="dark")
    assert "prefers-color-scheme" not in text
    assert THEMES["dark"].background in text


@pytest.mark.parametrize("theme", ["", "light", "dark"])
def test_png_files(tmp_path: Path, theme: str) -> None:
    save_plot(draw, tmp_path / "it.png", theme=theme, title="t", description="d")
    assert (tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["it.png"]


def test_other_endings_and_themes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png or \.svg"):
        save_plot(draw, tmp_path / "it.jpg", title="t", description="d")
    with pytest.raises(UsageError, match="light or dark"):
        save_plot(draw, tmp_path / "it.png", theme="blue", title="t", description="d")


def test_a_users_matplotlib_settings_do_not_reach_our_plots() -> None:
    import matplotlib

    plain = adaptive_svg(draw, title="t", description="d")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert adaptive_svg(draw, title="t", description="d") == plain


def test_the_page_has_both_palettes_and_nothing_from_elsewhere() -> None:
    css = page_css()
    assert "prefers-color-scheme: dark" in css
    assert "url(" not in css
    assert "@import" not in css
