"""A `Report` as one HTML page that stands alone, or as Markdown."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from vla_bench.results.plots.page import page_css, page_environment
from vla_bench.results.report import words
from vla_bench.results.report.model import CrossTable, Report, Section
from vla_bench.results.report.views import (
    Bar,
    Block,
    cells_by_part,
    checking_commands,
    facts_of,
    group_blocks,
    group_heats,
    overall_bars,
    parts_of,
    parts_shown,
    protocol_facts,
    settings_table,
    task_blocks,
)

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["report_html", "report_markdown"]

PACKAGE = "vla_bench.results.report"


def report_html(report: Report, *, theme: str = "") -> str:
    """The page: no script, nothing from elsewhere; plots are SVG inside the rows of their tables.

    Args:
        report: what it shows.
        theme: `light`, `dark`, or empty to follow the reader's colour scheme.
    """
    from markupsafe import Markup

    css = page_css() + files(PACKAGE).joinpath("report.css").read_text(encoding="utf-8")
    return _environment(is_html=True).get_template("report.html").render(
        report=report,
        sections=[_view(section) for section in report.sections],
        commands=checking_commands(report),
        css=Markup(css),
        theme=theme,
    )  # fmt: skip


def report_markdown(report: Report) -> str:
    """The same without pictures."""
    text = _environment(is_html=False).get_template("report.md").render(
        report=report, sections=[_view(section) for section in report.sections], commands=checking_commands(report)
    )  # fmt: skip
    return _one_blank_line(text)


def _environment(*, is_html: bool) -> Environment:
    environment = page_environment(PACKAGE)
    environment.autoescape = is_html
    environment.filters |= {name: getattr(words, name) for name in words.__all__}
    environment.filters["md"] = _escaped
    return environment


def _view(section: Section) -> dict[str, Any]:
    """A section as its templates want it."""
    suite = section.subjects[0].suite
    same, different = settings_table(section)
    tasks = task_blocks(section)
    noun, by_run = parts_of(section)
    return {
        "it": section,
        "names": [subject.summary.name for subject in section.subjects],
        "overall": Block("All tasks", "run", tuple(overall_bars(section))),
        "groups": group_blocks(section),
        "group_heats": group_heats(section),
        "crosses": [(s.summary.name, _heated(s.cross)) for s in section.subjects if s.cross is not None],
        "tasks": tasks,
        "heat": [] if tasks else cells_by_part(section),
        "part": noun,
        "n_parts": len({name for parts in by_run for name in parts}),
        "n_parts_shown": len(parts_shown(by_run)),
        "chains": [(s.summary.name, s.summary.chains) for s in section.subjects if s.summary.chains is not None],
        "protocol": protocol_facts(suite),
        "provenance": list(suite["provenance"].items()),
        "same": same,
        "different": different,
        "facts": [(subject.summary.name, list(facts_of(subject))) for subject in section.subjects],
    }


def _heated(cross: CrossTable) -> dict[str, Any]:
    cells = {row: [_cell(counts) for counts in found] for row, found in cross.cells.items()}
    return {"rows": cross.rows, "columns": cross.columns, "heads": cross.values, "cells": cells}


def _cell(counts: tuple[int, int] | None) -> Bar | None:
    if counts is None:
        return None
    k, n = counts
    return Bar(label="", counts=f"{k}/{n}", rate=k / n if n else None, low=None, high=None)


def _escaped(value: Any) -> str:
    """Text inside a Markdown table or list: what would be markup is not."""
    text = " ".join(str(value).split())
    for sign in "\\`*_{}[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return text


def _one_blank_line(text: str) -> str:
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() or (lines and lines[-1]):
            lines.append(line.rstrip())
    return "\n".join(lines).strip() + "\n"
