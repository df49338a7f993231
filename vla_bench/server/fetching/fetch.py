"""`fetch`: a run of somebody's leaderboard becomes a run of one's own database, to be replayed, not to be claimed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vla_bench.results.database import data_home
from vla_bench.results.evidence import gather_evidence
from vla_bench.results.rows import now
from vla_bench.results.store import Store
from vla_bench.results.tables import RUN
from vla_bench.results.traces import unpack_trace
from vla_bench.results.writing import free_name, lock_runs
from vla_bench.server.client import BoardClient, NotThere
from vla_bench.server.fetching.download import download
from vla_bench.server.fetching.names import local_name, split_page
from vla_bench.server.submissions.bundle import Bundle, read_bundle
from vla_bench.server.submissions.check import check_digests, check_links
from vla_bench.server.submissions.keeping import TraceKeeper
from vla_bench.server.submissions.scratch import insert_run, scratch_store
from vla_bench.spec.errors import NotListed, StoreCorrupted, SubmissionRefused, UsageError

__all__ = ["Fetched", "fetch"]

_TRACE_BYTES = 64 << 20
_MOST_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A run that was fetched.

    Attributes:
        run: its name here.
        url: of its page.
        submission_id: that brought it to the board.
        bundle_digest, bundle_bytes: of what arrived.
        is_as_sealed: whether this is to the last byte what was submitted; else the board has written it anew.
        n_episodes, n_traces: that are here now.
        score_line: as counted here.
    """

    run: str
    url: str
    submission_id: str
    bundle_digest: str
    bundle_bytes: int
    is_as_sealed: bool
    n_episodes: int
    n_traces: int
    score_line: str


def fetch(
    store: Store, page: str, *, name: str = "", told: Callable[[int, int], None] = lambda done, total: None
) -> Fetched:
    """Download a listed run, check it as the board did, and store it with its traces.

    Args:
        store: open for writing.
        page: address of the run's page.
        name: of the run here; the board's where empty; with a number where it is taken.
        told: hears bytes that have arrived, and bytes in all.

    Raises:
        UsageError: that is no page of a run, it is no leaderboard, or this bundle was fetched before.
        NotListed: the board has no such run, or no bundle of it.
        BoardUnreachable: it does not answer; the same call goes on.
        SubmissionRefused: what arrived is not what the board named, or no bundle that can be read. Nothing is stored.
        StoreError: (a child) it cannot be stored.
    """
    base, run_id = split_page(page)
    with BoardClient(base) as client:
        url = f"{client.url}/runs/{run_id}"
        try:
            run, submission_id = _listed(client, run_id)
            sealed = client.get(f"submissions/{submission_id}").get("bundle_digest") if submission_id else ""
            _refuse_twice(store, url, str(sealed))
            file, digest = download(client, f"runs/{run_id}/bundle", data_home() / "fetched", told)
        except NotThere as error:
            raise NotListed(f"{url}: {error}") from error
    size = file.stat().st_size
    origin = {"fetched_from": url, "digest": digest, "fetched_at": now()}
    try:
        taken, bundle = _take(store, file, name or local_name(run), origin)
    except (SubmissionRefused, UsageError):
        file.unlink()
        raise
    # Until here what was downloaded is kept: a full disk or a locked database lets the next call go on with it.
    file.unlink()
    return Fetched(
        run=taken,
        url=url,
        submission_id=submission_id,
        bundle_digest=digest,
        bundle_bytes=size,
        is_as_sealed=sealed == digest,
        n_episodes=len(bundle.episodes),
        n_traces=bundle.manifest.n_traces,
        score_line=store.finish(taken).score_line,
    )


def _listed(client: BoardClient, run_id: str) -> tuple[str, str]:
    """The run's name on its board, and the submission that brought it."""
    row = client.get(f"runs/{run_id}").get("row")
    run, submission_id = (row.get("run"), row.get("submission_id")) if isinstance(row, dict) else (None, None)
    if not isinstance(run, str) or not isinstance(submission_id, str):
        raise UsageError(f"{client.url} is no leaderboard of this version: it says nothing of run {run_id}")
    # It becomes part of an address.
    return run, submission_id if submission_id.isalnum() else ""


def _take(store: Store, file: Path, name: str, origin: Mapping[str, Any]) -> tuple[str, Bundle]:
    """Check a bundle and store it; returns the name that its run has here."""
    with file.open("rb") as source:
        bundle = read_bundle(source, file.stat().st_size)
        check_digests(bundle)
        check_links(bundle)
        _check_rows(store, bundle, name)
        _refuse_twice(store, origin["fetched_from"], origin["digest"])
        with TraceKeeper(store) as keeper:
            _keep_traces(bundle, keeper)
            keeper.begin_sync()
            with store.database.write() as connection:
                lock_runs(connection)
                taken = free_name(connection, name)
                insert_run(connection, bundle, taken, origin=origin)
                keeper.check_all_are_kept()
    return taken, bundle


def _check_rows(store: Store, bundle: Bundle, name: str) -> None:
    """Rows that agree with one another and can be counted, looked at before anything of them is stored.

    Raises:
        SubmissionRefused: they do not, or cannot.
    """
    with scratch_store(bundle, name, store.traces) as scratch:
        try:
            findings = gather_evidence(scratch, name).findings
        except (StoreCorrupted, UsageError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise SubmissionRefused(f"the bundle cannot be understood: {str(error)[:500]}") from error
    if findings:
        told = [f"{finding.about} {finding.episode}: {finding.message}" for finding in findings[:_MOST_TOLD]]
        raise SubmissionRefused(f"the bundle contradicts itself in {len(findings)} places", *told)


def _keep_traces(bundle: Bundle, keeper: TraceKeeper) -> None:
    """Check each trace, and have it stored.

    Raises:
        SubmissionRefused: one is damaged, nobody's, or missing.
    """
    wanted = {row["trace_digest"] for row in bundle.attempts} - {""}
    for digest, packed in bundle.traces:
        if digest not in wanted:
            raise SubmissionRefused(f"trace {digest[:16]} belongs to no attempt of the bundle, or stands twice")
        wanted.remove(digest)
        try:
            unpack_trace(packed, digest, _TRACE_BYTES)
        except ValueError as error:
            raise SubmissionRefused(f"trace {digest[:16]}: {error}") from error
        keeper.put(digest, packed)
    if wanted:
        raise SubmissionRefused(f"{len(wanted)} traces are missing from the bundle")


def _refuse_twice(store: Store, url: str, digest: str) -> None:
    with store.database.read() as connection:
        rows = connection.execute(sa.select(RUN.c.name, RUN.c.origin).where(RUN.c.origin.is_not(None))).all()
    for name, before in rows:
        if (before.get("fetched_from"), before.get("digest")) == (url, digest):
            raise UsageError(f"this run was fetched before. Type: {shlex.join(['vla-bench', 'verify', name, '--all'])}")
