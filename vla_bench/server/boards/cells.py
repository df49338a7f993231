"""The small numbers beside a score: by stage of a chain, by group of tasks, by task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vla_bench.results.runs import GroupSummary, RunSummary, TaskSummary

__all__ = ["MOST_COLUMNS", "columns_and_cells", "joined"]

MOST_COLUMNS = 12
"""As many fit beside a score; further tags and tasks are on the pages of a run."""


def columns_and_cells(summary: RunSummary) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Columns (`key`, `title`, `kind`) and cells (`key`, `value`, `low`, `high`, `k`, `n`, `text`) of a run.

    Chains have one column a stage. Other suites have those tags whose groups fit, in the order of the suite, and their
    tasks where these fit as well.
    """
    if summary.chains is not None:
        found = [
            (
                _column(f"stage:{stage.k}", str(stage.k), "stage"),
                _cell(stage.rate, stage.interval, stage.n_success, stage.n),
            )
            for stage in summary.chains.stages
        ]
    else:
        found = []
        for tag, groups in summary.groups.items():
            named = [group for group in groups if group.value]
            if len(named) > 1 and len(found) + len(named) <= MOST_COLUMNS:
                found += [(_column(f"group:{tag}={g.value}", _title(tag, g.value), "group"), _of(g)) for g in named]
        if len(found) + len(summary.per_task) <= MOST_COLUMNS:
            found += [(_column(f"task:{task.task}", task.task, "task"), _of(task)) for task in summary.per_task]
    return [column for column, _ in found], [{"key": column["key"], **cell} for column, cell in found]


def joined(present: Sequence[Mapping[str, Any]], new: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The columns of a board and those that it lacks, each once."""
    columns = {column["key"]: dict(column) for column in present}
    for column in new:
        columns.setdefault(column["key"], dict(column))
    return list(columns.values())


def _of(part: TaskSummary | GroupSummary) -> dict[str, Any]:
    cell = _cell(part.rate, part.interval, part.n_success, part.n_judged)
    n_lost = part.n_planned - part.n_judged
    return cell | {"text": "" if part.rate is not None else f"{n_lost} of {part.n_planned} episodes are missing"}


def _title(tag: str, value: str) -> str:
    return f"{tag} {value}" if value.isdigit() else value


def _column(key: str, title: str, kind: str) -> dict[str, Any]:
    return {"key": key, "title": title, "kind": kind}


def _cell(value: float | None, interval: Any, k: int, n: int) -> dict[str, Any]:
    low, high = (interval.low, interval.high) if interval and value is not None else (None, None)
    return {"value": value, "low": low, "high": high, "k": k, "n": n, "text": ""}
