"""The queries of the store: what they read is turned into plain data here. Each takes an open connection."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.identity import RunIdentity
from vla_bench.results.rows import attempt_from_row, unpack_episodes
from vla_bench.results.runs import SCHEMA, RunSummary, StoredAttempt
from vla_bench.results.stats.bins import merge_bins
from vla_bench.results.summary import AttemptTotals, EpisodeCell, RunFacts, summarise
from vla_bench.results.tables import AGGREGATE, ATTEMPT, EPISODE, FINGERPRINT, PLAN, POLICY, RUN, SUITE
from vla_bench.spec.errors import StoreCorrupted, UnknownRun
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import Fingerprint

__all__ = [
    "find_run", "identity_of", "load_answer_bins", "load_attempts", "load_fingerprints", "load_outcomes",
    "load_summary", "planned_episodes", "run_names", "stored_summary",
]  # fmt: skip


def run_names(connection: Connection) -> list[str]:
    """All runs, in the order in which they were begun."""
    return list(connection.scalars(sa.select(RUN.c.name).order_by(RUN.c.id)))


def find_run(connection: Connection, name: str) -> RowMapping:
    """The row of a run.

    Raises:
        UnknownRun: there is none of that name; near matches are named.
    """
    row = connection.execute(sa.select(RUN).where(RUN.c.name == name)).mappings().first()
    if row is None:
        raise UnknownRun(name, run_names(connection))
    return row


def planned_episodes(connection: Connection, plan_hash: str) -> list[dict[str, Any]]:
    """The episodes of a plan in order, plain values."""
    packed = connection.scalar(sa.select(PLAN.c.episodes).where(PLAN.c.plan_hash == plan_hash))
    if packed is None:
        raise StoreCorrupted(f"plan {plan_hash[:16]} is missing from the database")
    return unpack_episodes(packed, plan_hash)


def identity_of(connection: Connection, run: RowMapping) -> RunIdentity:
    """What a stored run is, for the comparison with another one."""
    return RunIdentity(
        digests={
            "suite": run["suite_digest"],
            "plan": run["plan_hash"],
            "settings": run["eval_hash"],
            "policy": run["policy_digest"],
        },
        suite=_content(connection, SUITE, run["suite_digest"]),
        settings=run["settings"],
        policy=_content(connection, POLICY, run["policy_digest"]),
        episodes=lambda: planned_episodes(connection, run["plan_hash"]),
    )


def load_outcomes(connection: Connection, run_id: int) -> dict[str, Outcome]:
    """Outcome by episode id."""
    rows = connection.execute(sa.select(EPISODE.c.episode_id, EPISODE.c.outcome).where(EPISODE.c.run_id == run_id))
    try:
        return {episode_id: Outcome(outcome) for episode_id, outcome in rows}
    except ValueError as error:
        raise StoreCorrupted(f"an episode of this run has a damaged outcome: {error}") from error


def load_attempts(connection: Connection, run_id: int, episode_id: str) -> list[StoredAttempt]:
    """All attempts at one episode, in order."""
    statement = (
        sa.select(ATTEMPT, FINGERPRINT.c.content)
        .outerjoin(FINGERPRINT, FINGERPRINT.c.id == ATTEMPT.c.fingerprint)
        .where(ATTEMPT.c.run_id == run_id, ATTEMPT.c.episode_id == episode_id)
        .order_by(ATTEMPT.c.attempt)
    )
    rows = connection.execute(statement).mappings()
    found = [(attempt_from_row(dict(row), row["content"]), row["trace_digest"]) for row in rows]
    return [StoredAttempt(result=result, trace_digest=digest) for result, digest in found]


def load_answer_bins(connection: Connection, run_id: int) -> dict[int, int]:
    """How long the policy's answers of a run took: logarithmic bin → answers, over all attempts; see `stats.bins`."""
    return merge_bins(connection.scalars(sa.select(ATTEMPT.c.policy_bins).where(ATTEMPT.c.run_id == run_id)))


def load_fingerprints(connection: Connection, run_id: int) -> list[tuple[Fingerprint, int]]:
    """The machines that a run's attempts were made on, with their numbers of attempts, most first."""
    n_attempts = sa.func.count().label("n_attempts")
    counted = (
        sa.select(ATTEMPT.c.fingerprint, n_attempts)
        .where(ATTEMPT.c.run_id == run_id, ATTEMPT.c.fingerprint.is_not(None))
        .group_by(ATTEMPT.c.fingerprint)
        .subquery()
    )
    statement = (
        sa.select(FINGERPRINT.c.content, counted.c.n_attempts)
        .join(counted, counted.c.fingerprint == FINGERPRINT.c.id)
        .order_by(counted.c.n_attempts.desc(), FINGERPRINT.c.id)
    )
    return [(Fingerprint(**content), n) for content, n in connection.execute(statement)]


