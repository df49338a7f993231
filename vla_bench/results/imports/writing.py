"""An imported result as a run: its own suite, its own plan, no traces, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vla_bench.results.imports.model import ImportedEpisode, ImportedResult, ImportedTask
from vla_bench.results.rows import now, storable
from vla_bench.results.runs import RunSpec, RunSummary
from vla_bench.results.store import Store
from vla_bench.spec.conventions import ActionConvention
from vla_bench.spec.episode import Episode, Plan
from vla_bench.spec.errors import UnknownTask, UsageError
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.names import match_name
from vla_bench.spec.result import AttemptResult, EpisodeResult, Latencies, StageResult
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import ActionBounds, Protocol, Suite, Task

__all__ = ["import_result", "notes_of"]

CHAIN = 5
"""Subtasks of a chain: CALVIN's, the only suite of chains that these harnesses have."""
TOLERANCE = 5e-4
"""Claimed rates are rounded to four digits."""


def import_result(
    store: Store,
    result: ImportedResult,
    *,
    policy: str,
    name: str = "",
    version: str = "",
    suite: Suite | None = None,
    files: Sequence[Path] = (),
    digest: str = "",
) -> RunSummary:
    """Store an imported result.

    Episodes that the other harness lost are lost here too, so a run may have no rate where the file claims one; the
    claim is kept in `origin`. Its plan is its own: it equals that of another imported run only where both name the
    simulator's seeds, and never that of a run made here.

    Args:
        store: open for writing.
        result: see `read_results`.
        policy: which policy was evaluated.
        name: of the run, `<policy>-<benchmark>` where empty; with a number where it is taken.
        version: of the policy.
        suite: ours that the benchmark is, so that results lie side by side; its tasks are matched by name or number.
        files: for the record.
        digest: of the files.

    Raises:
        UsageError: a task is not one of `suite`, or the very files were imported under this name before.
        StoreError: (a child) it cannot be stored.
    """
    if not policy.strip():
        raise UsageError(f"{result.tool} does not say which policy it evaluated: name it with --policy")
    tasks = [(_task_of(task, suite), task) for task in result.tasks]
    described = _suite(result, [task for task, _ in tasks], suite)
    plan, pairs = _plan(result, described, tasks, digest)
    spec = RunSpec(
        name=name or _slug(f"{policy}-{described.name}"),
        suite=described,
        plan=plan,
        settings=EvalSettings(preset=f"imported/{result.tool}"),
        policy=PolicyInfo(name=policy, version=version or "0"),
        command="",
        origin=_origin(result, files, digest),
    )
    _refuse_twice(store, spec)
    record = store.begin_run(spec, fresh=True)
    store.add(record.name, [_result(episode, found, result) for episode, found in pairs])
    return store.finish(record.name)


def notes_of(summary: RunSummary) -> list[str]:
    """What the user should know of an imported run: notes of the file, a claim that its episodes do not bear out."""
    origin = summary.origin
    notes = list(origin.get("notes", []))
    claimed = origin.get("claimed_rate")
    if claimed is None:
        return notes
    pooled = summary.n_success / summary.n_judged if summary.n_judged else None
    if summary.n_lost:
        notes.append(f"the file claims {100 * claimed:.1f} %, counting {summary.n_lost} lost episodes as it does")
    elif pooled is not None and abs(pooled - claimed) > TOLERANCE:
        notes.append(f"the file claims {100 * claimed:.1f} %, its episodes give {100 * pooled:.1f} %")
    return notes


def _task_of(task: ImportedTask, suite: Suite | None) -> Task:
    # The limit of steps is not in these files.
    own = Task(id=task.name, instruction="", horizon=0, stages=("",) * CHAIN if _is_chain(task) else ())
    if suite is None:
        return own
    ids = [known.id for known in suite.tasks]
    if task.name.isdecimal() and int(task.name) < len(ids):
        match: str | None = ids[int(task.name)]
    else:
        by_words = {known.instruction: known.id for known in suite.tasks}
        match = match_name(task.name, ids) or by_words.get(match_name(task.name, by_words) or "")
    if match is None:
        raise UnknownTask(task.name, ids)
    found = suite.task(match)
    return replace(own, id=found.id, instruction=found.instruction, tags=dict(found.tags))


