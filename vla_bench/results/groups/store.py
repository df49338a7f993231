"""Groups in the database: defined once, summarised from the episodes whenever they are asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.groups.checks import check_alike, labelled
from vla_bench.results.groups.evaluations import Evaluated, load_evaluated
from vla_bench.results.groups.kinds import GroupKind, Member, protocol_name
from vla_bench.results.groups.model import GroupedRun, RunGroup, RunGroupSummary
from vla_bench.results.groups.spread import between, mean_of_units, training_component, within
from vla_bench.results.reading import run_names
from vla_bench.results.rows import now, plain_text
from vla_bench.results.runs import TaskSummary
from vla_bench.results.stats.rates import rate_bounds
from vla_bench.results.stats.suites import TaskCounts, mean_rate, these_tasks
from vla_bench.results.store import Store
from vla_bench.results.tables import GROUP_MEMBER, RUN, RUN_GROUP
from vla_bench.spec.errors import UnknownGroup, UnknownRun, UsageError
from vla_bench.spec.names import match_name

__all__ = ["define_group", "group_summary", "groups", "remove_group"]


def define_group(
    store: Store, name: str, members: Sequence[Member], kind: GroupKind = GroupKind.TRAINING_SEEDS
) -> RunGroupSummary:
    """Make a group of runs, or refuse.

    Args:
        store: open for writing.
        name: of the group, not yet taken.
        members: at least two runs; complete or not.
        kind: what they differ in.

    Returns:
        What the group says.

    Raises:
        UnknownRun: there is no such run.
        UsageError: the name is taken, or the runs are not of one protocol.
    """
    if not name.strip():
        raise UsageError("a group wants a name")
    if len(members) < 2:
        raise UsageError("a group is of at least two runs")
    with store.database.write() as connection:
        if name in _names(connection):
            raise UsageError(
                f"there is a group {name!r} already: see `vla-bench group show {name}`, or remove it first"
            )
        runs = _evaluated(connection, [member.run for member in members])
        if twice := [run for run, count in Counter(run.run for run in runs).items() if count > 1]:
            raise UsageError(f"run {twice[0]!r} is named twice")
        check_alike(runs)
        found = labelled(runs, members, kind)
        row = {
            "name": plain_text(name, 200),
            "kind": kind.value,
            "protocol": protocol_name(kind, _n_units(found, kind), runs[0].rollouts),
            "n_runs": len(runs),
            "created_at": now(),
        }
        group_id = connection.execute(sa.insert(RUN_GROUP).values(row).returning(RUN_GROUP.c.id)).scalar_one()
        rows = [
            {"group_id": group_id, "run_id": run.run_id, "position": i, "label": plain_text(member.label, 200)}
            for i, (run, member) in enumerate(zip(runs, found, strict=True))
        ]
        connection.execute(sa.insert(GROUP_MEMBER), rows)
        return _summary(_group(connection, name), runs)


def groups(store: Store) -> list[RunGroup]:
    """All groups, in the order in which they were defined."""
    with store.database.read() as connection:
        return [_group(connection, name) for name in _names(connection)]


def group_summary(store: Store, name: str) -> RunGroupSummary:
    """What a group says now.

    Raises:
        UnknownGroup: there is none of that name.
        UsageError: one of its runs was deleted: the group no longer is what its name says.
    """
    with store.database.read() as connection:
        group = _group(connection, name)
        if len(group.members) < group.n_runs:
            raise UsageError(
                f"group {group.name!r} ({group.protocol}) has lost {group.n_runs - len(group.members)} of its "
                f"{group.n_runs} runs: `vla-bench group remove {group.name}` and define it anew"
            )
        runs = [load_evaluated(connection, member.run) for member in group.members]
    return _summary(group, runs)


def remove_group(store: Store, name: str) -> None:
    """Forget a group. Its runs stay.

    Raises:
        UnknownGroup: there is none of that name.
    """
    with store.database.write() as connection:
        row = _find(connection, name)
        connection.execute(sa.delete(RUN_GROUP).where(RUN_GROUP.c.id == row["id"]))


def _names(connection: Connection) -> list[str]:
    return list(connection.scalars(sa.select(RUN_GROUP.c.name).order_by(RUN_GROUP.c.id)))


def _find(connection: Connection, name: str) -> RowMapping:
    known = _names(connection)
    match = match_name(name, known)
    if match is None:
        raise UnknownGroup(name, known)
    return connection.execute(sa.select(RUN_GROUP).where(RUN_GROUP.c.name == match)).mappings().one()


def _group(connection: Connection, name: str) -> RunGroup:
    row = _find(connection, name)
    statement = (
        sa.select(RUN.c.name, GROUP_MEMBER.c.label)
        .join(RUN, RUN.c.id == GROUP_MEMBER.c.run_id)
        .where(GROUP_MEMBER.c.group_id == row["id"])
        .order_by(GROUP_MEMBER.c.position)
    )
    return RunGroup(
        name=row["name"],
        kind=GroupKind(row["kind"]),
        protocol=row["protocol"],
        n_runs=row["n_runs"],
        members=tuple(Member(run, label) for run, label in connection.execute(statement)),
        created_at=row["created_at"],
    )


def _evaluated(connection: Connection, names: Sequence[str]) -> list[Evaluated]:
    known = run_names(connection)
    found = []
    for name in names:
        match = match_name(name, known)
        if match is None:
            raise UnknownRun(name, known)
        found.append(load_evaluated(connection, match))
    return found


def _n_units(members: Sequence[Member], kind: GroupKind) -> int:
    """What the group averages over: labels, or the runs of one label where evaluations are what differs."""
    return len(members) if kind is GroupKind.EVALUATION_SEEDS else len({member.label for member in members})


def _summary(group: RunGroup, runs: Sequence[Evaluated]) -> RunGroupSummary:
    first = runs[0]
    labels = list(dict.fromkeys(member.label for member in group.members))
    by_label: dict[str, list[float]] = {label: [] for label in labels}
    for member, run in zip(group.members, runs, strict=True):
        by_label[member.label] += run.scores()
    is_complete = all(run.is_complete for run in runs)
    units = list(by_label.values()) if is_complete else []
    counts = [_counts(runs, task) for task in first.planned] if is_complete else []
    n_success, n_judged, n_planned = (sum(getattr(run, f"n_{what}") for run in runs) for what in _PARTS)
    lost: Counter[str] = Counter()
    for run in runs:
        lost.update(run.lost)
    return RunGroupSummary(
        name=group.name,
        kind=group.kind,
        protocol=group.protocol,
        suite=first.suite,
        suite_protocol=first.suite_protocol,
        policy=", ".join(dict.fromkeys(run.policy for run in runs)),
        is_oracle=first.is_oracle,
        is_imported=bool(first.tool),
        n_units=len(labels),
        n_evaluations=len(runs) // len(labels) * first.n_repeats,
        n_states=sum(len(of_task) for of_task in first.planned.values()),
        n_planned=n_planned,
        n_judged=n_judged,
        n_success=n_success,
        lost_by_kind=dict(sorted(lost.items())),
        rate=mean_rate(counts),
        these_runs=these_tasks(counts),
        bounds=None if is_complete else rate_bounds(n_success, n_judged, n_planned),
        evaluation_spread=within(units),
        training_spread=between(units),
        training_component=training_component(units),
        noise_ceiling=_noise_ceiling(group, runs) if is_complete and len(labels) > 1 else None,
        new_trainings=mean_of_units(units) if group.kind is GroupKind.TRAINING_SEEDS else None,
        runs=tuple(_member(member, run) for member, run in zip(group.members, runs, strict=True)),
        per_task=tuple(_task(runs, task) for task in first.planned),
        settings=first.settings,
        created_at=group.created_at,
    )


_PARTS = ("success", "judged", "planned")


def _counts(runs: Sequence[Evaluated], task: str) -> TaskCounts:
    """A task over all runs: rollouts of one initial state stay together, whoever made them."""
    states = []
    for trial in sorted(runs[0].planned[task]):
        rollouts = [outcome for run in runs for outcome in run.successes[task][trial].values()]
        states.append((sum(rollouts), len(rollouts)))
    return TaskCounts(task=task, states=tuple(states))


def _task(runs: Sequence[Evaluated], task: str) -> TaskSummary:
    n_planned = sum(sum(run.planned[task].values()) for run in runs)
    outcomes = [o for run in runs for rollouts in run.successes.get(task, {}).values() for o in rollouts.values()]
    counts = [_counts(runs, task)] if len(outcomes) == n_planned else []
    return TaskSummary(
        task=task,
        n_planned=n_planned,
        n_judged=len(outcomes),
        n_success=sum(outcomes),
        rate=mean_rate(counts),
        interval=these_tasks(counts),
        bounds=None if counts else rate_bounds(sum(outcomes), len(outcomes), n_planned),
    )


def _member(member: Member, run: Evaluated) -> GroupedRun:
    scores = run.scores()
    return GroupedRun(
        run=run.run,
        label=member.label,
        n_planned=run.n_planned,
        n_judged=run.n_judged,
        n_success=run.n_success,
        rate=sum(scores) / len(scores) if scores else None,
        scores=scores,
    )


def _noise_ceiling(group: RunGroup, runs: Sequence[Evaluated]) -> float:
    """The standard deviation that units' means would have if every rollout were a coin of its task's rate.

    Initial states differ in difficulty and are the same for all units, so that real noise is at most this.
    """
    labels = list(dict.fromkeys(member.label for member in group.members))
    variances = []
    for label in labels:
        of_unit = [run for member, run in zip(group.members, runs, strict=True) if member.label == label]
        counts = [_counts(of_unit, task) for task in of_unit[0].planned]
        variances.append(sum(count.rate * (1 - count.rate) / count.n for count in counts) / len(counts) ** 2)
    return math.sqrt(sum(variances) / len(variances))
