"""Result files of vla-eval (allenai/vla-evaluation-harness): one benchmark a file, or a shard of one.

There an episode that crashed counts as a failure and is named in `failure_reason`; here it is lost. The format is that
of its `BenchmarkResult`, as of versions 0.1 to 0.8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vla_bench.results.imports.fields import (
    BadField,
    as_bool,
    as_count,
    as_fraction,
    as_list,
    as_map,
    as_number,
    as_text,
)
from vla_bench.results.imports.model import ImportedEpisode, ImportedResult, ImportedTask
from vla_bench.spec.errors import (
    EnvRaised,
    EnvStartFailed,
    HarnessError,
    PolicyRaised,
    PolicyTimeout,
    ServerUnreachable,
    VlaBenchError,
)
from vla_bench.spec.outcomes import Outcome

__all__ = ["TOOL", "is_result", "read"]

TOOL = "vla-eval"
_REASONS: Mapping[str, type[VlaBenchError]] = {
    "server_unreachable": ServerUnreachable,
    "connection_closed": ServerUnreachable,
    "timeout": PolicyTimeout,
    "model_act": PolicyRaised,
    "env_start": EnvStartFailed,
    "env_step": EnvRaised,
}
"""Their reasons → our errors; any other is the harness's."""


def is_result(content: Any) -> bool:
    """Whether a JSON value looks like one of these files."""
    return isinstance(content, dict) and "benchmark" in content and "tasks" in content


def read(parts: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[ImportedResult]:
    """Read one benchmark from its file, or from all files of its shards.

    Raises:
        BadField: a field is missing or of another kind, shards are missing, or files do not belong together.
    """
    first = parts[0][1]
    benchmark = as_text(first.get("benchmark"), "benchmark")
    for path, part in parts[1:]:
        if part.get("benchmark") != benchmark:
            raise BadField(f"{path.name} is of benchmark {part.get('benchmark')!r}, the first file of {benchmark!r}")
    notes = _check_shards([part for _, part in parts])
    seed = first.get("seed") if isinstance(first.get("seed"), int) else None
    config = as_map(first.get("config") or {}, "config")
    by_task: dict[str, dict[int, ImportedEpisode]] = {}
    for _, part in parts:
        for number, task in enumerate(as_list(part.get("tasks"), "tasks")):
            place = f"tasks[{number}]"
            name = as_text(as_map(task, place).get("task"), f"{place}.task")
            episodes = by_task.setdefault(name, {})
            for index, row in enumerate(as_list(task.get("episodes"), f"{place}.episodes")):
                episode = _episode(as_map(row, f"{place}.episodes[{index}]"), f"{place}.episodes[{index}]", seed)
                if episode.index in episodes:
                    raise BadField(f"task {name!r} has episode {episode.index} twice")
                episodes[episode.index] = episode
    wanted = config.get("episodes_per_task")
    n_wanted = wanted if isinstance(wanted, int) and not isinstance(wanted, bool) else 0
    tasks = [
        ImportedTask(name=name, episodes=tuple(found.values()), n_planned=max(len(found), n_wanted))
        for name, found in by_task.items()
    ]
    is_partial = any(part.get("partial") for _, part in parts)
    if is_partial and all(len(task.episodes) >= task.n_planned for task in tasks):
        raise BadField("it is marked partial and does not say which episodes it lacks: import the complete one")
    claimed = as_fraction(first.get("mean_success")) if len(parts) == 1 else None
    return [
        ImportedResult(
            tool=TOOL,
            tool_version=str(first.get("harness_version") or ""),
            benchmark=benchmark,
            tasks=tuple(task for task in tasks if task.n_planned),
            claimed_rate=claimed,
            created_at=str(first.get("created_at") or ""),
            settings={"config": dict(config), "seed": seed, "mode": first.get("mode")},
            notes=(*notes, *(["the file is partial: tasks that were never begun are not in it"] if is_partial else [])),
        )
    ]


def _check_shards(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    shards = [part.get("shard") for part in parts]
    if len(parts) == 1 and shards == [None]:
        return []
    if not all(isinstance(shard, dict) for shard in shards):
        raise BadField("several files are joined where each is a shard (has `shard`); these are not")
    ids = [as_count(as_map(shard, "shard").get("id"), "shard.id") for shard in shards]
    totals = {as_count(as_map(shard, "shard").get("total"), "shard.total") for shard in shards}
    if len(totals) > 1 or sorted(ids) != list(range(total := min(totals))):
        have = ", ".join(str(number) for number in sorted(ids))
        raise BadField(f"it is sharded into {min(totals)} parts and these are {have}: name the files of all shards")
    return [f"joined from {total} shards"]


def _episode(row: Mapping[str, Any], place: str, seed: int | None) -> ImportedEpisode:
    index = as_count(row.get("episode_id"), f"{place}.episode_id")
    metrics = as_map(row.get("metrics") or {}, f"{place}.metrics")
    n_steps, wall_s = as_count(row.get("steps") or 0, f"{place}.steps"), as_number(row.get("elapsed_sec"), place)
    done = metrics.get("completed_subtasks")
    n_done = None if done is None else int(as_number(done, f"{place}.metrics.completed_subtasks"))
    if reason := row.get("failure_reason"):
        error = _REASONS.get(str(reason), HarnessError)
        detail = str(row.get("failure_detail") or "")
        return ImportedEpisode(
            index=index,
            outcome=error.outcome,
            error_kind=error.kind,
            error_message=f"{reason}: {detail}" if detail else str(reason),
            n_steps=n_steps,
            wall_s=wall_s,
            seed=seed,
        )
    success = as_bool(metrics.get("success"), f"{place}.metrics.success")
    return ImportedEpisode(
        index=index,
        outcome=Outcome.SUCCESS if success else Outcome.FAILURE,
        n_steps=n_steps,
        wall_s=wall_s,
        seed=seed,
        n_stages_done=n_done,
    )