def stored_summary(connection: Connection, run_id: int, *, with_details: bool) -> RunSummary | None:
    """The stored aggregate of a run; None where there is none, or one of another form."""
    columns = [AGGREGATE.c.headline, *([AGGREGATE.c.details] if with_details else [])]
    row = connection.execute(
        sa.select(*columns).where(AGGREGATE.c.run_id == run_id, AGGREGATE.c.form == SCHEMA)
    ).first()
    if row is None:
        return None
    try:
        return RunSummary.from_dict({**row[0], **(row[1] if with_details else {})})
    except (KeyError, TypeError, ValueError) as error:
        raise StoreCorrupted(f"the stored summary of a run is damaged: {error}") from error


def load_summary(connection: Connection, run: RowMapping, *, finished_at: str | None = None) -> RunSummary:
    """Compute the summary of a run from its episodes."""
    identity = identity_of(connection, run)
    facts = RunFacts(
        name=run["name"],
        command=run["command"],
        started_at=run["started_at"],
        finished_at=run["finished_at"] if finished_at is None else finished_at,
        shards=run["shards"],
        settings=identity.settings,
        eval_hash=run["eval_hash"],
        policy_digest=run["policy_digest"],
        plan_hash=run["plan_hash"],
        suite_digest=run["suite_digest"],
        suite=identity.suite,
        policy=identity.policy,
        episodes=identity.episodes(),
        origin=run["origin"] or {},
    )
    try:
        is_staged = any(task.get("stages") for task in identity.suite["tasks"])
        return summarise(facts, _cells(connection, run["id"], with_stages=is_staged), _totals(connection, run["id"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreCorrupted(f"run {run['name']!r} is damaged: {type(error).__name__}: {error}") from error


def _content(connection: Connection, table: sa.Table, digest: str) -> dict[str, Any]:
    content: dict[str, Any] | None = connection.scalar(sa.select(table.c.content).where(table.c.digest == digest))
    if content is None:
        raise StoreCorrupted(f"{table.name} {digest[:16]} is missing from the database")
    return content


def _cells(connection: Connection, run_id: int, *, with_stages: bool) -> Iterable[EpisodeCell]:
    columns: Sequence[sa.Column[Any]] = [EPISODE.c[name] for name in EpisodeCell._fields if name in EPISODE.c]
    of_run = EPISODE.c.run_id == run_id
    if not with_stages:
        return (EpisodeCell(*row) for row in connection.execute(sa.select(*columns).where(of_run)))
    # An episode's own outcome is that of its last attempt, and judged ones are not tried again.
    is_judging = ATTEMPT.c.outcome.in_([outcome.value for outcome in Outcome if outcome.is_judged])
    stages = sa.and_(
        ATTEMPT.c.run_id == EPISODE.c.run_id, ATTEMPT.c.episode_id == EPISODE.c.episode_id, is_judging
    )  # fmt: skip
    statement = sa.select(*columns, ATTEMPT.c.stages).select_from(EPISODE).outerjoin(ATTEMPT, stages).where(of_run)
    return (
        EpisodeCell(*row)._replace(n_stages_done=sum(bool(stage["success"]) for stage in done or ()))
        for *row, done in connection.execute(statement)
    )


def _totals(connection: Connection, run_id: int) -> AttemptTotals:
    columns = ("n_steps", "n_queries", "wall_ms", "policy_ms", "env_ms")
    sums = [sa.func.coalesce(sa.func.sum(ATTEMPT.c[name]), 0).label(name) for name in columns]
    longest = sa.func.coalesce(sa.func.max(ATTEMPT.c.policy_max_ms), 0.0).label("policy_max_ms")
    of_run = ATTEMPT.c.run_id == run_id
    row = connection.execute(
        sa.select(sa.func.count().label("n_attempts"), longest, *sums).where(of_run)
    ).mappings().one()  # fmt: skip
    # Nothing of ours stores a time that is no number; what another tool put there was not measured.
    finite: dict[str, Any] = {name: value if math.isfinite(value) else 0.0 for name, value in row.items()}
    return AttemptTotals(**finite, bins=connection.scalars(sa.select(ATTEMPT.c.policy_bins).where(of_run)))
