"""A bundle's rows in a database: in memory, where they are checked as those of any run, and then the board's own."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from vla_bench.results.database import Database, locate
from vla_bench.results.store import Store
from vla_bench.results.tables import ATTEMPT, EPISODE, FINGERPRINT, PLAN, POLICY, RUN, SUITE, Table
from vla_bench.results.traces import TraceFolder
from vla_bench.results.writing import insert_missing, lock_runs
from vla_bench.server.submissions.bundle import Bundle
from vla_bench.server.submissions.declaration import plain
from vla_bench.spec.canonical import content_id
from vla_bench.spec.errors import SubmissionRefused

__all__ = ["insert_run", "remove_unused", "scratch_store"]

_IN_BATCH = 500


@contextmanager
def scratch_store(bundle: Bundle, run_name: str, traces: TraceFolder) -> Iterator[Store]:
    """The run of a bundle as if it had been stored here under `run_name`, its aggregate not counted yet.

    Args:
        bundle: of which episodes, attempts and machines agree on who belongs to whom.
        run_name: of the run.
        traces: where its traces are or will be.

    Raises:
        SubmissionRefused: the policy has no name that can be stored.
    """
    location = locate("sqlite://")
    database = Database(location, busy_timeout_s=1.0)
    try:
        with database.write() as connection:
            Table.metadata.create_all(connection)
            insert_run(connection, bundle, run_name)
        yield Store(database, traces)
    finally:
        database.close()


def insert_run(
    connection: sa.Connection, bundle: Bundle, run_name: str, *, origin: Mapping[str, Any] | None = None
) -> int:
    """Insert the run of a bundle under a name that no run has, and return its id.

    Args:
        connection: inside a write transaction.
        bundle: as for `scratch_store`.
        run_name: of the run.
        origin: where it is fetched from; None on the board itself.

    Raises:
        SubmissionRefused: the policy has no name that can be stored.
    """
    manifest = bundle.manifest
    insert_missing(connection, SUITE, [_suite_row(bundle)])
    insert_missing(connection, POLICY, [_policy_row(bundle)])
    plan = {
        "plan_hash": manifest.plan_hash,
        "suite": manifest.suite,
        "protocol": manifest.protocol,
        "n_episodes": len(bundle.episodes),
        "episodes": zlib.compress(bundle.plan),
    }
    insert_missing(connection, PLAN, [plan])
    run = {
        "name": run_name,
        "suite_digest": manifest.suite_digest,
        "plan_hash": manifest.plan_hash,
        "policy_digest": manifest.policy_digest,
        "eval_hash": manifest.eval_hash,
        "settings": manifest.settings,
        "command": manifest.command,
        "shards": list(manifest.shards),
        "started_at": manifest.started_at,
        "finished_at": manifest.finished_at,
        "origin": None if origin is None else dict(origin),
    }
    run_id: int = connection.execute(sa.insert(RUN).values(run).returning(RUN.c.id)).scalar_one()
    insert_missing(connection, FINGERPRINT, [{"id": content_id(item), "content": item} for item in bundle.machines])
    _insert_all(connection, EPISODE, [{**row, "run_id": run_id} for row in bundle.episodes])
    _insert_all(connection, ATTEMPT, [{**row, "run_id": run_id} for row in bundle.attempts])
    return run_id


def remove_unused(store: Store, digests: Sequence[str]) -> None:
    """Remove traces that no run has: another process may have listed theirs meanwhile, and none does so just now."""
    if not digests:
        return
    used: set[str] = set()
    with store.database.write() as connection:
        lock_runs(connection)
        for start in range(0, len(digests), _IN_BATCH):
            batch = ATTEMPT.c.trace_digest.in_(digests[start : start + _IN_BATCH])
            used.update(connection.scalars(sa.select(ATTEMPT.c.trace_digest).where(batch)))
        store.traces.remove(digest for digest in digests if digest not in used)


def _insert_all(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(sa.insert(table), list(rows))


def _suite_row(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "digest": manifest.suite_digest,
        "name": manifest.suite,
        "protocol": manifest.protocol,
        "content": bundle.suite,
    }


def _policy_row(bundle: Bundle) -> dict[str, Any]:
    policy = bundle.policy
    found = {name: policy.get(name) for name in ("name", "version", "kind", "weights_digest")}
    if odd := [name for name, value in found.items() if not isinstance(value, str) or len(value) > 200]:
        raise SubmissionRefused(f"policy.json: {', '.join(odd)} must be a text of at most 200 characters")
    for name, value in found.items():
        try:
            plain(str(value))
        except ValueError as error:
            raise SubmissionRefused(f"policy.json: {name} {error}") from error
    return {"digest": bundle.manifest.policy_digest, **found, "content": policy}
