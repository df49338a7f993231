"""Result files of other harnesses, made up in the form that these write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def vla_eval_episodes(outcomes: Sequence[bool | str]) -> list[dict[str, Any]]:
    """Successes and failures; a text is the reason of a crash, which vla-eval counts as a failure."""
    rows: list[dict[str, Any]] = []
    for index, outcome in enumerate(outcomes):
        row = {"episode_id": index, "metrics": {"success": outcome is True}, "steps": 40 + index, "elapsed_sec": 1.5}
        if isinstance(outcome, str):
            row |= {"failure_reason": outcome, "failure_detail": "what happened"}
        rows.append(row)
    return rows


def vla_eval(tasks: dict[str, Sequence[bool | str]], /, **changes: Any) -> dict[str, Any]:
    """A `BenchmarkResult` of vla-eval 0.8."""
    outcomes = [outcome is True for of_task in tasks.values() for outcome in of_task]
    return {
        "benchmark": "LIBEROBenchmark_libero_spatial",
        "mode": "sync",
        "harness_version": "0.8.0",
        "created_at": "2030-01-01T00:00:00+00:00",
        "seed": 7,
        "metric_keys": {"success": "mean"},
        "mean_success": round(sum(outcomes) / max(1, len(outcomes)), 4),
        "config": {"benchmark": "vla_eval.benchmarks.libero.benchmark:LIBEROBenchmark", "params": {"seed": 7}},
        "tasks": [
            {"task": task, "episodes": vla_eval_episodes(of_task), "num_episodes": len(of_task), "avg_steps": 41.0}
            for task, of_task in tasks.items()
        ],
    } | changes


def lerobot_eval(groups: dict[str, dict[int, Sequence[Any]]], /, **changes: Any) -> dict[str, Any]:
    """An `eval_info.json` of lerobot 0.4 and later: group → task → successes."""
    per_task = [
        {"task_group": group, "task_id": task, "metrics": {"sum_rewards": [], "successes": list(successes)}}
        for group, tasks in groups.items()
        for task, successes in tasks.items()
    ]
    joined = {group: [s for successes in tasks.values() for s in successes] for group, tasks in groups.items()}
    per_group = {
        group: {"pc_success": 100.0 * sum(map(bool, s)) / max(1, len(s)), "n_episodes": len(s)}
        for group, s in joined.items()
    }
    return {"per_task": per_task, "per_group": per_group, "overall": {"pc_success": 50.0}} | changes


FILES = {
    "LIBEROBenchmark_spatial.json": vla_eval({"pick_up_the_bowl": [True, True, False], "open_it": [True] * 3}),
    "eval_info.json": lerobot_eval({"libero_spatial": {0: [True, False], 1: [True, True]}}),
}
