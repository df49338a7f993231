"""The contract of an executor: it runs attempts on some number of workers. It knows no retries, no results, no policy.

A third party writes one class like `LocalExecutor`, registers it in the entry-point group `vla_bench.executors` and
proves it with `vla_bench.testing.check_executor`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import UnknownExecutor, VlaBenchError
from vla_bench.spec.plugins import EXECUTORS, load_plugin
from vla_bench.spec.result import AttemptResult

__all__ = ["AttemptWorker", "Done", "Executor", "Job", "WorkerFactory", "default_workers", "executor_class"]

MOST_DEFAULT_WORKERS = 16
"""More simulators than this seldom help one policy server, and each takes memory: whoever wants them says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt to be made.

    Attributes:
        episode: to run.
        attempt: its number, from 0.
        wants_fresh_worker: the attempt before it was lost; it must not run in a simulator that has run anything.
    """

    episode: Episode
    attempt: int = 0
    wants_fresh_worker: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a job ended.

    Attributes:
        job: as submitted.
        result: the attempt's record; None where it did not begin, because the policy opened no session or this machine
            cannot open the simulator at all.
        error: why the attempt was lost or did not begin; None where it was judged.
    """

    job: Job
    result: AttemptResult | None = None
    error: VlaBenchError | None = None


class AttemptWorker(Protocol):
    """What an executor drives: one simulator and one policy session at a time."""

    def run(self, job: Job) -> Done:
        """Make the attempt. Never raises an `Exception`; every fault is in the `Done`."""
        ...

    def abort(self) -> None:
        """Called from another thread while `run` is busy: kill the simulator, so that `run` returns soon."""
        ...

    def close(self) -> None:
        """Free the simulator; called from the thread that called `run`, safe to call twice."""
        ...


WorkerFactory = Callable[[], AttemptWorker]
"""Makes one worker; cheap, the simulator starts with the first job."""


class Executor(Protocol):
    """Runs submitted jobs on `n_workers` workers. Used from one thread.

    Attributes:
        isolation: where the simulator lives: in a supervised process, or in this very process for debugging.
        n_workers: jobs that can be under way at once.
    """

    isolation: ClassVar[Literal["process", "inline"]]
    n_workers: int

    def __init__(self, make_worker: WorkerFactory, n_workers: int) -> None: ...

    def submit(self, job: Job) -> None:
        """Hand over a job; the caller keeps at most `n_workers` of them under way."""
        ...

    def wait(self, timeout_s: float) -> Done | None:
        """The next ended job, in any order; None where none ended within `timeout_s`."""
        ...

    def close(self) -> None:
        """Abandon what is under way, end all workers and leave no process behind; safe to call twice."""
        ...


def executor_class(name: str) -> type[Executor]:
    """The registered executor of that name.

    Raises:
        UnknownExecutor: nothing has that name.
    """
    found: type[Executor] = load_plugin(EXECUTORS, name, UnknownExecutor)
    return found


def default_workers() -> int:
    """As many simulators as this process may use cores, at least 1, at most `MOST_DEFAULT_WORKERS`."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, _quota_cores(), MOST_DEFAULT_WORKERS))


def _quota_cores(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    # A container's CPU quota does not show in its affinity.
    try:
        quota, period = path.read_text().split()[:2]
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return MOST_DEFAULT_WORKERS
