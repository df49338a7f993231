"""How every plot looks: two palettes, safe for colour blindness, and SVG that follows the reader's colour scheme.

Plots are drawn on `Figure` objects and never through pyplot, whose state is global. Colour is never the only sign:
numbers stand beside marks and in cells, marks have shapes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from vla_bench.results.outputs import write_output
from vla_bench.spec.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DARK", "LIGHT", "THEMES", "Draw", "Theme", "adaptive_svg", "new_figure", "save_plot", "style_axes"]

DPI = 160


@dataclass(frozen=True, slots=True)
class Theme:
    """A palette. Within one, no two fields share a colour: in SVG each becomes a variable of that name.

    Attributes:
        name: `light` or `dark`.
        background, ink, muted, grid: paper, text and lines.
        accent: the marks of what is shown.
        better, worse: marks of a difference above and below 0.
        levels: eleven steps of a rate from 0 to 1, `ink` on the first seven, `background` on the others.
        falls: four steps of a difference below 0, the largest first; `background` on the first two.
        even: a difference of 0.
        rises: four steps of a difference above 0, the largest last; `background` on the last two.
    """

    name: str
    background: str
    ink: str
    muted: str
    grid: str
    accent: str
    better: str
    worse: str
    levels: tuple[str, ...]
    falls: tuple[str, ...]
    even: str
    rises: tuple[str, ...]

    def level(self, rate: float) -> tuple[str, str]:
        """Colour of a cell that holds a rate from 0 to 1, and of the text on it."""
        step = min(10, max(0, round(10 * rate)))
        return self.levels[step], self.ink if step < 7 else self.background

    def change(self, difference: float, full: float = 0.4) -> tuple[str, str]:
        """Colour of a cell that holds a difference, and of the text on it; `full` and beyond is the strongest step."""
        step = min(4, round(4 * abs(difference) / full))
        if step == 0:
            return self.even, self.ink
        colour = self.rises[step - 1] if difference > 0 else self.falls[4 - step]
        return colour, self.ink if step <= 2 else self.background

    def variables(self) -> dict[str, str]:
        """Name of each colour → hexadecimal value."""
        found: dict[str, str] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                found |= {f"{field.name}-{index}": colour for index, colour in enumerate(value)}
            elif field.name != "name":
                found[field.name] = value
        return found


# Marks after Okabe and Ito 2008 (blue and vermilion), darkened or lightened until they reach 4.5 : 1 on the paper.
LIGHT = Theme(
    name="light",
    background="#ffffff",
    ink="#1b1f24",
    muted="#59636e",
    grid="#d9dee3",
    accent="#0a5ea8",
    better="#0b62ad",
    worse="#b0410a",
    levels=(
        "#f6f9fb", "#e3effb", "#cfe3f7", "#b5d5f4", "#98c3ed", "#78afe2",
        "#4f93d0", "#3078b6", "#2167a1", "#125386", "#0c426c",
    ),
    falls=("#9c3a09", "#b84f16", "#f0a678", "#f8d5bd"),
    even="#eef0f2",
    rises=("#cfe1f1", "#98c1e3", "#2e72ad", "#124f86"),
)  # fmt: skip
DARK = Theme(
    name="dark",
    background="#14181d",
    ink="#e8ebee",
    muted="#9da7b1",
    grid="#343b43",
    accent="#69aef0",
    better="#6cb0f2",
    worse="#f0935a",
    levels=(
        "#1d2125", "#202b36", "#233547", "#26415b", "#2a4f70", "#315c83",
        "#3b6c99", "#4686bf", "#5e9eda", "#7cb6ed", "#9ccdfd",
    ),
    falls=("#f7a470", "#e58a50", "#7a4424", "#4a3022"),
    even="#262c33",
    rises=("#22394e", "#2b5478", "#5d9dd4", "#83bcec"),
)  # fmt: skip
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}

Draw = Callable[[Theme], "Figure"]
"""Draws a plot under a palette; called once a picture."""


def new_figure(theme: Theme, width_in: float, height_in: float) -> Figure:
    """An empty figure on the theme's paper; axes that are added take their colours from `style_axes`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), facecolor=theme.background, layout="constrained")


