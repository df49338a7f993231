"""Plots of few and of many policies: every word of them is inside the picture, whole, and beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.results.samples import results, spec, suite
from vla_bench.results.comparison.flips import Flip, SideOfFlip, Traces
from vla_bench.results.comparison.loading import load_vectors
from vla_bench.results.comparison.page import comparison_page
from vla_bench.results.comparison.pictures import comparison_plot, labels, traces_plot
from vla_bench.results.comparison.sides import Side
from vla_bench.results.comparison.table import Comparison, compare
from vla_bench.results.plots.heatmap import HeatColumn, draw_heatmap
from vla_bench.results.plots.style import DARK, LIGHT, Theme, new_figure
from vla_bench.results.store import Store

LONG = [f"openvla-oft-libero-finetuned-bf16-step-{1000 * (i + 1)}" for i in range(20)]
SHORT = ["lamp", "clad"]
ROWS = [f"pick_up_the_{'long_named_' * (i % 3)}thing_{i}" for i in range(9)]


def comparison(folder: Path, names: Sequence[str]) -> Comparison:
    """Policies that do their tasks less and less often."""
    of = suite(8, 5)
    with Store.open(folder / "results.db") as store:
        for at, name in enumerate(names):
            made = spec(name, of)
            bits = np.random.default_rng(at).random(len(made.plan)) < 1 - 0.9 * at / len(names)
            store.begin_run(made)
            store.add(name, results(made.plan, ["success" if bit else "failure" for bit in bits]))
        return compare([Side(vector.name, (vector,)) for vector in load_vectors(store, names)])


def words(figure: Any) -> list[tuple[str, Any]]:
    """Each text that is drawn, with its artist, whose box is in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    drawn: dict[int, Any] = {}
    draw = Text.draw

    def watch(text: Any, renderer: Any) -> None:
        drawn[id(text)] = text
        draw(text, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", watch)
        FigureCanvasAgg(figure).draw()
    return [(text.get_text(), text) for text in drawn.values() if text.get_text().strip()]


def outside(figure: Any) -> list[str]:
    """Words that are not wholly in the picture."""
    width, height = figure.bbox.width + 1, figure.bbox.height + 1
    found = []
    for word, text in words(figure):
        box = text.get_window_extent()
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width or box.y1 > height:
            found.append(word)
    return found


def overlapping(figure: Any) -> list[tuple[str, str]]:
    """Pairs of upright words that lie on one another; slanted ones have boxes that say nothing."""
    upright = [(word, text.get_window_extent()) for word, text in words(figure) if text.get_rotation() == 0]
    return [
        (one, other)
        for (one, a), (other, b) in combinations(upright, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 2
    ]


@pytest.mark.parametrize(
    ("names", "theme"),
    [(SHORT, LIGHT), (LONG[:2], DARK), (LONG, LIGHT)],
    ids=["two", "two of long names", "twenty"],
)
def test_no_word_of_a_comparison_is_cut_or_covered(names: Sequence[str], theme: Theme, tmp_path: Path) -> None:
    figure = comparison_plot(comparison(tmp_path, names))(theme)
    assert outside(figure) == []
    assert overlapping(figure) == []


def test_long_names_that_differ_at_their_end_stay_different(tmp_path: Path) -> None:
    table = comparison(tmp_path, [*LONG[:3], f"{'x' * 20}a{'y' * 20}", f"{'x' * 20}b{'y' * 20}"]).suites[0]
    shown = list(labels(table).values())
    assert len(set(shown)) == 5
    assert shown[0] == "openvla-oft-libero-f…f16-step-1000"
    assert shown[3] == f"{'x' * 20}a{'y' * 20}"


@pytest.mark.parametrize("n_columns", [1, 4, 20])
def test_labels_of_a_heat_map_stand_side_by_side(n_columns: int) -> None:
    figure = new_figure(LIGHT, 6 + 0.93 * n_columns, 3 + 0.27 * len(ROWS))
    columns = [HeatColumn(LONG[i], [0.5] * len(ROWS)) for i in range(n_columns)]
    draw_heatmap(figure.subplots(), ROWS, columns, LIGHT, title="Success rate by task, percent")
    assert outside(figure) == []
    assert overlapping(figure) == []


def test_the_legend_of_two_traces_is_whole() -> None:
    actions = np.zeros((30, 7), np.float32)
    side = SideOfFlip(is_success=True, n_steps=30)
    flip = Flip(suite="s", task="t", trial=0, repeat=0, episode="e", new=side, base=side)
    names = ("a" * 60, "a-run-whose-name-is-as-long-as-that-of-the-other-one-2")
    figure = traces_plot(Traces(flip=flip, new=actions, base=actions), names)(LIGHT)
    assert outside(figure) == []
    assert overlapping(figure) == []


def test_a_plot_in_a_narrow_window_is_scrolled_and_not_made_small(tmp_path: Path) -> None:
    page = comparison_page(comparison(tmp_path, SHORT), [], [])
    assert "figure .scroll svg { max-width: none; }" in page
    assert page.index('<div class="scroll" tabindex="0" role="region" aria-label="Plot of') < page.index("<svg")
