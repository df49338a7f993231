"""From a stored run to its bundle. The same run and declaration give the same bytes, so that an upload can go on."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench import __version__
from vla_bench.results.copying import trace_digests
from vla_bench.results.reading import find_run, identity_of, load_summary, stored_summary
from vla_bench.results.runs import RunSummary
from vla_bench.results.store import Store
from vla_bench.results.tables import ATTEMPT, EPISODE, FINGERPRINT, PLAN
from vla_bench.server.submissions.bundle import manifest as forms
from vla_bench.server.submissions.bundle.archive import write_archive
from vla_bench.server.submissions.declaration import Declaration
from vla_bench.spec.canonical import canonical_json
from vla_bench.spec.errors import IncompleteRun, UsageError

__all__ = ["BundleFacts", "write_bundle"]

_READ = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFacts:
    """What was written.

    Attributes:
        path: of the file.
        size: bytes.
        digest: SHA-256 of the file.
        summary: of the run.
        n_traces: traces in it.
    """

    path: Path
    size: int
    digest: str
    summary: RunSummary
    n_traces: int


def write_bundle(
    store: Store,
    run_name: str,
    declaration: Declaration,
    path: Path,
    *,
    name: str = "",
    harness: str = __version__,
) -> BundleFacts:
    """Write the bundle of a complete run.

    Args:
        store: that has the run.
        run_name: of the run.
        declaration: of its submitter.
        path: of the file.
        name: that the run has in the bundle; its own where empty.
        harness: version that made the run.

    Raises:
        UnknownRun: there is no such run.
        UsageError: no leaderboard takes such a run: imported, fetched, or made with stand-in assets.
        IncompleteRun: planned episodes have no judged outcome.
        StoreCorrupted: the run or a trace is damaged.
    """
    with store.database.read() as connection:
        run = find_run(connection, run_name)
        # The board counts anew; what is stored here was counted when the run ended.
        summary = stored_summary(connection, run["id"], with_details=True) or load_summary(connection, run)
        _check_is_submittable(summary)
        summary = replace(summary, name=name or summary.name)
        tables = _tables(connection, run, summary)
        manifest = _manifest(run, summary, declaration, tables) | {"harness": harness}
        digests = trace_digests(connection, run_name)
    manifest |= {"n_traces": len(digests)}
    write_archive(path, _members(manifest, tables, store, digests))
    return BundleFacts(
        path=path, size=path.stat().st_size, digest=digest_of(path), summary=summary, n_traces=len(digests)
    )


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_is_submittable(summary: RunSummary) -> None:
    if summary.is_imported:
        raise UsageError(
            f"run {summary.name!r} was imported: it has no episodes and no traces that a board could check"
        )
    if source := summary.fetched_from:
        raise UsageError(f"run {summary.name!r} was fetched from {source}: only who made a run submits it")
    if summary.standin:
        raise UsageError(f"run {summary.name!r} is no result: {summary.standin}")
    if not summary.is_complete:
        raise IncompleteRun(
            f"run {summary.name!r} is not complete: {summary.score_line}. Go on with it: {summary.command}"
        )


def _tables(connection: Connection, run: RowMapping, summary: RunSummary) -> dict[str, bytes]:
    """The members between manifest and traces."""
    identity = identity_of(connection, run)
    packed = connection.scalar(sa.select(PLAN.c.episodes).where(PLAN.c.plan_hash == run["plan_hash"]))
    of_run = EPISODE.c.run_id == run["id"]
    episodes = connection.execute(sa.select(EPISODE).where(of_run).order_by(EPISODE.c.position)).mappings()
    in_order = (EPISODE.c.position, ATTEMPT.c.attempt)
    joined = (EPISODE.c.run_id == ATTEMPT.c.run_id) & (EPISODE.c.episode_id == ATTEMPT.c.episode_id)
    attempts = connection.execute(
        sa.select(ATTEMPT).join(EPISODE, joined).where(of_run).order_by(*in_order)
    ).mappings()  # fmt: skip
    used = sa.select(ATTEMPT.c.fingerprint).where(ATTEMPT.c.run_id == run["id"]).distinct()
    machines = connection.scalars(
        sa.select(FINGERPRINT.c.content).where(FINGERPRINT.c.id.in_(used)).order_by(FINGERPRINT.c.id)
    )
    return {
        forms.SUITE: canonical_json(identity.suite).encode(),
        forms.POLICY: canonical_json(identity.policy).encode(),
        forms.PLAN: zlib.decompress(packed or b""),
        forms.MACHINES: canonical_json(list(machines)).encode(),
        forms.SUMMARY: canonical_json(summary.to_dict()).encode(),
        forms.ROWS_OF_EPISODES: _lines(episodes),
        forms.ROWS_OF_ATTEMPTS: _lines(attempts),
    }


def _lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    plain = ({key: value for key, value in row.items() if key != "run_id"} for row in rows)
    text = (
        json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False) for row in plain
    )
    return "".join(f"{line}\n" for line in text).encode()


def _manifest(
    run: RowMapping, summary: RunSummary, declaration: Declaration, tables: Mapping[str, bytes]
) -> dict[str, Any]:
    return {
        "format": forms.FORMAT,
        "suite": summary.suite,
        "protocol": summary.protocol,
        "suite_digest": run["suite_digest"],
        "plan_hash": run["plan_hash"],
        "policy_digest": run["policy_digest"],
        "eval_hash": run["eval_hash"],
        "settings": run["settings"],
        "run": summary.name,
        "command": run["command"],
        "shards": run["shards"],
        "started_at": run["started_at"],
        "finished_at": run["finished_at"],
        "n_episodes": summary.n_judged,
        "n_attempts": summary.n_attempts,
        "declaration": declaration.model_dump(),
        "members": {name: hashlib.sha256(data).hexdigest() for name, data in tables.items()},
    }


def _members(
    manifest: Mapping[str, Any], tables: Mapping[str, bytes], store: Store, digests: Iterable[str]
) -> Iterator[tuple[str, bytes]]:
    yield forms.MANIFEST, canonical_json(manifest).encode()
    for name in forms.TABLES:
        yield name, tables[name]
    for digest in digests:
        yield forms.trace_member(digest), store.traces.packed(digest)
