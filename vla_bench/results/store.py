"""`Store`: the one door to results. Opens a database, begins and resumes runs, takes episodes, gives summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
import structlog

from vla_bench.results import network, reading, writing
from vla_bench.results.copying import copy_run
from vla_bench.results.database import Database, Location, locate
from vla_bench.results.identity import RunIdentity, difference
from vla_bench.results.rows import now, suite_content, suite_digest, unpack_plan
from vla_bench.results.runs import RunRecord, RunSpec, RunSummary, StoredAttempt
from vla_bench.results.schema import prepare_schema
from vla_bench.results.space import check_room
from vla_bench.results.summary import headline
from vla_bench.results.tables import ATTEMPT, EPISODE, PLAN, RUN
from vla_bench.results.traces import TraceFolder
from vla_bench.spec.canonical import content_id, to_plain
from vla_bench.spec.episode import Plan
from vla_bench.spec.errors import RunMismatch, StoreCorrupted
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import EpisodeResult, Fingerprint, Trace

__all__ = ["Store"]

log = structlog.get_logger(__name__)

BUSY_TIMEOUT_S = 30.0
"""How long a transaction waits for another process before `StoreLocked`."""


class Store:
    """Results in one database and one folder of traces. A context manager; safe to use from several threads.

    Attributes:
        notices: what the user should be told: an upgraded schema, a network file system.
        database, traces: where rows and traces go; for the other modules of this room.
    """

    def __init__(
        self, database: Database, traces: TraceFolder, notices: Sequence[str] = (), own_file: Location | None = None
    ) -> None:
        self.notices = list(notices)
        self.database, self.traces = database, traces
        self._own_file = own_file
        # Run name → id and episode positions: plans are read once, not at every batch.
        self._open_runs: dict[str, tuple[int, dict[str, int]]] = {}

    @classmethod
    def open(
        cls,
        target: str | Path = "",
        traces: str | Path = "",
        *,
        read_only: bool = False,
        sole_writer: bool = False,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        mounts: Sequence[network.Mount] | None = None,
    ) -> Store:
        """Open a database, making or upgrading it where needed.

        An older SQLite file is upgraded after a copy was put beside it; an older PostgreSQL database is refused with
        the line that upgrades it. A SQLite file on a network file system is not written to by several processes: there
        this process gets a file of its own (see `vla_bench.results.network`).

        Args:
            target: path, folder, `sqlite:///…` or `postgresql://…`; empty for `results.db` in `VLA_BENCH_HOME` or the
                user's data folder.
            traces: path or fsspec URL; empty for `<name>-traces` beside the database.
            read_only: write nothing, make nothing.
            sole_writer: use exactly this file on a network file system too; no other process does, the caller knows.
            busy_timeout_s: how long to wait for another process that writes.
            mounts: mounted file systems, those of this machine where None.

        Raises:
            UsageError, MissingExtra: `target` or `traces` is not understood; a driver is not installed.
            StoreError: (a child) with what is wrong and the way out.
        """
        location = locate(target, read_only=read_only)
        kind = network.network_kind(location.path, mounts) if location.path else ""
        if kind and not sole_writer:
            view, notices = network.open_view(location, kind)
            own_file = None if location.is_read_only else network.own_file(location)
            return cls(view, TraceFolder(traces or location.traces), notices, own_file)
        folder = TraceFolder(traces or location.traces)
        database, notices = _opened(location, busy_timeout_s=busy_timeout_s, uses_wal=not kind)
        return cls(database, folder, notices)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; a second call does nothing."""
        self.database.close()

    @property
    def location(self) -> Location:
        """The database that is written to."""
        return self.database.location

    @property
    def traces_url(self) -> str:
        """The folder of traces."""
        return self.traces.url

    def check_space(self, min_bytes: int) -> None:
        """Raise where database or traces cannot grow by `min_bytes`; servers and object stores are not asked.

        Raises:
            StoreFull: too little space, a quota, or a limit on the size of files.
            StoreReadOnly: nothing can be written there.
        """
        path = (self._own_file or self.location).path
        if path is not None:
            check_room(path.parent, min_bytes, file_bytes=path.stat().st_size if path.exists() else 0)
        if self.traces.is_local:
            check_room(self.traces.path, min_bytes)

    def begin_run(self, spec: RunSpec, *, fresh: bool = False) -> RunRecord:
        """Create a run, or go on with the one of that name.

        Args:
            spec: what is run.
            fresh: where the name is taken, take `name-2` and so on instead of going on.

        Raises:
            RunMismatch: the run was not made here, or exists with another suite, plan, settings or policy; the message
                lists what differs.
            StoreError: (a child) it cannot be stored, or the database is damaged.
        """
        if self._own_file is not None:
            spec = self._move_to_own_file(spec, self._own_file, fresh=fresh)
        self.database.check_integrity()
        wanted = _identity(spec)
        with self.database.write() as connection:
            writing.lock_runs(connection)
            taken = writing.free_name(connection, spec.name)
            is_resumed = taken != spec.name and not fresh
            if not is_resumed:
                spec = replace(spec, name=taken)
                writing.create_run(connection, spec, wanted)
            run = reading.find_run(connection, spec.name)
            if is_resumed:
                if origin := run["origin"]:
                    raise RunMismatch(_not_ours(spec.name, origin))
                if lines := difference(reading.identity_of(connection, run), wanted):
                    raise RunMismatch(_mismatch(spec.name, lines))
                writing.name_shard(connection, run["id"], run["shards"], spec.shard)
        self._open_runs[spec.name] = run["id"], {episode.id: i for i, episode in enumerate(spec.plan.episodes)}
        log.info("run_begun", run=spec.name, is_resumed=is_resumed, database=str(self.location))
        return RunRecord(
            name=spec.name,
            is_resumed=is_resumed,
            plan_hash=run["plan_hash"],
            eval_hash=run["eval_hash"],
            policy_digest=run["policy_digest"],
            n_planned=len(spec.plan),
            started_at=run["started_at"],
        )

    def add(self, run_name: str, results: Sequence[EpisodeResult]) -> None:
        """Store attempts in one transaction; they are on disk when this returns. Traces are written first.

        Every `EpisodeResult` carries *new* attempts: all of an episode at once, or one by one as they end. An episode
        that is judged already stays as it is.

        Raises:
            ValueError: an episode is not in the run's plan.
            UnknownRun: there is no such run.
            StoreError: (a child) nothing of this batch is stored.
        """
        run_id, positions = self._open_run(run_name)
        if strangers := [result.episode.id for result in results if result.episode.id not in positions]:
            raise ValueError(f"not in the plan of run {run_name!r}: {', '.join(strangers)}")
        batch = self._with_traces(results)
        machines = {a.fingerprint.id: a.fingerprint for item in batch for a, _ in item.attempts if a.fingerprint}
        if not batch:
            return
        with self.database.write() as connection:
            writing.lock_run(connection, run_id)
            writing.store_fingerprints(connection, machines.values())
            conflicts = writing.store_attempts(connection, run_id, positions, batch)
        for episode_id in conflicts:
            log.warning("episode_judged_twice", run=run_name, episode=episode_id, kept="the first outcome")

    def outcomes(self, run_name: str) -> dict[str, Outcome]:
        """Outcome by episode id, for the episodes that were reached.

        Raises:
            UnknownRun: there is no such run.
        """
        with self.database.read() as connection:
            return reading.load_outcomes(connection, reading.find_run(connection, run_name)["id"])

    def attempts_of(self, run_name: str, episode_id: str) -> list[StoredAttempt]:
        """All attempts at one episode, in order; empty where it was not reached.

        Raises:
            UnknownRun: there is no such run.
        """
        with self.database.read() as connection:
            run = reading.find_run(connection, run_name)
            return reading.load_attempts(connection, run["id"], episode_id)

    def plan(self, run_name: str) -> Plan:
        """The plan of a run, whole also where shards run parts of it.

        Raises:
            UnknownRun: there is no such run.
        """
        with self.database.read() as connection:
            run = reading.find_run(connection, run_name)
            row = connection.execute(sa.select(PLAN).where(PLAN.c.plan_hash == run["plan_hash"])).mappings().first()
        if row is None:
            raise StoreCorrupted(f"the plan of run {run_name!r} is missing from the database")
        return unpack_plan(row["episodes"], row["plan_hash"], row["suite"], row["protocol"])

    def fingerprints(self, run_name: str) -> list[tuple[Fingerprint, int]]:
        """The machines that attempts of a run were made on, with their numbers of attempts, most first.

        Raises:
            UnknownRun: there is no such run.
        """
        with self.database.read() as connection:
            return reading.load_fingerprints(connection, reading.find_run(connection, run_name)["id"])

    def finish(self, run_name: str) -> RunSummary:
        """Compute the summary of a run and store it; complete or not.

        Raises:
            UnknownRun: there is no such run.
        """
        with self.database.write() as connection:
            run = reading.find_run(connection, run_name)
            writing.lock_run(connection, run["id"])
            finished_at = run["finished_at"] or now()
            summary = reading.load_summary(connection, run, finished_at=finished_at)
            writing.store_summary(connection, run["id"], summary, finished_at)
        log.info("run_finished", run=run_name, score=summary.score_line)
        return summary

    def summary(self, run_name: str) -> RunSummary:
        """The result of a run, also while it goes on.

        Raises:
            UnknownRun: there is no such run.
        """
        with self.database.read() as connection:
            run = reading.find_run(connection, run_name)
            stored = reading.stored_summary(connection, run["id"], with_details=True)
            return stored or reading.load_summary(connection, run)

    def summaries(self) -> list[RunSummary]:
        """Headlines of all runs (`per_task` and `groups` are empty), in the order in which they were begun."""
        with self.database.read() as connection:
            runs = connection.execute(sa.select(RUN).order_by(RUN.c.id)).mappings().all()
            return [
                reading.stored_summary(connection, run["id"], with_details=False)
                or headline(reading.load_summary(connection, run))
                for run in runs
            ]

    def trace(self, digest: str) -> Trace:
        """The trace of an attempt.

        Raises:
            StoreCorrupted: it is missing or damaged.
        """
        return self.traces.read(digest)

    def delete(self, run_name: str) -> None:
        """Delete a run with its episodes. Its traces go too where the folder is this database's own file's.

        Raises:
            UnknownRun: there is no such run.
        """
        with self.database.write() as connection:
            run_id = reading.find_run(connection, run_name)["id"]
            mine = sa.select(ATTEMPT.c.trace_digest).where(ATTEMPT.c.run_id == run_id)
            others = sa.select(ATTEMPT.c.trace_digest).where(ATTEMPT.c.run_id != run_id)
            digests = set(connection.scalars(mine)) - set(connection.scalars(others)) - {""}
            connection.execute(sa.delete(ATTEMPT).where(ATTEMPT.c.run_id == run_id))
            connection.execute(sa.delete(EPISODE).where(EPISODE.c.run_id == run_id))
            connection.execute(sa.delete(RUN).where(RUN.c.id == run_id))
        self._open_runs.pop(run_name, None)
        if self.location.path is not None and self.traces.url == self.location.traces:
            self.traces.remove(digests)

    def _move_to_own_file(self, spec: RunSpec, own_file: Location, *, fresh: bool) -> RunSpec:
        """On a network file system: from now on use this process's file, with what others have of this run."""
        view = self.database
        database, _ = _opened(own_file, busy_timeout_s=BUSY_TIMEOUT_S, uses_wal=False)
        with view.read() as reader, database.write() as writer:
            taken = writing.free_name(reader, spec.name)
            if fresh:
                spec = replace(spec, name=taken)
            elif taken != spec.name:
                copy_run(reader, writer, spec.name)
        self.database, self._own_file = database, None
        view.close()
        return spec

    def _open_run(self, run_name: str) -> tuple[int, dict[str, int]]:
        if run_name not in self._open_runs:
            with self.database.read() as connection:
                run = reading.find_run(connection, run_name)
                episodes = reading.planned_episodes(connection, run["plan_hash"])
            self._open_runs[run_name] = run["id"], {content_id(episode): i for i, episode in enumerate(episodes)}
        return self._open_runs[run_name]

    def _with_traces(self, results: Sequence[EpisodeResult]) -> list[writing.Attempts]:
        """Write the traces, and join what a batch has of one episode."""
        joined: dict[str, writing.Attempts] = {}
        for result in results:
            before = joined.get(result.episode.id)
            attempts = [] if before is None else list(before.attempts)
            for attempt in result.attempts:
                attempts.append((attempt, self.traces.write(attempt.trace) if attempt.trace else ""))
            if attempts:
                joined[result.episode.id] = writing.Attempts(result.episode, tuple(attempts))
        return list(joined.values())


