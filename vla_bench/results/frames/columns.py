"""The columns of the frames and their types. A number that does not exist is `NA`, never NaN from a division."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vla_bench.spec.outcomes import Outcome

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EPISODES", "RUNS", "SHORT", "TAG", "TASKS", "frame", "tag_columns"]

TAG = "tag_"
"""Tags of tasks are columns of this prefix: `tag_difficulty`."""
SHORT = 16
"""Digits of hashes and digests of runs in the frames, as everywhere they are shown."""

_WHO: Mapping[str, str] = {
    "run": "category",
    "suite": "category",
    "protocol": "category",
    "policy": "category",
    "policy_version": "category",
    "policy_kind": "category",
    "origin": "category",
    "plan": "category",
    "settings": "category",
}
_COUNTS = {"n_planned": "int32", "n_judged": "int32", "n_success": "int32", "n_lost": "int32"}
_RATE = {"rate": "Float64", "low": "Float64", "high": "Float64", "method": "category"}
_BOUNDS = {"bound_low": "Float64", "bound_high": "Float64"}

EPISODES: Mapping[str, str] = {
    **_WHO,
    "position": "int32",
    "episode": "string",
    "task": "category",
    "trial": "int32",
    "repeat": "int32",
    "env_seed": "int64",
    "policy_seed": "int64",
    "params": "string",
    "outcome": "outcome",
    "success": "boolean",
    "error_kind": "category",
    "flags": "string",
    "n_attempts": "int32",
    "n_steps": "int32",
    "n_clipped": "int32",
    "n_stages": "int16",
    "n_stages_done": "Int16",
    "n_queries": "int32",
    "wall_ms": "Float64",
    "policy_ms": "Float64",
    "env_ms": "Float64",
    "policy_p50_ms": "Float64",
    "policy_p95_ms": "Float64",
    "policy_max_ms": "Float64",
    "initial_digest": "string",
    "final_digest": "string",
    "trace": "string",
    "fingerprint": "category",
    "started_at": "time",
}
"""One row per planned episode: the attempt that counts, `not_run` where none was made.

`params` are the variant parameters of the task (what is perturbed, and how much) as JSON, empty where it has none.
"""

TASKS: Mapping[str, str] = {
    **_WHO,
    "task": "category",
    **_COUNTS,
    **_RATE,
    **_BOUNDS,
}
"""One row per task of a run."""

RUNS: Mapping[str, str] = {
    **_WHO,
    "is_complete": "bool",
    **_COUNTS,
    **_RATE,
    "like_low": "Float64",
    "like_high": "Float64",
    "n_clusters": "Int32",
    **_BOUNDS,
    "average_length": "Float64",
    "length_low": "Float64",
    "length_high": "Float64",
    "n_repeats": "int32",
    "n_attempts": "int32",
    "n_clipped": "int32",
    "policy_p50_ms": "Float64",
    "policy_p95_ms": "Float64",
    "policy_max_ms": "Float64",
    "env_mean_ms": "Float64",
    "started_at": "time",
    "finished_at": "time",
}
"""One row per run."""


def frame(columns: Mapping[str, str], values: Mapping[str, Any], tags: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Build a frame with exactly these columns in their types, and the tags after them.

    Args:
        columns: name → type; `outcome` and `time` are ours, the others are pandas'.
        values: name → values of equal lengths; None is `NA`.
        tags: tag column → values.
    """
    import pandas as pd

    typed = {name: _typed(pd.Series(values[name], dtype=object), kind) for name, kind in columns.items()}
    typed |= {name: pd.Series(items, dtype=object).astype("category") for name, items in (tags or {}).items()}
    return pd.DataFrame(typed)


def tag_columns(tags: Mapping[str, Mapping[str, Any]], tasks: Any) -> dict[str, list[Any]]:
    """The tags of each of `tasks`, as text, by column; None where a task lacks one."""
    names = list(dict.fromkeys(name for of_task in tags.values() for name in of_task))
    text = {
        task: {name: None if v is None else str(v) for name, v in of_task.items()} for task, of_task in tags.items()
    }
    empty: Mapping[str, Any] = {}
    return {f"{TAG}{name}": [text.get(task, empty).get(name) for task in tasks] for name in names}


def _typed(values: pd.Series, kind: str) -> pd.Series:
    import pandas as pd

    if kind == "outcome":
        return values.astype(pd.CategoricalDtype([outcome.value for outcome in Outcome]))
    if kind == "time":
        return pd.to_datetime(values.replace("", None), utc=True, format="ISO8601")
    return values.astype(kind)
