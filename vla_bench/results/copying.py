"""Taking a run over from another database: rows only, checked episode by episode. Traces are `merge`'s."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.identity import difference
from vla_bench.results.reading import find_run, identity_of
from vla_bench.results.tables import ATTEMPT, EPISODE, FINGERPRINT, PLAN, POLICY, RUN, SUITE
from vla_bench.results.writing import insert_missing, lock_run, lock_runs, reopen
from vla_bench.spec.errors import RunMismatch
from vla_bench.spec.outcomes import Outcome

__all__ = ["copy_run", "trace_digests"]

IN_BATCH = 500
_OF_LAST_ATTEMPT = ("outcome", "error_kind", "n_steps", "n_clipped", "flags")
_SAME_ATTEMPT = ("outcome", "error_kind", "started_at", "final_digest", "trace_digest", "wall_ms")


def copy_run(source: Connection, target: Connection, name: str) -> None:
    """Add the episodes of a run to the run of that name in another database, which is made where it is not there.

    An episode that both have judged alike is kept once. One that is lost in one of them is taken from the other, with
    the attempts of both.

    Args:
        source: inside a reading transaction.
        target: inside a writing transaction, which is to be undone when this raises.
        name: of the run.

    Raises:
        UnknownRun: the source has no such run.
        RunMismatch: the two runs differ in suite, plan, settings or policy, or judged an episode differently.
    """
    run = find_run(source, name)
    lock_runs(target)
    run_id = _matching_run(source, target, run)
    lock_run(target, run_id)
    _copy_rows(source, target, FINGERPRINT, FINGERPRINT.c.id, sorted(_machines(source, run["id"])))
    in_order = sa.select(EPISODE.c.episode_id).where(EPISODE.c.run_id == run["id"]).order_by(EPISODE.c.position)
    ids = list(source.scalars(in_order))
    for start in range(0, len(ids), IN_BATCH):
        batch = ids[start : start + IN_BATCH]
        _copy_batch(_load(source, run["id"], batch), _load(target, run_id, batch), target, run_id, name)
    if ids:
        reopen(target, run_id)


def trace_digests(connection: Connection, name: str) -> list[str]:
    """Digests of all traces of a run."""
    of_run = ATTEMPT.c.run_id == find_run(connection, name)["id"]
    return sorted(set(connection.scalars(sa.select(ATTEMPT.c.trace_digest).where(of_run))) - {""})


def _matching_run(source: Connection, target: Connection, run: RowMapping) -> int:
    """The id of the run in the target, made where it is not there."""
    there = target.execute(sa.select(RUN).where(RUN.c.name == run["name"])).mappings().first()
    if there is None:
        _copy_rows(source, target, SUITE, SUITE.c.digest, [run["suite_digest"]])
        _copy_rows(source, target, POLICY, POLICY.c.digest, [run["policy_digest"]])
        _copy_rows(source, target, PLAN, PLAN.c.plan_hash, [run["plan_hash"]])
        values = {key: value for key, value in run.items() if key != "id"} | {"finished_at": ""}
        target.execute(sa.insert(RUN).values(values))
        there = find_run(target, run["name"])
    elif lines := difference(identity_of(target, there), identity_of(source, run)):
        changes = "\n  ".join(lines)
        raise RunMismatch(f"the runs named {run['name']!r} are not one run:\n  {changes}\nNothing was merged.")
    else:
        shards = sorted({*there["shards"], *run["shards"]})
        started_at = min(there["started_at"], run["started_at"])
        target.execute(sa.update(RUN).where(RUN.c.id == there["id"]).values(shards=shards, started_at=started_at))
    run_id: int = there["id"]
    return run_id


def _copy_rows(
    source: Connection, target: Connection, table: sa.Table, key: sa.Column[Any], values: Sequence[str]
) -> None:
    rows = source.execute(sa.select(table).where(key.in_(values))).mappings().all()
    insert_missing(target, table, [dict(row) for row in rows])


def _machines(source: Connection, run_id: int) -> set[str]:
    found = source.scalars(sa.select(ATTEMPT.c.fingerprint).where(ATTEMPT.c.run_id == run_id).distinct())
    return {machine for machine in found if machine}


def _load(
    connection: Connection, run_id: int, ids: Sequence[str]
) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Episode id → its row and the rows of its attempts, in order."""
    attempts: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    of_run = (ATTEMPT.c.run_id == run_id, ATTEMPT.c.episode_id.in_(ids))
    for row in connection.execute(sa.select(ATTEMPT).where(*of_run).order_by(ATTEMPT.c.attempt)).mappings():
        attempts[row["episode_id"]].append(dict(row))
    episodes = sa.select(EPISODE).where(EPISODE.c.run_id == run_id, EPISODE.c.episode_id.in_(ids))
    rows = connection.execute(episodes).mappings()
    return {row["episode_id"]: (dict(row), attempts[row["episode_id"]]) for row in rows}


def _copy_batch(
    theirs: Mapping[str, tuple[dict[str, Any], list[dict[str, Any]]]],
    ours: Mapping[str, tuple[dict[str, Any], list[dict[str, Any]]]],
    target: Connection,
    run_id: int,
    name: str,
) -> None:
    episodes: list[dict[str, Any]] = []
    attempts: list[dict[str, Any]] = []
    for episode_id, (episode, tries) in theirs.items():
        if episode_id in ours:
            present, present_tries = ours[episode_id]
            if _keeps_present(present, episode, name):
                continue
            tries = _joined(present_tries, tries)
            last = {key: tries[-1][key] for key in _OF_LAST_ATTEMPT} if tries else {}
            episode = {**present, **last, "n_attempts": len(tries)}
        episodes.append({**episode, "run_id": run_id})
        attempts += [{**row, "run_id": run_id} for row in tries]
    replaced = [episode["episode_id"] for episode in episodes]
    target.execute(sa.delete(ATTEMPT).where(ATTEMPT.c.run_id == run_id, ATTEMPT.c.episode_id.in_(replaced)))
    target.execute(sa.delete(EPISODE).where(EPISODE.c.run_id == run_id, EPISODE.c.episode_id.in_(replaced)))
    if episodes:
        target.execute(sa.insert(EPISODE), episodes)
    if attempts:
        target.execute(sa.insert(ATTEMPT), attempts)


def _keeps_present(present: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    """Whether an episode that both have stays as it is: both judged it alike.

    Raises:
        RunMismatch: both judged it, differently.
    """
    mine, its = Outcome(present["outcome"]), Outcome(other["outcome"])
    if not (mine.is_judged and its.is_judged):
        return False
    if mine is not its:
        raise RunMismatch(
            f"run {name!r}: episode {present['episode_id']} (task {present['task']}, trial {present['trial']}, repeat "
            f"{present['repeat']}) was judged twice, {mine} and {its}. Nothing was merged: leave one of the files out."
        )
    return True


def _joined(mine: Sequence[dict[str, Any]], its: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The attempts of both, each once, in the order of time, numbered anew; a judged one is the last and counts."""
    found = {tuple(row[key] for key in _SAME_ATTEMPT): row for row in (*its, *mine)}

    def order(row: Mapping[str, Any]) -> tuple[bool, str, int]:
        return Outcome(row["outcome"]).is_judged, row["started_at"], row["attempt"]

    ordered = sorted(found.values(), key=order)
    return [{**row, "attempt": number} for number, row in enumerate(ordered)]