def _opened(location: Location, *, busy_timeout_s: float, uses_wal: bool) -> tuple[Database, list[str]]:
    """Exactly this database, with the present schema, and what the user should be told."""
    database = Database(location, busy_timeout_s=busy_timeout_s, uses_wal=uses_wal)
    try:
        return database, prepare_schema(database)
    except BaseException:
        database.close()
        raise


def _identity(spec: RunSpec) -> RunIdentity:
    suite = suite_content(spec.suite)
    return RunIdentity(
        digests={
            "suite": suite_digest(suite),
            "plan": spec.plan.plan_hash,
            "settings": spec.settings.eval_hash,
            "policy": spec.policy.digest,
        },
        suite=suite,
        settings=spec.settings.to_dict(),
        policy=to_plain(spec.policy),
        episodes=lambda: to_plain(spec.plan.episodes),
    )


def _not_ours(name: str, origin: Mapping[str, Any]) -> str:
    source = origin.get("fetched_from") or origin.get("file") or "elsewhere"
    return f"run {name!r} comes from {source} and was not made here: nothing goes on with it. Choose another --name."


def _mismatch(name: str, lines: Sequence[str]) -> str:
    differences = "\n  ".join(lines)
    return (
        f"run {name!r} exists and is another one:\n  {differences}\n"
        "Nothing was run. Repeat the earlier command to go on with it, or start anew with --fresh or another --name."
    )
