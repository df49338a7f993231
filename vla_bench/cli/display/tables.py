"""The two shapes of tables that commands print: columns without lines, and facts with their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from rich.markup import escape
from rich.table import Table

__all__ = ["facts", "plain_table"]


def plain_table(*titles: str) -> Table:
    """A table without lines.

    Args:
        titles: one per column. `>` at the end sets it to the right and `|` to the left, both whole at any width: a
            number is never cut. Other columns fold where the terminal is narrow.
    """
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        is_whole = title.endswith((">", "|"))
        justify: Literal["left", "right"] = "right" if title.endswith(">") else "left"
        table.add_column(title.rstrip(">|"), justify=justify, no_wrap=is_whole, overflow="fold")
    return table


def facts(rows: Mapping[str, str]) -> Table:
    """Two columns: dim names, values; empty values are left out."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value:
            table.add_row(name, escape(value))
    return table