def style_axes(axes: Any, theme: Theme, *, grid: str = "x") -> None:
    """Give matplotlib axes the theme's colours; lines of the grid along `x`, `y` or neither (empty)."""
    axes.set_facecolor(theme.background)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.grid)
    axes.tick_params(colors=theme.ink, labelsize=9, length=0)
    if grid:
        axes.grid(axis=grid, color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)


def save_plot(draw: Draw, path: Path, *, theme: str = "", title: str, description: str) -> None:
    """Write a plot as PNG or SVG, by the ending of the path.

    An SVG without a theme follows the colour scheme of whoever looks at it. A PNG cannot: it is light where not asked.

    Args:
        draw: the plot.
        path: ends in `.png` or `.svg`; its folder exists.
        theme: `light`, `dark`, or empty.
        title: for screen readers, and the SVG's title.
        description: what the plot shows, in a sentence.

    Raises:
        UsageError: another ending, an unknown theme, or a path that cannot be written.
        MissingExtra: matplotlib is not installed.
    """
    if theme and theme not in THEMES:
        raise UsageError(f"a theme is light or dark, not {theme!r}")
    ending = path.suffix.lower()
    if ending not in (".png", ".svg"):
        raise UsageError(f"a plot is a .png or .svg file, not {path.name!r}")
    if ending == ".svg":
        data = adaptive_svg(draw, title=title, description=description, theme=theme).encode()
    else:
        data = _rendered(draw, THEMES[theme or "light"], "png")
    write_output(path, data)


def adaptive_svg(draw: Draw, *, title: str, description: str, theme: str = "") -> str:
    """A plot as SVG text, its letters as text and its colours as CSS variables.

    Without a theme it is light, and dark where the reader prefers that; inside an HTML page a `data-theme` attribute of
    the page's root decides. Fit to be put into a page as it is.
    """
    chosen = THEMES[theme or "light"]
    text = _rendered(draw, chosen, "svg").decode()
    # From <svg on: the XML declaration and the document type are for files of their own, and browsers need neither.
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    for name, colour in chosen.variables().items():
        text = text.replace(colour, f"var(--{name})")
    opening = text.index(">") + 1
    rules = _rules(chosen) if theme else _rules(LIGHT, DARK)
    about = f"<title>{escape(title)}</title><desc>{escape(description)}</desc><style>{rules}</style>"
    return text[: opening - 1] + ' class="vla-plot" role="img">' + about + text[opening:]


def _rules(theme: Theme, dark: Theme | None = None) -> str:
    def block(selector: str, palette: Theme) -> str:
        values = "".join(f"--{name}:{colour};" for name, colour in palette.variables().items())
        return f"{selector}{{{values}}}"

    rules = block(".vla-plot", theme) + ".vla-plot text{font-family:'DejaVu Sans',Verdana,sans-serif}"
    if dark is not None:
        rules += f"@media (prefers-color-scheme:dark){{{block('.vla-plot', dark)}}}"
        rules += block('[data-theme="light"] .vla-plot', theme) + block('[data-theme="dark"] .vla-plot', dark)
    return rules


def _rendered(draw: Draw, theme: Theme, form: str) -> bytes:
    # Equal plots are equal files: no date, and no random identifiers.
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    buffer = io.BytesIO()
    with _own_settings():
        figure = draw(theme)
        figure.savefig(buffer, format=form, dpi=DPI, facecolor=figure.get_facecolor(), metadata=metadata)
    return buffer.getvalue()


@contextmanager
def _own_settings() -> Iterator[None]:
    """Matplotlib's defaults, whatever the user's own settings file says."""
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtra("drawing plots", "plots") from error

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "vla-bench", "text.parse_math": False})
        yield
