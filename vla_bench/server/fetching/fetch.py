"""`fetch`: a run of somebody's leaderboard becomes a run of one's own database, to be replayed, not to be claimed."""

from __future__ import annotations

import os
import re
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
from vla_bench.server.fetching.names import local_name
from vla_bench.server.submissions.bundle import Bundle, read_bundle
from vla_bench.server.submissions.check import check_digests, check_links
from vla_bench.server.submissions.scratch import insert_run, remove_unused, scratch_store
from vla_bench.spec.errors import NotListed, StoreCorrupted, SubmissionRefused, UsageError

__all__ = ["Fetched", "fetch"]

_PAGE = re.compile(r"(https?://[^?#\s]+?)/runs/([0-9]{1,9})/?(?:[?#]\S*)?")
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
    match = _PAGE.fullmatch(page)
    if match is None:
        raise UsageError(f"fetch takes the address of a run's page, https://HOST/runs/12, not {page[:200]!r}")
    base, run_id = match.groups()
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
    finally:
        # What was refused would be refused again, and what was stored is here.
        file.unlink(missing_ok=True)
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
    found = [row.get(key) for key in ("run", "submission_id")] if isinstance(row, dict) else []
    if len(found) != 2 or not all(isinstance(value, str) for value in found):
        raise UsageError(f"{client.url} is no leaderboard of this version: it says nothing of run {run_id}")
    run, submission_id = found
    if not submission_id.isalnum():
        submission_id = ""
    return run, submission_id


def _take(store: Store, file: Path, name: str, origin: Mapping[str, Any]) -> tuple[str, Bundle]:
    """Check a bundle and store it; returns the name that its run has here."""
    with file.open("rb") as source:
        bundle = read_bundle(source, file.stat().st_size)
        check_digests(bundle)
        check_links(bundle)
        _check_rows(store, bundle, name)
        _refuse_twice(store, origin["fetched_from"], origin["digest"])
        new: list[str] = []
        try:
            _store_traces(store, bundle, new)
            with store.database.write() as connection:
                lock_runs(connection)
                taken = free_name(connection, name)
                insert_run(connection, bundle, taken, origin=origin)
        except BaseException:
            remove_unused(store, new)
            raise
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


def _store_traces(store: Store, bundle: Bundle, new: list[str]) -> None:
    """Store the traces that are not here yet, and note their digests in `new` as they come.

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
        if store.traces.put_packed(digest, packed, is_synced=False):
            new.append(digest)
    if wanted:
        raise SubmissionRefused(f"{len(wanted)} traces are missing from the bundle")
    if store.traces.is_local:
        # Once for all of them, as the board does.
        os.sync()


def _refuse_twice(store: Store, url: str, digest: str) -> None:
    with store.database.read() as connection:
        rows = connection.execute(sa.select(RUN.c.name, RUN.c.origin).where(RUN.c.origin.is_not(None))).all()
    for name, before in rows:
        if (before.get("fetched_from"), before.get("digest")) == (url, digest):
            raise UsageError(f"this run was fetched before. Type: {shlex.join(['vla-bench', 'verify', name, '--all'])}")
