"""`eval_info.json` of lerobot-eval (huggingface/lerobot): all tasks of one or more groups, or, before 0.4, one task.

It names no policy, and since 0.4 no seeds. Every episode in it is judged: a crash there ends the evaluation without a
file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vla_bench.results.imports.fields import BadField, as_bool, as_count, as_fraction, as_list, as_map, as_text
from vla_bench.results.imports.model import ImportedEpisode, ImportedResult, ImportedTask
from vla_bench.spec.outcomes import Outcome

__all__ = ["TOOL", "is_result", "read"]

TOOL = "lerobot-eval"


def is_result(content: Any) -> bool:
    """Whether a JSON value looks like one of these files."""
    return isinstance(content, dict) and ("per_task" in content or "per_episode" in content)


def read(parts: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[ImportedResult]:
    """Read the groups of a file, each a result of its own.

    Raises:
        BadField: a field is missing or of another kind, or several files are given.
    """
    if len(parts) > 1:
        raise BadField("it stands alone: import one file at a time")
    content = parts[0][1]
    if "per_episode" in content:
        return [_single(content)]
    groups = as_map(content.get("per_group") or {}, "per_group")
    by_group: dict[str, list[ImportedTask]] = {}
    for number, entry in enumerate(as_list(content.get("per_task"), "per_task")):
        place = f"per_task[{number}]"
        group = as_text(as_map(entry, place).get("task_group"), f"{place}.task_group")
        task_id = as_count(entry.get("task_id"), f"{place}.task_id")
        metrics = as_map(entry.get("metrics"), f"{place}.metrics")
        outcomes = as_list(metrics.get("successes"), f"{place}.metrics.successes")
        tasks = by_group.setdefault(group, [])
        if any(task.name == str(task_id) for task in tasks):
            raise BadField(f"task {task_id} of group {group!r} is there twice")
        episodes = tuple(
            _episode(index, value, f"{place}.metrics.successes[{index}]") for index, value in enumerate(outcomes)
        )
        if episodes:
            tasks.append(ImportedTask(name=str(task_id), episodes=episodes, n_planned=len(episodes)))
    return [
        ImportedResult(
            tool=TOOL,
            tool_version="",
            benchmark=group,
            # Tasks that ran side by side are written as they ended.
            tasks=tuple(sorted(tasks, key=lambda task: int(task.name))),
            claimed_rate=as_fraction(as_map(groups.get(group) or {}, "per_group").get("pc_success"), 100),
        )
        for group, tasks in by_group.items()
        if tasks
    ]


def _single(content: Mapping[str, Any]) -> ImportedResult:
    """The form before 0.4: one environment, its episodes with their seeds."""
    episodes = []
    for number, row in enumerate(as_list(content.get("per_episode"), "per_episode")):
        place = f"per_episode[{number}]"
        entry = as_map(row, place)
        seed = entry.get("seed")
        index = as_count(entry.get("episode_ix"), f"{place}.episode_ix")
        episodes.append(_episode(index, entry.get("success"), f"{place}.success", seed if _is_int(seed) else None))
    aggregated = as_map(content.get("aggregated") or {}, "aggregated")
    return ImportedResult(
        tool=TOOL,
        tool_version="",
        benchmark="env",
        tasks=(ImportedTask(name="0", episodes=tuple(episodes), n_planned=len(episodes)),) if episodes else (),
        claimed_rate=as_fraction(aggregated.get("pc_success"), 100),
    )


def _episode(index: int, value: Any, place: str, seed: int | None = None) -> ImportedEpisode:
    outcome = Outcome.SUCCESS if as_bool(value, place) else Outcome.FAILURE
    return ImportedEpisode(index=index, outcome=outcome, seed=seed)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
