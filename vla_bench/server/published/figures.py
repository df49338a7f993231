"""The cited figures as plain data: `data/*.json` holds a table of a paper as a table, one policy a line.

A column is `suite/dimension:metric=k`; where parts are left out it is the suite's average success rate. A value is the
text that the paper prints, null where it shows a figure only, and empty where the table has no such cell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["BENCHMARKS", "PAPERS", "Figure", "efficiency_of", "figures", "footnote_data", "parameters_of", "policy_of"]

BENCHMARKS = ("calvin", "libero", "libero_plus", "simpler_env", "robocasa_gr1", "robotwin", "real_world", "efficiency")
PAPERS: Mapping[str, str] = {
    "ssm_vla": (
        "Seeing Space and Motion: Enhancing Latent Actions with Geometric and Dynamic Awareness for "
        "Vision-Language-Action Models"
    ),
    "spatial_forcing": "Spatial Forcing: Implicit Spatial Representation Alignment for Vision-Language-Action Model",
    "clad": "CLaD: Planning with Grounded Foresight via Cross-Modal Latent Dynamics",
    "dial": "DIAL: Decoupling Intent and Action via Latent World Modeling for End-to-End VLA",
    "lamp": "LaMP: Learning Vision-Language-Action Policy with 3D Scene Flow as Latent Motion Prior",
}
"""Key → title of the papers."""

_COLUMN = re.compile(r"(?P<suite>[^/:=]+)(?:/(?P<dimension>[^:=]+))?(?::(?P<metric>[^=]+))?(?:=(?P<k>\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One printed number.

    Attributes:
        benchmark: file that it stands in.
        paper, table, line: where it is printed; the line is that of the paper's text, from 1.
        policy: key of the policy; `policy_of` names it.
        suite, dimension, metric, k: what it measures; `k` is a number of subtasks, None elsewhere.
        value: as printed, None where it is lost.
        unit: of the value.
        n: episodes behind it as the paper states them, None where it does not.
        by: `own` (the paper's method, or a run that it says it made), `copied`, or `unstated`.
        is_variant: an ablation, or a number that the text repeats.
        note: of the table.
    """

    benchmark: str
    paper: str
    table: str
    line: int
    policy: str
    suite: str
    dimension: str
    metric: str
    k: int | None
    value: str | None
    unit: str
    n: int | None
    by: str
    is_variant: bool
    note: str


@cache
def figures(benchmark: str) -> tuple[Figure, ...]:
    """All figures of a benchmark, in the order of papers, tables, lines and columns."""
    data = _load(benchmark)
    return tuple(
        figure for table in data["tables"] for row in table["rows"] for figure in _of_row(benchmark, data, table, row)
    )


@cache
def policy_of(key: str) -> tuple[str, str]:
    """Name and family of a policy."""
    name, family = _load("policies")[key]
    return name, family


def footnote_data() -> dict[str, Any]:
    """Arithmetic that does not add up, and numbers of one thing that differ between places: see `footnotes.json`."""
    return _load("footnotes")


def efficiency_of(family: str) -> tuple[Mapping[str, Any], ...]:
    """Published figures on size and speed of a family of policies, each with paper, table and line."""
    return tuple(
        {
            "policy": policy_of(figure.policy)[0],
            "metric": figure.metric,
            "value": float(figure.value),
            "unit": figure.unit,
            "paper": figure.paper,
            "table": figure.table,
            "line": figure.line,
            "note": figure.note,
        }
        for figure in figures("efficiency")
        if figure.value is not None and policy_of(figure.policy)[1] == family
    )


def parameters_of(policy: str) -> int | None:
    """Number of weights of a policy where one of the papers prints it."""
    for figure in figures("efficiency"):
        if figure.policy == policy and figure.metric == "parameters" and figure.value is not None:
            return round(float(figure.value) * 1e9)
    return None


def _of_row(benchmark: str, data: Mapping[str, Any], table: Mapping[str, Any], row: Mapping[str, Any]) -> list[Figure]:
    """The cells that the table has; `line`, `n` and `by` are one for all of them, or one each."""
    cells = [(column, value) for column, value in zip(table["columns"], row["values"], strict=True) if value != ""]
    found = []
    for index, (column, value) in enumerate(cells):
        parts = _COLUMN.fullmatch(column)
        assert parts is not None, column
        line, n, by = (each[index] if isinstance(each := row[name], list) else each for name in ("line", "n", "by"))
        metric = parts["metric"] or "success_rate"
        found.append(
            Figure(
                benchmark=benchmark,
                paper=table["paper"],
                table=table["table"],
                line=line,
                policy=row["policy"],
                suite=parts["suite"],
                dimension=parts["dimension"] or "average",
                metric=metric,
                k=int(parts["k"]) if parts["k"] else None,
                value=value,
                unit=data["units"][metric],
                n=n,
                by=by,
                is_variant=table["is_variant"] or "_wo_" in row["policy"],
                note=table["note"],
            )
        )
    return found


@cache
def _load(name: str) -> dict[str, Any]:
    text = resources.files("vla_bench.server.published").joinpath("data", f"{name}.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content
