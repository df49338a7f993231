"""`inline`: simulator, policy session and loop in this process and thread, for debuggers and profilers."""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Literal

from vla_bench.harness.executors.base import Done, Job, WorkerFactory

__all__ = ["InlineExecutor"]


class InlineExecutor:
    """Runs each job when it is submitted. A simulator that crashes takes this process with it."""

    isolation: ClassVar[Literal["process", "inline"]] = "inline"

    def __init__(self, make_worker: WorkerFactory, n_workers: int = 1) -> None:
        """`n_workers` is accepted for the contract's sake: there is one."""
        self.n_workers = 1
        self._worker = make_worker()
        self._done: deque[Done] = deque()

    def submit(self, job: Job) -> None:
        """Run the job now."""
        self._done.append(self._worker.run(job))

    def wait(self, timeout_s: float) -> Done | None:
        """The oldest ended job, if there is one."""
        return self._done.popleft() if self._done else None

    def close(self) -> None:
        """Close the simulator."""
        self._worker.close()
