"""The statements that write results. Each takes an open connection inside a write transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from vla_bench.results.identity import RunIdentity
from vla_bench.results.rows import attempt_row, episode_row, now, pack_plan, plain_text
from vla_bench.results.runs import SCHEMA, RunSpec, RunSummary
from vla_bench.results.summary import headline
from vla_bench.results.tables import AGGREGATE, ATTEMPT, EPISODE, FINGERPRINT, PLAN, POLICY, RUN, SUITE
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.episode import Episode
from vla_bench.spec.outcomes import JUDGED, Outcome
from vla_bench.spec.result import AttemptResult, Fingerprint

__all__ = [
    "Attempts", "create_run", "free_name", "insert_missing", "lock_run", "lock_runs", "name_shard", "reopen",
    "store_attempts", "store_fingerprints", "store_summary",
]  # fmt: skip

IN_BATCH = 500
"""Values in one `IN (…)`: below every database's limit of parameters."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """New attempts at one episode, in order, each with the digest of its stored trace (empty without one)."""

    episode: Episode
    attempts: tuple[tuple[AttemptResult, str], ...]


def lock_runs(connection: Connection) -> None:
    """Keep others from beginning a run until the transaction ends; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7649036)")


def lock_run(connection: Connection, run_id: int) -> None:
    """Keep others from writing to a run until the transaction ends."""
    connection.execute(sa.select(RUN.c.id).where(RUN.c.id == run_id).with_for_update())


def free_name(connection: Connection, name: str) -> str:
    """`name`, or `name-2`, `name-3`, … where it is taken."""
    taken = set(connection.scalars(sa.select(RUN.c.name)))
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def insert_missing(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows whose primary key is not there yet."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    if rows:
        connection.execute(insert(table).on_conflict_do_nothing(), list(rows))


def create_run(connection: Connection, spec: RunSpec, identity: RunIdentity) -> None:
    """Store a new run and the content it refers to."""
    suite, policy, plan = spec.suite, spec.policy, spec.plan
    digests = identity.digests
    suite_row = {
        "digest": digests["suite"],
        "name": suite.name,
        "protocol": suite.protocol.id,
        "content": identity.suite,
    }
    policy_row = {
        "digest": digests["policy"],
        "name": plain_text(policy.name, 200),
        "version": plain_text(policy.version, 200),
        "kind": str(policy.kind),
        "weights_digest": plain_text(policy.weights_digest, 200),
        "content": identity.policy,
    }
    plan_row = {
        "plan_hash": digests["plan"],
        "suite": plan.suite,
        "protocol": plan.protocol,
        "n_episodes": len(plan),
        "episodes": pack_plan(plan),
    }
    insert_missing(connection, SUITE, [suite_row])
    insert_missing(connection, POLICY, [policy_row])
    insert_missing(connection, PLAN, [plan_row])
    connection.execute(
        sa.insert(RUN).values(
            name=spec.name,
            suite_digest=digests["suite"],
            plan_hash=digests["plan"],
            policy_digest=digests["policy"],
            eval_hash=digests["settings"],
            settings=identity.settings,
            command=plain_text(spec.command),
            shards=[spec.shard] if spec.shard else [],
            started_at=now(),
            finished_at="",
            origin=dict(spec.origin) or None,
        )
    )


def name_shard(connection: Connection, run_id: int, shards: Sequence[str], shard: str) -> None:
    """Note that a further part of the plan was begun."""
    if shard and shard not in shards:
        connection.execute(sa.update(RUN).where(RUN.c.id == run_id).values(shards=sorted([*shards, shard])))
        # It is part of the summary.
        connection.execute(sa.delete(AGGREGATE).where(AGGREGATE.c.run_id == run_id))


def reopen(connection: Connection, run_id: int) -> None:
    """A run that gets another attempt is not finished, and its stored summary is out of date."""
    connection.execute(sa.delete(AGGREGATE).where(AGGREGATE.c.run_id == run_id))
    connection.execute(sa.update(RUN).where(RUN.c.id == run_id, RUN.c.finished_at != "").values(finished_at=""))


def store_fingerprints(connection: Connection, fingerprints: Iterable[Fingerprint]) -> None:
    """Store the machines that attempts ran on."""
    insert_missing(connection, FINGERPRINT, [{"id": item.id, "content": to_plain(item)} for item in fingerprints])


def store_attempts(
    connection: Connection, run_id: int, positions: Mapping[str, int], batch: Sequence[Attempts]
) -> list[str]:
    """Append attempts and bring the outcomes of their episodes up to date.

    An episode that is judged stays as it is: nothing is added to it. Attempts of a run that was resumed are counted on
    from those that are stored.

    Args:
        connection: inside a write transaction.
        run_id: of the run.
        positions: episode id → index in the plan.
        batch: at most one entry per episode.

    Returns:
        The ids of episodes that were judged already, with another outcome than the new one.
    """
    stored = _stored(connection, run_id, [item.episode.id for item in batch])
    conflicts: list[str] = []
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    attempts: list[dict[str, Any]] = []
    for item in batch:
        episode_id = item.episode.id
        outcome, n_before, number = stored.get(episode_id, (Outcome.NOT_RUN, 0, 0))
        if outcome in JUDGED:
            final = item.attempts[-1][0].outcome
            conflicts += [episode_id] if final.is_judged and final is not outcome else []
            continue
        rows = []
        for result, digest in item.attempts:
            number = max(number, result.attempt)
            rows.append(attempt_row(run_id, episode_id, number, result, digest))
            number += 1
        attempts += rows
        last = item.attempts[-1][0]
        row = episode_row(run_id, positions[episode_id], item.episode, last, n_before + len(rows))
        (changed if episode_id in stored else new).append(row)
    if new:
        connection.execute(sa.insert(EPISODE), new)
    if changed:
        _update_episodes(connection, changed)
    if attempts:
        connection.execute(sa.insert(ATTEMPT), attempts)
        reopen(connection, run_id)
    return conflicts


def store_summary(connection: Connection, run_id: int, summary: RunSummary, finished_at: str) -> None:
    """Store the aggregate of a run, in place of an earlier one."""
    whole, head = summary.to_dict(), headline(summary).to_dict()
    connection.execute(sa.delete(AGGREGATE).where(AGGREGATE.c.run_id == run_id))
    connection.execute(
        sa.insert(AGGREGATE).values(
            run_id=run_id,
            form=SCHEMA,
            n_planned=summary.n_planned,
            n_judged=summary.n_judged,
            n_success=summary.n_success,
            rate=summary.rate,
            headline=head,
            details={name: whole[name] for name in ("per_task", "groups", "chains")},
        )
    )
    connection.execute(sa.update(RUN).where(RUN.c.id == run_id).values(finished_at=finished_at))


def _stored(connection: Connection, run_id: int, ids: Sequence[str]) -> dict[str, tuple[Outcome, int, int]]:
    """Episode id → outcome, number of attempts, next attempt number, for those that have a row."""
    found: dict[str, tuple[Outcome, int, int]] = {}
    for start in range(0, len(ids), IN_BATCH):
        of_batch = EPISODE.c.episode_id.in_(ids[start : start + IN_BATCH])
        rows = connection.execute(
            sa.select(EPISODE.c.episode_id, EPISODE.c.outcome, EPISODE.c.n_attempts, sa.func.max(ATTEMPT.c.attempt))
            .outerjoin(ATTEMPT, (ATTEMPT.c.run_id == EPISODE.c.run_id) & (ATTEMPT.c.episode_id == EPISODE.c.episode_id))
            .where(EPISODE.c.run_id == run_id, of_batch)
            .group_by(EPISODE.c.run_id, EPISODE.c.episode_id)
        )
        found |= {
            episode_id: (Outcome(outcome), n_attempts, -1 if last is None else last)
            for episode_id, outcome, n_attempts, last in rows
        }
    return {episode_id: (outcome, n, last + 1) for episode_id, (outcome, n, last) in found.items()}


def _update_episodes(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    values = ("outcome", "error_kind", "n_attempts", "n_steps", "n_clipped", "flags")
    statement = (
        sa.update(EPISODE)
        .where(EPISODE.c.run_id == sa.bindparam("key_run"), EPISODE.c.episode_id == sa.bindparam("key_episode"))
        .values({name: sa.bindparam(f"new_{name}") for name in values})
    )
    parameters = [
        {"key_run": row["run_id"], "key_episode": row["episode_id"], **{f"new_{key}": row[key] for key in values}}
        for row in rows
    ]
    connection.execute(statement, parameters)
