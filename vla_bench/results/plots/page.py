"""Self-contained HTML pages: the style sheet that every page carries inside, and the Jinja environment they share.

A page follows the reader's colour scheme; `data-theme` on its root decides where it is set.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from vla_bench.results import wording
from vla_bench.results.plots.style import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["page_css", "page_environment"]


def page_css() -> str:
    """The style sheet of a page, colours of both schemes included."""

    def block(selector: str, theme: Theme) -> str:
        values = "".join(f"--{name}:{colour};" for name, colour in theme.variables().items())
        return f"{selector}{{{values}}}\n"

    colours = block(":root", LIGHT) + f"@media (prefers-color-scheme: dark) {{{block(':root', DARK)}}}\n"
    colours += block(':root[data-theme="light"]', LIGHT) + block(':root[data-theme="dark"]', DARK)
    return colours + files("vla_bench.results.plots").joinpath("page.css").read_text(encoding="utf-8")


def page_environment(package: str) -> Environment:
    """Jinja for templates in a package's folder: everything is escaped, and a missing value is an error.

    Filters: those of `vla_bench.results.wording`.

    Args:
        package: dotted name of the package whose `templates` folder holds the templates.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {name: getattr(wording, name) for name in wording.__all__}
    return environment
