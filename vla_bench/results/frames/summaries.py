"""From run summaries to the frames of runs and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vla_bench.results.frames.columns import RUNS, SHORT, TASKS, frame, tag_columns
from vla_bench.results.frames.selection import Selection
from vla_bench.results.runs import RunSummary, TaskSummary

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["run_columns", "task_columns", "who"]


_TIMES = ("policy_p50_ms", "policy_p95_ms", "policy_max_ms", "env_mean_ms")


def who(run: RunSummary) -> dict[str, str]:
    """The columns that every frame begins with: what was evaluated, and how."""
    return {
        "run": run.name,
        "suite": run.suite,
        "protocol": run.protocol,
        "policy": run.policy,
        "policy_version": run.policy_version,
        "policy_kind": run.policy_kind.value,
        "origin": str(run.origin.get("tool", "")),
        "plan": run.plan_hash[:SHORT],
        "settings": run.eval_hash[:SHORT],
    }


def run_columns(runs: Sequence[RunSummary]) -> pd.DataFrame:
    """One row per run."""
    rows = [_run(run) for run in runs]
    return frame(RUNS, {name: [row[name] for row in rows] for name in RUNS})


def task_columns(
    runs: Sequence[RunSummary], tags: Mapping[str, Mapping[str, Any]], selection: Selection
) -> pd.DataFrame:
    """One row per task of each run; `tags` are those of the tasks, by task."""
    rows = [
        who(run) | {"task": task.task} | _part(task)
        for run in runs
        for task in run.per_task
        if selection.takes_task(task.task)
    ]
    return frame(
        TASKS, {name: [row[name] for row in rows] for name in TASKS}, tag_columns(tags, [row["task"] for row in rows])
    )


def _run(run: RunSummary) -> dict[str, Any]:
    like, chains = run.tasks_like_these, run.chains
    length = chains.interval if chains else None
    same = ("is_complete", "n_repeats", "n_attempts", "n_clipped", "started_at", "finished_at")
    return {
        **who(run),
        **_part(run),
        **{name: getattr(run, name) for name in same},
        **{name: getattr(run.latencies, name) for name in _TIMES},
        "like_low": like.low if like else None,
        "like_high": like.high if like else None,
        "n_clusters": like.n_clusters if like else None,
        "average_length": chains.mean_length if chains else None,
        "length_low": length.low if length else None,
        "length_high": length.high if length else None,
    }


def _part(part: RunSummary | TaskSummary) -> dict[str, Any]:
    interval = part.these_tasks if isinstance(part, RunSummary) else part.interval
    low, high = part.bounds or (None, None)
    return {
        **{name: getattr(part, name) for name in ("n_planned", "n_judged", "n_success", "n_lost", "rate")},
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "method": interval.method if interval else "",
        "bound_low": low,
        "bound_high": high,
    }
