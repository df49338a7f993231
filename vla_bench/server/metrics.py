"""What the service counts, in Prometheus' form: of requests as they end, of the board as it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vla_bench.results.leaderboard.people import REPLAY, SUBMISSION
from vla_bench.spec.errors import StoreError

if TYPE_CHECKING:
    from vla_bench.results.database import Database

__all__ = ["CONTENT_TYPE", "Metrics", "queue_state"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 300.0)
REPLAY_STATES = ("queued", "leased", "agreed", "deviated", "failed")
WAITING = ("queued", "leased")


class Metrics:
    """The counters of one process and the state of its board.

    Attributes:
        requests: seconds by method, route template and status; paths are never labels, as anybody can make them up.
        refusals: requests refused before a router saw them, by reason.
    """

    def __init__(self, database: Database) -> None:
        self._registry = CollectorRegistry()
        self.requests = Histogram(
            "vla_bench_board_request_seconds",
            "Time from a request's first byte to the answer's last.",
            ("method", "route", "status"),
            buckets=BOUNDS_S,
            registry=self._registry,
        )
        self.refusals = Counter(
            "vla_bench_board_refused_requests",
            "Requests refused: a limit, a body too long, a time limit.",
            ("reason",),
            registry=self._registry,
        )
        self._registry.register(_Board(database))

    def render(self) -> bytes:
        """All of it as text."""
        return generate_latest(self._registry)


class _Board(Collector):
    """Reads the database when it is asked: every process says the same, and nothing is counted twice."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            with self._database.read() as connection:
                yield from _replays(connection)
                yield from _submissions(connection)
        except StoreError:
            # The scrape still gets the counters of this process; /readyz says what is wrong with the database.
            yield GaugeMetricFamily("vla_bench_board_database_up", "Whether the database answers.", value=0)
            return
        yield GaugeMetricFamily("vla_bench_board_database_up", "Whether the database answers.", value=1)


def _replays(connection: sa.Connection) -> Iterator[Metric]:
    family = GaugeMetricFamily("vla_bench_board_replays", "Replays by state.", labels=["state"])
    counts = _count_by_state(connection, REPLAY)
    for state in REPLAY_STATES:
        family.add_metric([state], counts.get(state, 0))
    yield family
    yield GaugeMetricFamily(
        "vla_bench_board_queue_depth", "Replays that wait or run.", value=sum(counts.get(state, 0) for state in WAITING)
    )
    yield GaugeMetricFamily(
        "vla_bench_board_oldest_replay_seconds",
        "Age of the oldest submission with a replay that waits; 0 for none.",
        value=_oldest_wait_s(connection),
    )
    yield GaugeMetricFamily(
        "vla_bench_board_replay_deviations",
        "Replays that gave something else than their bundle says: look at the first.",
        value=counts.get("deviated", 0),
    )


def _submissions(connection: sa.Connection) -> Iterator[Metric]:
    family = GaugeMetricFamily("vla_bench_board_submissions", "Uploads by what became of them.", labels=["state"])
    for state, n in _count_by_state(connection, SUBMISSION).items():
        family.add_metric([state], n)
    yield family


def queue_state(connection: sa.Connection) -> tuple[int, int, float]:
    """How many replays wait, how many are being made, and for how long (seconds) the oldest has waited."""
    counts = _count_by_state(connection, REPLAY)
    return counts.get("queued", 0), counts.get("leased", 0), _oldest_wait_s(connection)


def _count_by_state(connection: sa.Connection, table: sa.Table) -> dict[str, int]:
    found = connection.execute(sa.select(table.c.state, sa.func.count()).group_by(table.c.state))
    return {str(state): int(n) for state, n in found}


def _oldest_wait_s(connection: sa.Connection) -> float:
    """Seconds since the oldest submission with a waiting replay was sealed; 0 where none waits."""
    waiting = sa.select(REPLAY.c.id).where(REPLAY.c.submission_id == SUBMISSION.c.id, REPLAY.c.state == "queued")
    oldest = connection.scalar(sa.select(sa.func.min(SUBMISSION.c.sealed_at)).where(waiting.exists()))
    if oldest is None:
        return 0.0
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(oldest)).total_seconds())
