"""From panels to the frames of a film: one alone, two side by side, or many in a grid, all at the same step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from PIL import Image

from vla_bench.harness.film.canvas import blank
from vla_bench.harness.film.panel import GAP, Panel

__all__ = ["frames_of"]

HOLD_S = 1.6
"""How long the end stands."""
ASPECT = 16 / 9


def frames_of(panels: Sequence[Panel], *, every: int, fps: int) -> Iterator[Image.Image]:
    """Draw a film. An episode that has ended stands still, with its mark, until the last one has.

    Args:
        panels: of strips taken at every `every`-th step.
        every: control steps from one frame to the next.
        fps: frames a second.
    """
    n_lines = max(panel.n_instruction_lines for panel in panels)
    width = max(panel.width for panel in panels)
    height = max(panel.height(n_lines) for panel in panels)
    n_columns = _columns(len(panels), width, height)
    last = max(panel.last_step for panel in panels)
    for step in [*range(0, last, every), last]:
        sheet = _sheet([panel.draw(step, n_lines) for panel in panels], n_columns, width, height)
        yield sheet
    for _ in range(round(HOLD_S * fps)):
        yield sheet


def _columns(n: int, width: int, height: int) -> int:
    """The number of columns whose sheet is nearest to the shape of a screen and has few empty places; two are a row."""
    if n <= 2:
        return n

    def cost(columns: int) -> float:
        rows = math.ceil(n / columns)
        shape = columns * width / (rows * height)
        return abs(math.log(shape / ASPECT)) + (columns * rows - n) / n

    return min(range(1, n + 1), key=cost)


def _sheet(pictures: Sequence[Image.Image], n_columns: int, width: int, height: int) -> Image.Image:
    n_rows = math.ceil(len(pictures) / n_columns)
    sheet = blank(n_columns * (width + GAP) - GAP, n_rows * (height + GAP) - GAP)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, n_columns)
        sheet.paste(picture, (column * (width + GAP), row * (height + GAP)))
    return sheet
