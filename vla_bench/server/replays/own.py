"""The board as its own worker sees it: `BoardClient`'s part for replays, straight on the store.

What it asks are the functions behind the API, so that of a worker over HTTP and one of the server's own the same row
is claimed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from vla_bench.results.store import Store
from vla_bench.server.audit import SERVER
from vla_bench.server.client import LeaseOver
from vla_bench.server.problems import Problem
from vla_bench.server.replays import desk
from vla_bench.server.replays.traces import leased_trace
from vla_bench.spec.errors import BoardUnreachable, StoreError, SubmissionRefused

__all__ = ["OwnBoard"]

Found = TypeVar("Found")


class OwnBoard:
    """A `ReplayBoard` in the server's own process."""

    def __init__(self, store: Store) -> None:
        """Take a store that somebody else closes."""
        self._store = store

    def twin(self) -> OwnBoard:
        """The same: a store may be asked from several threads."""
        return self

    def close(self) -> None:
        """Nothing is held."""

    def claim(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        """See `ReplayBoard`."""
        who, machines = f"{SERVER}/{wanted['worker']}", wanted["machines"]
        return self._write(lambda found: desk.claim(found, who, wanted["suites"], wanted["n"], machines))

    def trace(self, replay_id: int, lease: str) -> bytes:
        """See `ReplayBoard`."""
        with _as_a_client():
            return leased_trace(self._store, replay_id, lease)[1]

    def renew(self, replay_id: int, lease: str) -> None:
        """See `ReplayBoard`."""
        self._write(lambda found: desk.renew(found, replay_id, lease))

    def release(self, replay_id: int, lease: str) -> None:
        """See `ReplayBoard`."""
        self._write(lambda found: desk.release(found, replay_id, lease))

    def report(self, replay_id: int, lease: str, told: Mapping[str, Any]) -> str:
        """See `ReplayBoard`."""
        return self._write(lambda found: desk.report(found, replay_id, lease, desk.Report(**told)))

    def _write(self, change: Callable[[Connection], Found]) -> Found:
        with _as_a_client(), self._store.database.write() as connection:
            return change(connection)


@contextmanager
def _as_a_client() -> Iterator[None]:
    """Raise what a client of the API would."""
    try:
        yield
    except Problem as error:
        if error.kind == "lease-over":
            raise LeaseOver(error.detail) from error
        raise SubmissionRefused(error.detail) from error
    except StoreError as error:
        raise BoardUnreachable(str(error)) from error
