"""`local`: N simulator processes on this machine, each driven by one thread of this process.

The threads wait on sockets, of the simulator or of the policy, so that one interpreter serves many of them.
"""

from __future__ import annotations

import queue
import threading
from time import monotonic
from typing import ClassVar, Literal

from vla_bench.harness.executors.base import AttemptWorker, Done, Job, WorkerFactory

__all__ = ["LocalExecutor"]

CLOSE_S = 3.0
"""How long `close` waits for its threads, all together; one that hangs on a silent policy ends with its deadline."""


class LocalExecutor:
    """A queue of jobs, N threads that take from it, a queue of what they did."""

    isolation: ClassVar[Literal["process", "inline"]] = "process"

    def __init__(self, make_worker: WorkerFactory, n_workers: int) -> None:
        """Start nothing yet: a thread and its simulator start when there is a job that no idle one takes."""
        self.n_workers = n_workers
        self._make_worker = make_worker
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._workers: list[AttemptWorker] = []
        self._threads: list[threading.Thread] = []
        self._n_under_way = 0
        self._is_closing = threading.Event()

    def submit(self, job: Job) -> None:
        """Queue a job, and start one more worker where all present ones are busy."""
        is_any_idle = self._n_under_way < len(self._threads)
        if not is_any_idle and len(self._threads) < self.n_workers:
            self._start_worker()
        self._n_under_way += 1
        self._jobs.put(job)

    def wait(self, timeout_s: float) -> Done | None:
        """The next ended job; None where none ended within `timeout_s`."""
        try:
            done = self._done.get(timeout=timeout_s) if timeout_s > 0 else self._done.get_nowait()
        except queue.Empty:
            return None
        self._n_under_way -= 1
        return done

    def close(self) -> None:
        """End all workers: idle ones by themselves, busy ones by killing their simulators."""
        self._is_closing.set()
        for _ in self._threads:
            self._jobs.put(None)
        if self._n_under_way:
            for worker in self._workers:
                worker.abort()
        give_up_at = monotonic() + CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - monotonic()))

    def _start_worker(self) -> None:
        worker = self._make_worker()
        name = f"vla-bench-worker-{len(self._threads)}"
        # Daemons, because one that waits for a silent policy must not hold up the end of the process.
        thread = threading.Thread(target=self._work, args=(worker,), name=name, daemon=True)
        self._workers.append(worker)
        self._threads.append(thread)
        thread.start()

    def _work(self, worker: AttemptWorker) -> None:
        try:
            while (job := self._jobs.get()) is not None and not self._is_closing.is_set():
                self._done.put(worker.run(job))
        finally:
            worker.close()
