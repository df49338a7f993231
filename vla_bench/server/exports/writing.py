"""A sheet as text: CSV, LaTeX or Markdown; anything as JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from vla_bench.results.exports.papers.render import render
from vla_bench.server.exports.sheets import Sheet
from vla_bench.server.problems import Problem
from vla_bench.spec.canonical import to_plain

__all__ = ["MEDIA_TYPES", "to_csv", "to_json", "to_paper"]

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "tex": "application/x-tex; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "bib": "application/x-bibtex; charset=utf-8",
    "svg": "image/svg+xml",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PAPERS = {"tex": "latex", "md": "markdown"}


def to_csv(sheet: Sheet) -> str:
    """Comma-separated values, one line a row; empty where nothing is known.

    A text that a spreadsheet would run as a formula gets an apostrophe before it: names are made by strangers.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(sheet.columns)
    writer.writerows([_csv_cell(value) for value in row] for row in sheet.rows)
    return buffer.getvalue()


def _csv_cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    text = value if isinstance(value, str) else json.dumps(to_plain(value), ensure_ascii=False)
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_json(value: Any) -> str:
    """What a page shows, as JSON."""
    return json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False)


def to_paper(sheet: Sheet, form: str) -> str:
    """A table for a paper: `tex` or `md`.

    Raises:
        Problem: 404, this table has no such form.
    """
    if sheet.paper is None:
        raise Problem(404, f"this table is not written as .{form}; there are .csv and .json")
    return render(sheet.paper, _PAPERS[form])
