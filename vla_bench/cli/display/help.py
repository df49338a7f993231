"""The first page of `vla-bench --help`: commands before options, in the order in which a newcomer meets them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol

from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table

from vla_bench.cli.display.console import answer

__all__ = ["print_first_page"]


class Entry(Protocol):
    """One command: its name, the panel it stands in, and its one line."""

    @property
    def name(self) -> str: ...
    @property
    def panel(self) -> str: ...
    @property
    def summary(self) -> str: ...


def print_first_page(entries: Sequence[Entry], options: Sequence[Any], *, question: str, example: str) -> None:
    """Print usage, the question that the tool answers, the commands by panel, and the options of the group itself.

    Args:
        entries: in the order shown; neighbours of one panel stand together.
        options: parameters with `opts` and `help`.
        question: one sentence.
        example: a command.
    """
    console = answer()
    console.print("\n [yellow]Usage:[/] vla-bench [bold]COMMAND[/] [OPTIONS]\n")
    console.print(Padding(question, (0, 1, 1, 1)))
    width = max(len(entry.name) for entry in entries)
    for title, members in groupby(entries, key=attrgetter("panel")):
        rows = [(f"[bold cyan]{entry.name}[/]", entry.summary) for entry in members]
        console.print(_panel(title, rows, width))
    rows = [(f"[bold cyan]{', '.join(option.opts)}[/]", option.help or "") for option in options]
    console.print(_panel("Options", rows, max(len(", ".join(option.opts)) for option in options)))
    console.print(f"\n Example: [bold]{example}[/]\n")


def _panel(title: str, rows: Sequence[tuple[str, str]], width: int) -> Panel:
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(min_width=width, no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return Panel(table, title=title, title_align="left", border_style="bright_black")
