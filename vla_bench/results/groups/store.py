"""Groups in the database: defined once, summarised from the episodes whenever they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.groups.checks import check_alike, labelled
from vla_bench.results.groups.evaluations import Evaluated, load_evaluated
from vla_bench.results.groups.kinds import GroupKind, Member, protocol_name
from vla_bench.results.groups.model import RunGroup, RunGroupSummary
from vla_bench.results.groups.summing import summarise_group
from vla_bench.results.reading import run_names
from vla_bench.results.rows import now, plain_text
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
        return summarise_group(_group(connection, name), runs)


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
    return summarise_group(group, runs)


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
