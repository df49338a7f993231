"""What happens between requests: sealed bundles are checked, replays whose worker died are queued again or made here.

Huey is the bell and nothing more: it is at most once, and a killed consumer loses what it had in hand. Rows of the
database say what is to be done; a ring only makes it happen at once, and a sweep every minute finds what no ring
reached. A message carries an id, signed with the service's secret, as messages are pickles.

Replays have a bell of their own, which only a process hears that makes some: it claims their rows as a worker over HTTP
does, with the same function, and its simulators are supervised children.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from fastapi import FastAPI
from huey import MemoryHuey, PostgresHuey, SqliteHuey, crontab
from huey.api import Huey
from huey.consumer import Consumer
from huey.serializer import SignedSerializer
from starlette.concurrency import run_in_threadpool

from vla_bench.results.leaderboard.people import DRAW_KEY, SUBMISSION
from vla_bench.results.store import Store
from vla_bench.server.audit import SERVER
from vla_bench.server.replays import desk
from vla_bench.server.replays.draw import rotate_key
from vla_bench.server.replays.worker import Worker
from vla_bench.server.settings import Settings
from vla_bench.server.submissions.listing import process, waiting
from vla_bench.server.submissions.parts import PartFolder
from vla_bench.server.submissions.states import State, StateChanged, move
from vla_bench.spec.errors import VlaBenchError

__all__ = ["Bell", "jobs_lifespan", "ring", "sweep"]

OPEN_DAYS = 7
"""An upload that is not sealed within this time is given up."""
KEY_DAYS = 30
"""A draw key is retired and revealed after this time, so that draws can be checked by everybody."""
POLL_S = 0.25
STOP_S = 20.0

log = structlog.get_logger(__name__)


class Bell:
    """The queues of one service: rings from any process, heard by every consumer."""

    def __init__(self, store: Store, settings: Settings, worker: Worker | None = None) -> None:
        """Open the queues: a file beside the SQLite database, tables of its own in PostgreSQL.

        Args:
            store: of the service.
            settings: of the service; messages are signed with its secret.
            worker: makes replays in this process; without one they are left to others.
        """
        self._store, self._settings, self._worker = store, settings, worker
        self._huey = _huey(store, settings, "vla-bench")
        self._replays = _huey(store, settings, "vla-bench-replays")
        self._make = self._replays.task(name="replay")(self._make_replays)
        self._replays.on_shutdown(name="close")(self._replays.storage.close)
        self._check = self._huey.task(name="check")(self._process)
        self._sweep = self._huey.periodic_task(crontab(minute="*"), name="sweep")(self.sweep)
        # In each worker's thread: what it listens on in PostgreSQL is a connection of that thread.
        self._huey.on_shutdown(name="close")(self._huey.storage.close)
        self._consumers: list[_Consumer] = []

    def ring(self, submission_id: str) -> None:
        """Have a submission checked soon. A bell that does not ring only makes it later."""
        try:
            self._check(submission_id)
        except Exception:  # whatever a queue raises: the row is there, the sweep finds it
            log.warning("bell_failed", submission=submission_id, exc_info=True)

    def ring_for_replays(self) -> None:
        """Have queued replays made soon, where a process of the service makes some."""
        try:
            if self._replays.pending_count() == 0:  # one ring is for all of them
                self._make()
        except Exception:  # as above
            log.warning("bell_failed", exc_info=True)

    def start(self, n_workers: int = 1) -> None:
        """Hear the bell in threads of this process; the first thing that they hear is a sweep."""
        self._sweep()
        self._hear(self._huey, n_workers)
        if self._worker is not None:
            self._hear(self._replays, 1)

    def stop(self) -> None:
        """End the threads; what they were at is finished, or begun anew later."""
        if self._worker is not None:
            self._worker.stop()
        for consumer in self._consumers:
            consumer.stop(graceful=True)
        self._consumers.clear()
        for huey in (self._huey, self._replays):
            huey.storage.close()

    def sweep(self) -> None:
        """See `sweep`; rings for what waits."""
        sweep(self._store, self._settings)
        for submission_id in self._waiting():
            self.ring(submission_id)
        with self._store.database.read() as connection:
            is_any = desk.is_any_queued(connection)
        if is_any:
            self.ring_for_replays()

    def _hear(self, huey: Huey, n_workers: int) -> None:
        consumer = _Consumer(
            huey, workers=n_workers, max_delay=POLL_S, shutdown_timeout=STOP_S, check_worker_health=False
        )
        self._consumers.append(consumer)
        consumer.start()

    def _process(self, submission_id: str) -> None:
        if process(self._store, self._settings, submission_id) is State.AUDITING:
            self.ring_for_replays()

    def _make_replays(self) -> None:
        if self._worker is None:
            return
        try:
            self._worker.run(until_idle=True)
        except VlaBenchError as error:  # the next sweep rings again
            log.warning("replays_interrupted", error=str(error))

    def _waiting(self) -> list[str]:
        with self._store.database.read() as connection:
            return waiting(connection)


def sweep(store: Store, settings: Settings) -> None:
    """Queue replays whose lease is over, give up uploads that nobody seals, delete old refusals, rotate a worn key."""
    with store.database.write() as connection:
        desk.expire(connection)
        is_worn = DRAW_KEY.c.retired_at.is_(None) & (DRAW_KEY.c.created_at < _before(KEY_DAYS))
        if connection.scalar(sa.select(DRAW_KEY.c.id).where(is_worn)) is not None:
            rotate_key(connection, actor=SERVER)
        is_old = (SUBMISSION.c.state == str(State.OPEN)) & (SUBMISSION.c.updated_at < _before(OPEN_DAYS))
        for submission_id in list(connection.scalars(sa.select(SUBMISSION.c.id).where(is_old))):
            try:
                reason = f"it was not sealed within {OPEN_DAYS} days"
                move(connection, submission_id, State.REFUSED, actor=SERVER, come_from=State.OPEN, reason=reason)
            except StateChanged:
                continue
    with store.database.read() as connection:
        is_over = (SUBMISSION.c.state == str(State.REFUSED)) & (
            SUBMISSION.c.updated_at < _before(settings.keep_refused_days)
        )
        refused = list(connection.scalars(sa.select(SUBMISSION.c.id).where(is_over)))
    for submission_id in refused:
        PartFolder.of(settings, store, submission_id).remove()


def ring(app: FastAPI, submission_id: str) -> None:
    """Ring the bell of a service for a sealed submission."""
    bell: Bell | None = getattr(app.state, "bell", None)
    if bell is not None:
        bell.ring(submission_id)


@asynccontextmanager
async def jobs_lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The bell of the service, and where the settings say so its consumer too, for as long as the service runs."""
    settings: Settings = app.state.settings
    if app.state.store.location.is_read_only:
        yield
        return
    bell = await run_in_threadpool(Bell, app.state.store, settings)
    app.state.bell = bell
    if settings.runs_jobs:
        await run_in_threadpool(bell.start)
    try:
        yield
    finally:
        await run_in_threadpool(bell.stop)


class _Consumer(Consumer):  # type: ignore[misc]
    """Huey's consumer inside another program: signals stay that program's."""

    def _set_signal_handlers(self) -> None:
        pass


def _huey(store: Store, settings: Settings, name: str) -> Huey:
    logging.getLogger("huey").setLevel(logging.WARNING)
    common: dict[str, Any] = {
        "results": False,
        "serializer": SignedSerializer(secret=settings.secret, salt="vla-bench/jobs/1"),
    }
    location = store.location
    if location.path is not None:
        return SqliteHuey(name, filename=str(location.path.with_name(f"{location.path.stem}-jobs.db")), **common)
    if location.url.get_backend_name() == "sqlite":
        return MemoryHuey(name, **common)
    dsn = location.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return PostgresHuey(name, dsn=dsn, table_prefix="vla_bench_jobs", **common)


def _before(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
