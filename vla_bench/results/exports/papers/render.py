"""A table as text: LaTeX (booktabs), Markdown, or CSV with the numbers in full."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence

from vla_bench.results.exports.papers.layouts import Cell, Column, Table
from vla_bench.results.stats.rates import Interval
from vla_bench.spec.errors import UsageError

__all__ = ["RENDERERS", "render"]


def render(table: Table, text_format: str) -> str:
    """Write a table.

    Args:
        table: see `lay_out`.
        text_format: a key of `RENDERERS`.

    Raises:
        UsageError: there is no such format.
    """
    if text_format not in RENDERERS:
        raise UsageError(f"no format {text_format!r} of tables: choose {', '.join(RENDERERS)}")
    return RENDERERS[text_format](table)


def _latex(table: Table) -> str:
    n_columns = len(table.columns)
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{''.join(_LATEX_ALIGN[column.kind] for column in table.columns)}}}",
        r"\toprule",
        " & ".join(_latex_title(column) for column in table.columns) + r" \\",
    ]
    for block in table.blocks:
        lines += [r"\midrule", rf"\multicolumn{{{n_columns}}}{{l}}{{\emph{{{_latex_text(block.heading)}}}}} \\"]
        lines += [" & ".join(map(_latex_cell, table.columns, row)) + r" \\" for row in block.rows]
    lines += [r"\bottomrule"]
    lines += [
        rf"\multicolumn{{{n_columns}}}{{l}}{{\footnotesize {_latex_text(mark)} {_latex_text(words)}}} \\"
        for mark, words in table.notes.items()
    ]
    return "\n".join([*lines, r"\end{tabular}", ""])


_LATEX_ALIGN = {"text": "l", "count": "r", "rate": "r", "length": "r", "interval": "r"}
_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "×": r"$\times$", "–": "--",
    "†": r"$^\dagger$", "‡": r"$^\ddagger$", "§": r"$^\S$", "¶": r"$^\P$", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _one_line(text))


def _latex_title(column: Column) -> str:
    title = {"n": "$n$", "95 %": r"95\,\% interval"}.get(column.title, _latex_text(column.title))
    return rf"{title} [\%]" if column.kind == "rate" else title


def _latex_cell(column: Column, cell: Cell) -> str:
    if cell is None:
        return "--"
    if isinstance(cell, str):
        return _latex_text(cell)
    text = _number(column, cell)
    return f"${text}$" if column.kind == "interval" else text


def _markdown(table: Table) -> str:
    head = [
        "| " + " | ".join(_markdown_title(column) for column in table.columns) + " |",
        "|" + "|".join("---" if column.kind == "text" else "--:" for column in table.columns) + "|",
    ]
    parts = []
    for block in table.blocks:
        rows = ["| " + " | ".join(map(_markdown_cell, table.columns, row)) + " |" for row in block.rows]
        parts.append("\n".join([f"**{_markdown_text(block.heading)}**", "", *head, *rows]))
    if table.notes:
        parts.append("  \n".join(f"{mark} {words}" for mark, words in table.notes.items()))
    return "\n\n".join(parts) + "\n"


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|~])", r"\\\1", _one_line(text))


def _markdown_title(column: Column) -> str:
    return f"{_markdown_text(column.title)} [%]" if column.kind == "rate" else _markdown_text(column.title)


def _markdown_cell(column: Column, cell: Cell) -> str:
    if cell is None:
        return "–"
    return _markdown_text(cell) if isinstance(cell, str) else _number(column, cell)


def _csv(table: Table) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    titles = ["protocol"]
    for column in table.columns:
        titles += ["low", "high"] if column.kind == "interval" else [column.title]
    writer.writerow(titles)
    for block in table.blocks:
        for row in block.rows:
            cells: list[str | int | float] = [block.heading]
            for column, cell in zip(table.columns, row, strict=True):
                cells += _csv_cells(column, cell)
            writer.writerow(cells)
    return buffer.getvalue()


def _csv_cells(column: Column, cell: Cell) -> Sequence[str | int | float]:
    if column.kind == "interval":
        return _ends(cell) if isinstance(cell, (Interval, tuple)) else ("", "")
    return ("",) if cell is None or isinstance(cell, (Interval, tuple)) else (cell,)


def _number(column: Column, cell: int | float | Interval | tuple[float, float]) -> str:
    if isinstance(cell, (Interval, tuple)):
        low, high = _ends(cell)
        return f"[{100 * low:.1f}, {100 * high:.1f}]"
    if column.kind == "length":
        return f"{cell:.2f}"
    return f"{100 * cell:.1f}" if column.kind == "rate" else str(cell)


def _ends(cell: Interval | tuple[float, float]) -> tuple[float, float]:
    return cell if isinstance(cell, tuple) else (cell.low, cell.high)


def _one_line(text: str) -> str:
    return " ".join(text.split())


RENDERERS: Mapping[str, Callable[[Table], str]] = {"markdown": _markdown, "latex": _latex, "csv": _csv}
"""Format → what writes it."""