def _is_chain(task: ImportedTask) -> bool:
    return any(episode.n_stages_done is not None for episode in task.episodes)


def _suite(result: ImportedResult, tasks: Sequence[Task], suite: Suite | None) -> Suite:
    twice = {task.id for task in tasks if [other.id for other in tasks].count(task.id) > 1}
    if twice:
        raise UsageError(f"two tasks of the file are {sorted(twice)[0]!r} of suite {suite.name if suite else ''!r}")
    return Suite(
        name=suite.name if suite is not None else _slug(result.benchmark),
        family="imported",
        title=f"{result.benchmark} as run by {result.tool} {result.tool_version}".strip(),
        protocol=Protocol(
            name=result.tool,
            version=1,
            n_trials=max(task.n_planned for task in result.tasks),
            base_seed=0,
            action_bounds=ActionBounds.NONE,
        ),
        tasks=tuple(tasks),
        cameras=(),
        state={},
        action=ActionConvention(name="unknown", size=1),
        group_by=suite.group_by if suite is not None else (),
        deterministic=False,
        provenance={"imported from": result.tool},
    )


def _plan(
    result: ImportedResult, suite: Suite, tasks: Sequence[tuple[Task, ImportedTask]], digest: str
) -> tuple[Plan, list[tuple[Episode, ImportedEpisode]]]:
    """The plan, and its episodes that were made."""
    # Without seeds nobody knows from which states it began, so that no other run pairs with it.
    unknown = {} if result.is_seeded else {"file": digest}
    pairs: list[tuple[Episode, ImportedEpisode | None]] = []
    for task, imported in tasks:
        by_index: dict[int, ImportedEpisode | None] = {episode.index: episode for episode in imported.episodes}
        missing = (index for index in range(imported.n_planned) if index not in by_index)
        while len(by_index) < imported.n_planned:
            by_index[next(missing)] = None
        for trial, index in enumerate(sorted(by_index)):
            found = by_index[index]
            episode = Episode(
                suite=suite.name,
                protocol=suite.protocol.id,
                task=task.id,
                trial=trial,
                initial_state={"index": index, **unknown},
                env_seed=found.seed if found is not None and found.seed is not None else 0,
                policy_seed=0,
            )
            pairs.append((episode, found))
    plan = Plan(suite=suite.name, protocol=suite.protocol.id, episodes=tuple(episode for episode, _ in pairs))
    return plan, [(episode, found) for episode, found in pairs if found is not None]


def _result(episode: Episode, found: ImportedEpisode, result: ImportedResult) -> EpisodeResult:
    done = found.n_stages_done
    stages = () if done is None else tuple(_stage(index, index < done) for index in range(min(done + 1, CHAIN)))
    attempt = AttemptResult(
        attempt=0,
        outcome=found.outcome,
        error_kind=found.error_kind,
        error_message=found.error_message,
        n_steps=found.n_steps,
        stages=stages,
        latencies=Latencies(wall_ms=1000 * found.wall_s),
        started_at=result.created_at,
    )
    return EpisodeResult(episode=episode, attempts=(attempt,))


def _stage(index: int, success: bool) -> StageResult:
    return StageResult(index=index, success=success, n_steps=0)


def _origin(result: ImportedResult, files: Sequence[Path], digest: str) -> dict[str, Any]:
    return {
        "tool": result.tool,
        "tool_version": result.tool_version,
        "benchmark": result.benchmark,
        "file": ", ".join(path.name for path in files),
        "digest": digest,
        "claimed_rate": result.claimed_rate,
        "settings": storable(result.settings),
        "notes": list(result.notes),
        "imported_at": now(),
    }


def _refuse_twice(store: Store, spec: RunSpec) -> None:
    for run in store.summaries():
        same = run.origin.get("digest") == spec.origin["digest"] != "" and run.suite == spec.suite.name
        if same and run.policy == spec.policy.name:
            raise UsageError(f"{spec.origin['file']} was imported before, as run {run.name!r}")


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-") or "imported"
