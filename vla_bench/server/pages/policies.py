"""The page of a policy, and that of two rows beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from vla_bench.server.boards import read
from vla_bench.server.boards.views import Column, ComparePage, PolicyPage, PolicyResult, Row, TaskPair
from vla_bench.server.pages.boards import about_board
from vla_bench.server.pages.charts import (
    Axis,
    LineChart,
    fitted_axis,
    history_chart,
    rate_axis,
    span,
    split_parts,
    survival_chart,
)
from vla_bench.server.pages.listing import CLASSES, row_view
from vla_bench.server.pages.site import address, database, link, render
from vla_bench.server.pages.words import amount, bounds, ms_text, number, points, score_text, value_text
from vla_bench.server.problems import Problem

__all__ = ["cell_parts", "router"]

router = APIRouter(include_in_schema=False)
MOST_PARTS = 60
_COSTS = (
    ("policy_p50_ms", "median answer", ms_text),
    ("policy_p95_ms", "95th percentile", ms_text),
    ("n_queries", "answers", number),
    ("device", "device", value_text),
    ("precision", "precision", value_text),
    ("batch", "batch", value_text),
)


@router.get("/policies/{family:path}")
def policy(request: Request, family: str) -> Response:
    """All results of a family of policies."""
    page = read.policy_page(database(request), family)
    results = [*page.results, *page.gone]
    results.sort(key=lambda result: (result.head.slug, *_place(result.row)))
    sections = [_section(list(found)) for _, found in groupby(results, key=lambda result: result.head.slug)]
    costs = [_cost(result) for result in page.results if result.row.run_id is not None]
    notes = dict.fromkeys(note for result in page.results for note in result.row.notes)
    return render(
        request, "policy.html", etag=page.etag, page=page, sections=sections, costs=costs,
        cost_names=[name for _, name, _ in _COSTS], notes=list(notes), attempts=_attempts(page),
        badges=_badges(request, page),
    )  # fmt: skip


def _place(row: Row) -> tuple[bool, int, float]:
    """On one board: the strongest class first, and within it the best."""
    classes = [*CLASSES]
    return (
        row.is_gone,
        classes.index(row.rank_class) if row.rank_class in classes else len(classes),
        -(row.score or 0.0),
    )


def _badges(request: Request, page: PolicyPage) -> list[tuple[str, str, str]]:
    """Suite, address of its badge, and Markdown to paste; of suites with runs."""
    from vla_bench.server.badges import badge_of, embeds

    found = []
    for suite in dict.fromkeys(result.head.suite for result in page.results if result.row.run_id is not None):
        if (badge := badge_of(page, suite)) is not None:
            target = f"/badges/{suite}/{page.family}.svg"
            pasted = embeds(address(request, target), address(request, f"/policies/{page.family}"), badge.title)
            found.append((suite, link(target), dict(pasted)["Markdown"]))
    return found


def _attempts(page: PolicyPage) -> str:
    """How many looks the best number was chosen from, where there were several."""
    most = max((result.row.n_runs for result in page.results), default=0)
    if most < 2:
        return ""
    runs = amount(most, "complete run")
    return f"Up to {runs} of this family stand on one board: the best of several looks better than the policy is."


def _section(results: Sequence[PolicyResult]) -> dict[str, Any]:
    head = results[0].head
    is_rate = head.form == "rate"
    rows = [result.row for result in results]
    values = [v for row in rows for v in (row.score, row.low, row.high, row.bound_low, row.bound_high) if v is not None]
    axis = rate_axis(values) if is_rate else fitted_axis(values, lambda v: f"{v:g}", limits=(0.0, float(head.n_stages)))
    best = next((result for result in results if result.row.score is not None and not result.row.is_gone), results[0])
    parts, parts_axis = cell_parts(best.row, best.columns)
    return {
        "head": head,
        "about": about_board(head),
        "caption": f"{head.suite} {head.protocol}, {amount(len(rows), 'row')}",
        "axis": axis,
        "views": [row_view(row, (), axis, {}) for row in rows],
        "parts": parts,
        "parts_axis": parts_axis,
        "part_kind": best.columns[0].kind if best.columns else "",
        "parts_caption": f"{best.row.policy} {best.row.version}".strip() + ": success by part, percent",
        "history": _history(head.title or head.suite, rows, is_rate=is_rate),
    }


def cell_parts(row: Row, columns: Sequence[Column]) -> tuple[list[dict[str, Any]], Axis]:
    """The small numbers of a row as bars on one axis."""
    found = {cell.key: cell for cell in row.cells if cell.value is not None}
    values = [v for cell in found.values() for v in (cell.value, cell.low, cell.high) if v is not None]
    axis = rate_axis(values)
    parts = []
    for column in columns:
        cell = found.get(column.key)
        if cell is None:
            continue
        rate = score_text(cell.value)
        parts.append({
            "title": column.title,
            "counts": "—" if cell.n is None else f"{cell.k}/{cell.n}",
            "rate": rate,
            "bounds": bounds(cell.low, cell.high),
            "span": span(axis, cell.value, cell.low, cell.high, words=rate),
        })  # fmt: skip
    return parts[:MOST_PARTS], axis


def _history(title: str, rows: Sequence[Row], *, is_rate: bool) -> LineChart | None:
    """The newest run of each version, oldest first."""
    dated = sorted(
        (row for row in rows if row.run_id is not None and row.date and not row.is_gone), key=lambda r: r.date
    )
    newest = {row.version or row.weights_digest[:8]: row for row in dated}
    versions = [(name, row.score, row.low, row.high) for name, row in newest.items()]
    return history_chart(f"{title} by version", versions, is_rate=is_rate)


def _cost(result: PolicyResult) -> dict[str, Any]:
    efficiency = result.row.efficiency
    return {
        "run_id": result.row.run_id,
        "run": result.row.run,
        "board": f"{result.head.suite} {result.head.protocol}",
        "values": [said(efficiency.get(key)) for key, _, said in _COSTS],
    }


@router.get("/compare")
def choose(request: Request, a: str = "", b: str = "") -> Response:
    """Two rows that a form names."""
    if not (a.isdecimal() and b.isdecimal() and len(a) < 10 and len(b) < 10):
        return render(request, "compare_none.html", etag="choose")
    return RedirectResponse(link(f"/compare/{int(a)}/{int(b)}"), status_code=303)


@router.get("/compare/{a}/{b}")
def compare(request: Request, a: str, b: str) -> Response:
    """Two rows beside each other: pair by pair where they ran one plan."""
    if not all(text.isdecimal() and len(text) < 10 for text in (a, b)):
        raise Problem(404)
    after = request.query_params.get("after", "")
    page = read.compare_page(database(request), int(a), int(b), after=after)
    path = f"/compare/{a}/{b}"
    is_rate = page.a.form == "rate"
    values = [v for row in (page.a, page.b) for v in (row.score, row.low, row.high) if v is not None]
    axis = rate_axis(values) if is_rate else fitted_axis(values, lambda v: f"{v:g}")
    return render(
        request,
        "compare.html",
        etag=page.etag,
        page=page,
        names=_names(page),
        axis=axis,
        views=[row_view(row, (), axis, {}) for row in (page.a, page.b)],
        verdict=_verdict(page, *_names(page)),
        parts=_outcomes(page),
        difference=_difference(page, is_rate=is_rate),
        tasks=_pairs(page.tasks),
        columns=_pairs(page.columns),
        survival=_survival(page),
        next=link(path, after=page.next_after) if page.next_after else "",
        first=link(path) if after else "",
    )


def _names(page: ComparePage) -> tuple[str, str]:
    """What the two are called; by their runs where the policies have one name."""
    names = [f"{row.policy} {row.version}".strip() for row in (page.a, page.b)]
    if names[0] == names[1]:
        names = [f"{name} ({row.run or row.published_key})" for name, row in zip(names, (page.a, page.b), strict=True)]
    return names[0], names[1]


def _verdict(page: ComparePage, a: str, b: str) -> str:
    """The answer in a sentence."""
    if page.kind == "none" or page.difference is None or page.p is None:
        return f"No test is made: {page.reason}"
    if page.p > 0.05:
        return f"The data do not tell {a} and {b} apart (p {page.p:.2g}); this does not show that they are equal."
    better = a if page.difference > 0 else b
    return f"{better} is better (p {page.p:.2g})." if page.p >= 1e-4 else f"{better} is better (p < 0.0001)."


def _outcomes(page: ComparePage) -> Any:
    if page.both is None or page.a_only is None or page.b_only is None or page.neither is None:
        return ()
    a, b = _names(page)
    return split_parts([
        ("both succeed", page.both), (f"only {a}", page.a_only), (f"only {b}", page.b_only), ("neither", page.neither),
    ])  # fmt: skip


def _difference(page: ComparePage, *, is_rate: bool) -> str:
    if page.difference is None:
        return ""
    low, high = (page.interval.low, page.interval.high) if page.interval else (None, None)
    if is_rate:
        return f"{points(page.difference)} percentage points" + (
            f" [{points(low)}, {points(high)}]" if page.interval else ""
        )
    return f"{page.difference:+.2f} subtasks".replace("-", "−") + bounds(low, high, is_rate=False).join((" ", ""))


def _pairs(pairs: Sequence[TaskPair]) -> list[dict[str, Any]]:
    values = [rate for pair in pairs for rate in (pair.rate_a, pair.rate_b) if rate is not None]
    axis = rate_axis(values)
    return [
        {
            "it": pair,
            "a": None if pair.rate_a is None else axis.at(pair.rate_a),
            "b": None if pair.rate_b is None else axis.at(pair.rate_b),
            "ticks": axis.ticks,
            "axis": axis,
        }
        for pair in pairs
    ]


def _survival(page: ComparePage) -> LineChart | None:
    """How far the chains of both go."""
    curves = []
    for name, row in zip(_names(page), (page.a, page.b), strict=True):
        shares = [cell.value for cell in row.cells if cell.key.startswith("stage:") and cell.value is not None]
        curves.append((name, shares))
    return survival_chart(curves) if all(len(shares) > 1 for _, shares in curves) else None
