"""Traces of a submission go to the store while others are still being checked.

Ten thousand small files cost a slow file system several times what their checks cost the processor. There a thread of
its own makes them: Python's lock is free while the system works. A quick one makes a file sooner than two threads have
passed that lock to and fro, and so gets it from the thread that checks.
"""

from __future__ import annotations

import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

from vla_bench.results.store import Store
from vla_bench.server.submissions.scratch import remove_unused
from vla_bench.spec.errors import StoreLocked

__all__ = ["TraceKeeper"]

_BATCH: Final = 200
_SLOW_S: Final = 150e-6
"""A file, from which on a thread pays: passing the lock costs about as much. Tests set it."""
_MOST_BATCHES: Final = 4
"""That wait to be written; the archive may be larger than the memory."""


class TraceKeeper:
    """A context: where it is left by an exception, what it wrote and no run has is removed again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="traces")
        self._is_slow = False
        self._batch: list[tuple[str, bytes]] = []
        self._waiting: deque[Future[None]] = deque()
        self._digests: list[str] = []
        self._new: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._writer.shutdown(cancel_futures=kind is not None)
        if kind is not None:
            remove_unused(self._store, self._new)

    def put(self, digest: str, packed: bytes) -> None:
        """Have a trace written that `unpack_trace` has accepted; waits where too many do.

        Raises:
            StoreError: this or an earlier one could not be written.
        """
        self._batch.append((digest, packed))
        if len(self._batch) == _BATCH:
            self._flush()
        if len(self._waiting) > _MOST_BATCHES:
            self._waiting.popleft().result()

    def begin_sync(self) -> None:
        """After the last one: once for all of them, as a sync of each takes longer than everything else here."""
        self._flush()
        if self._store.traces.is_local:
            self._waiting.append(self._writer.submit(os.sync))

    def check_all_are_kept(self) -> None:
        """Wait until everything is on disk. To be asked under the lock of runs, at the end of a transaction.

        Raises:
            StoreError: one could not be written.
            StoreLocked: another submission of the same traces failed meanwhile and took them along.
        """
        while self._waiting:
            self._waiting.popleft().result()
        if not all(map(self._store.traces.has, self._digests)):
            raise StoreLocked("another submission of these traces was taken back while they were checked: once more")

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        self._digests += [digest for digest, _ in batch]
        if self._is_slow:
            self._waiting.append(self._writer.submit(self._write, batch))
        else:
            begun = time.perf_counter()
            self._write(batch)
            self._is_slow = time.perf_counter() - begun > _SLOW_S * len(batch)

    def _write(self, batch: list[tuple[str, bytes]]) -> None:
        for digest, packed in batch:
            if self._store.traces.put_packed(digest, packed, is_synced=False):
                self._new.append(digest)
