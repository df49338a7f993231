"""The one writer of a run: attempts go into a queue, a thread stores them in batches."""

from __future__ import annotations

import queue
import threading

import structlog

from vla_bench.results.store import Store
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import HarnessError, VlaBenchError
from vla_bench.spec.result import AttemptResult, EpisodeResult

__all__ = ["ResultWriter"]

log = structlog.get_logger(__name__)

CLOSE_S = 60.0
"""How long `close` waits for the database: longer than the store itself waits for a lock."""


class ResultWriter:
    """Stores attempts as they come: whatever waits is one transaction, and nothing waits for a batch to fill.

    A fault of the store stops the writer: `check` and `close` raise it, and what was stored before stays.
    """

    def __init__(self, store: Store, run_name: str) -> None:
        self._store, self._run_name = store, run_name
        self._queue: queue.SimpleQueue[EpisodeResult | None] = queue.SimpleQueue()
        self._error: VlaBenchError | None = None
        self._thread = threading.Thread(target=self._write, name="vla-bench-writer", daemon=True)
        self._thread.start()

    def add(self, episode: Episode, attempt: AttemptResult) -> None:
        """Queue one attempt."""
        self._queue.put(EpisodeResult(episode=episode, attempts=(attempt,)))

    def check(self) -> None:
        """Raise what the store raised, if anything.

        Raises:
            StoreError: results cannot be stored.
        """
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Store what is queued and end the thread.

        Raises:
            StoreError: results could not be stored.
        """
        self._queue.put(None)
        self._thread.join(CLOSE_S)
        self.check()
        if self._thread.is_alive():
            raise HarnessError(f"the database did not take the last results within {CLOSE_S:.0f} s")

    def _write(self) -> None:
        is_open = True
        while is_open:
            batch, is_open = self._next_batch()
            if not batch or self._error is not None:
                continue
            try:
                self._store.add(self._run_name, batch)
            except VlaBenchError as error:
                self._error = error
            except Exception as error:  # A bug of ours becomes a harness fault of the run, and ends it.
                self._error = HarnessError(f"results could not be stored: {type(error).__name__}: {error}")
                self._error.__cause__ = error
            log.debug("results_stored", run=self._run_name, n_attempts=len(batch), error=str(self._error or ""))

    def _next_batch(self) -> tuple[list[EpisodeResult], bool]:
        """Everything that waits now, at least one item, and whether more can come."""
        items = [self._queue.get()]
        while not self._queue.empty():
            items.append(self._queue.get())
        return [item for item in items if item is not None], None not in items
