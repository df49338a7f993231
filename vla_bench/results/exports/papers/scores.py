"""What a row of a table needs of a run or a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vla_bench.results.groups import RunGroupSummary, group_summary, groups
from vla_bench.results.groups.kinds import GroupKind, protocol_name
from vla_bench.results.reading import run_names
from vla_bench.results.runs import RunSummary, TaskSummary
from vla_bench.results.stats.rates import Interval
from vla_bench.results.store import Store
from vla_bench.spec.errors import UnknownRun, UsageError
from vla_bench.spec.names import match_name
from vla_bench.spec.settings import EvalSettings

__all__ = ["Score", "find_scores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A run or a group as a row.

    Attributes:
        name: of the run or group.
        policy, variant: who; the variant is the policy's version and every setting that is not the default.
        suite: name and protocol.
        protocol: how the score is averaged: `single/1x50`, `training_seeds/3x50`.
        seeds: `3 trainings`, `2 evaluations`, `1`.
        n_judged, n_planned: episodes.
        rate, interval: the score on these tasks; None unless complete.
        bounds: where it can lie otherwise.
        is_oracle, is_imported, is_selected: shown beside the name.
        stages: share of chains of at least k stages; empty where tasks are no chains, or with `rate`.
        average_length: of chains; None with them.
        per_task: in plan order.
    """

    name: str
    policy: str
    variant: str
    suite: str
    protocol: str
    seeds: str
    n_judged: int
    n_planned: int
    rate: float | None
    interval: Interval | None
    bounds: tuple[float, float] | None
    is_oracle: bool
    is_imported: bool
    is_selected: bool
    stages: tuple[float, ...]
    average_length: float | None
    per_task: tuple[TaskSummary, ...]


def find_scores(store: Store, names: Sequence[str]) -> list[Score]:
    """Runs and groups by name, in the order given.

    Raises:
        UnknownRun: a name is neither.
        UsageError: none is given, or a name is both.
    """
    if not names:
        raise UsageError("name at least one run or group. See `vla-bench runs` and `vla-bench group list`.")
    with store.database.read() as connection:
        runs = run_names(connection)
    grouped = [group.name for group in groups(store)]
    return [_find(store, name, runs, grouped) for name in names]


def _find(store: Store, name: str, runs: Sequence[str], grouped: Sequence[str]) -> Score:
    run = name if name in runs else None
    group = name if name in grouped else None
    if run is None and group is None:
        run, group = match_name(name, runs), match_name(name, grouped)
    if run is not None and group is not None:
        raise UsageError(f"{name!r} is a run and a group: remove the group, or define it under another name")
    if group is not None:
        return _of_group(group_summary(store, group))
    if run is not None:
        return _of_run(store.summary(run))
    raise UnknownRun(name, [*runs, *grouped])


def _of_run(run: RunSummary) -> Score:
    rollouts = sorted({task.n_planned for task in run.per_task})
    text = str(rollouts[0]) if len(rollouts) == 1 else f"{rollouts[0]}-{rollouts[-1]}" if rollouts else "0"
    return Score(
        name=run.name,
        policy=run.policy,
        variant=_variant(run.policy_version, run.settings),
        suite=f"{run.suite} {run.protocol}",
        protocol=protocol_name(None, 1, text),
        seeds="1" if run.n_repeats <= 1 else f"{run.n_repeats} evaluations",
        n_judged=run.n_judged,
        n_planned=run.n_planned,
        rate=run.rate,
        interval=run.these_tasks,
        bounds=run.bounds,
        is_oracle=run.is_oracle,
        is_imported=run.is_imported,
        is_selected=False,
        stages=tuple(stage.rate for stage in run.chains.stages) if run.chains else (),
        average_length=run.chains.mean_length if run.chains else None,
        per_task=run.per_task,
    )


def _of_group(group: RunGroupSummary) -> Score:
    parts = [f"{group.n_units} {group.kind.unit}s"] if group.kind is not GroupKind.EVALUATION_SEEDS else []
    if group.n_evaluations > 1:
        parts.append(f"{group.n_evaluations} evaluations")
    return Score(
        name=group.name,
        policy=group.policy,
        variant=_variant("", group.settings),
        suite=f"{group.suite} {group.suite_protocol}",
        protocol=group.protocol,
        seeds=" × ".join(parts),
        n_judged=group.n_judged,
        n_planned=group.n_planned,
        rate=group.rate,
        interval=group.these_runs,
        bounds=group.bounds,
        is_oracle=group.is_oracle,
        is_imported=group.is_imported,
        is_selected=group.is_selected,
        stages=group.chains.stages if group.chains else (),
        average_length=group.chains.mean_length if group.chains else None,
        per_task=group.per_task,
    )


def _variant(version: str, settings: Mapping[str, Any]) -> str:
    default = EvalSettings().to_dict()
    changed = [
        f"{key}={_text(value)}" for key, value in settings.items() if key != "policy_seed" and value != default.get(key)
    ]
    return ", ".join([*([f"version {version}"] if version not in ("", "0") else []), *changed])


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
