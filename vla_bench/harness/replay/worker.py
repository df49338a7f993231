"""Replays side by side: the workers that an executor drives, and the loop that keeps them busy."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

import structlog

from vla_bench.envs.base import EnvOptions, EnvState
from vla_bench.envs.registry import WorkerLimits, family_of
from vla_bench.envs.runtime.place import place_of
from vla_bench.harness.executors.base import Done, Executor, Job, default_workers, executor_class
from vla_bench.harness.interrupts import undisturbed
from vla_bench.harness.replay.judge import Agreement, ReplayResult, judge_replay, not_replayed
from vla_bench.harness.replay.play import replay_attempt
from vla_bench.harness.replay.recording import Recording, faults_of
from vla_bench.harness.simulator import KeptSimulator
from vla_bench.results.traces import TraceFolder
from vla_bench.spec.errors import (
    EnvError,
    EnvStartFailed,
    HarnessError,
    StoreCorrupted,
    UsageError,
    VlaBenchError,
)
from vla_bench.spec.suite import Suite

__all__ = ["Audience", "ReplaySetup", "replay_all"]

log = structlog.get_logger(__name__)

POLL_S = 0.5
MAX_ATTEMPTS = 2
"""Tries at a replay that the simulator does not see through."""


class Audience:
    """A `Watcher` of one replay, in its worker's thread, from beginning to end. This one wants no pictures."""

    def wanted(self, begin: int, end: int) -> Sequence[int]:
        """See `Watcher`."""
        return ()

    def see(self, state: EnvState) -> None:
        """See `Watcher`."""

    def finish(self, result: ReplayResult) -> None:
        """The replay has come to its end."""

    def close(self) -> None:
        """The replay is over, finished or not: free what is held."""


@dataclass(frozen=True, kw_only=True)
class ReplaySetup:
    """How recordings are replayed.

    Attributes:
        suite: of all of them.
        traces: where their traces are.
        options: how the simulator is opened; without cameras nothing is rendered.
        limits: of the simulator's process.
        executor: registered name.
        workers: simulators at a time, None for as many as the machine has cores.
        audience: gives whoever looks on at a replay.
        limit_s: seconds that a replay may take, with the start of its simulator where it needs one.
    """

    suite: Suite
    traces: TraceFolder
    options: EnvOptions = EnvOptions()
    limits: WorkerLimits = field(default_factory=WorkerLimits)
    executor: str = "local"
    workers: int | None = None
    audience: Callable[[Recording], Audience] = lambda recording: Audience()
    limit_s: Callable[[Recording], float] = lambda recording: math.inf


class _Overdue(Exception):
    """Raised in a replay that takes longer than it may."""


class _Timed:
    """A `Watcher` that looks on for another, and ends a replay that takes too long.

    It is asked after every call; a simulator that is silent in one has a deadline of its own.
    """

    def __init__(self, audience: Audience, limit_s: float) -> None:
        self._audience, self._limit_s, self._begin = audience, limit_s, monotonic()

    def wanted(self, begin: int, end: int) -> Sequence[int]:
        """See `Watcher`."""
        return self._audience.wanted(begin, end)

    def see(self, state: EnvState) -> None:
        """See `Watcher`."""
        if monotonic() - self._begin > self._limit_s:
            raise _Overdue(f"the replay took longer than {self._limit_s:.0f} s, and came to step {state.step}")
        self._audience.see(state)


def replay_all(recordings: Sequence[Recording], setup: ReplaySetup) -> Generator[ReplayResult, None, None]:
    """Replay recordings and give each result as its replay ends; closing the generator ends all simulators.

    Recordings of one task follow one another, so that its model is compiled once and not once per round of the plan.

    Raises:
        UsageError: the simulator cannot be opened here.
        EnvStartFailed: it should open and does not.
        HarnessError: what the audience makes of it cannot be written.
    """
    if not recordings:
        return
    executor_kind = executor_class(setup.executor)
    if executor_kind.isolation == "process":
        # Found out here, not by every worker: an interpreter that lacks the suite, or no render back end.
        place_of(family_of(setup.suite), setup.options)
    by_id = {recording.episode.id: recording for recording in recordings}
    order = {task.id: index for index, task in enumerate(setup.suite.tasks)}
    by_task = sorted(recordings, key=lambda recording: order.get(recording.episode.task, len(order)))
    n_workers = min(setup.workers or default_workers(), len(recordings))
    executor = executor_kind(lambda: ReplayWorker(setup, by_id, executor_kind.isolation), n_workers)
    try:
        yield from _ended(executor, deque(Job(episode=recording.episode) for recording in by_task))
    finally:
        with undisturbed():
            executor.close()


def _ended(executor: Executor, waiting: deque[Job]) -> Iterator[ReplayResult]:
    """Keep the executor busy; a replay that was lost is made once more, on a fresh simulator."""
    n_under_way = 0
    while waiting or n_under_way:
        while waiting and n_under_way < executor.n_workers:
            n_under_way += 1
            executor.submit(waiting.popleft())
        if (done := executor.wait(POLL_S)) is None:
            continue
        n_under_way -= 1
        assert isinstance(done, ReplayDone)
        is_last = done.job.attempt + 1 >= MAX_ATTEMPTS
        if isinstance(done.error, EnvError) and not is_last:
            log.info("replay_lost", episode=done.job.episode.id, error=str(done.error))
            waiting.append(Job(episode=done.job.episode, attempt=done.job.attempt + 1, wants_fresh_worker=True))
        elif done.verdict is None or isinstance(done.error, EnvStartFailed):
            assert done.error is not None
            raise done.error
        else:
            yield done.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDone(Done):
    """How a replay ended; without a verdict where nothing at all can be replayed here, for the reason in `error`."""

    verdict: ReplayResult | None = None


class ReplayWorker:
    """An `AttemptWorker` whose actions come from traces; see `EpisodeWorker` for the one with a policy."""

    def __init__(
        self, setup: ReplaySetup, recordings: Mapping[str, Recording], isolation: Literal["process", "inline"]
    ) -> None:
        self._setup, self._recordings = setup, recordings
        self._simulator = KeptSimulator(setup.suite, setup.options, setup.limits, isolation)

    def run(self, job: Job) -> Done:
        """Replay the recording of an episode and judge it."""
        recording = self._recordings[job.episode.id]
        if job.wants_fresh_worker:
            self.close()
        try:
            return ReplayDone(job=job, verdict=self._replay(recording))
        except StoreCorrupted as error:
            return ReplayDone(job=job, verdict=_failed(recording, Agreement.UNREADABLE, error), error=error)
        except EnvError as error:
            self.close()
            return ReplayDone(job=job, verdict=_failed(recording, Agreement.LOST, error), error=error)
        except _Overdue as error:
            # Not made again at once, as other lost ones are: it would take as long again.
            self.close()
            return ReplayDone(job=job, verdict=not_replayed(recording, Agreement.LOST, (str(error),)))
        except (UsageError, HarnessError) as error:
            return ReplayDone(job=job, error=error)
        except Exception as error:  # Nobody's error but ours: it ends the command.
            log.debug("replay_raised", episode=job.episode.id, exc_info=True)
            fault = HarnessError(f"{type(error).__name__}: {error}")
            fault.__cause__ = error
            return ReplayDone(job=job, error=fault)

    def _replay(self, recording: Recording) -> ReplayResult:
        setup = self._setup
        trace = setup.traces.read(recording.trace_digest) if recording.trace_digest else None
        if faults := tuple(faults_of(recording, trace, setup.suite, setup.options.control_mode)):
            return not_replayed(recording, Agreement.DIFFERS, faults)
        with closing(setup.audience(recording)) as audience:
            timed = _Timed(audience, setup.limit_s(recording))
            env = self._simulator.open()
            replayed = replay_attempt(env, recording, trace, timed)
            if replayed.error_message:
                # An env that has raised is not used again.
                self.close()
            verdict = judge_replay(recording, trace, replayed)
            audience.finish(verdict)
        return verdict

    def abort(self) -> None:
        """Kill the simulator from another thread; see `AttemptWorker.abort`."""
        self._simulator.abort()

    def close(self) -> None:
        """Free the simulator; the next job opens a new one."""
        self._simulator.close()


def _failed(recording: Recording, agreement: Agreement, error: VlaBenchError) -> ReplayResult:
    return not_replayed(recording, agreement, (" ".join(str(error).split()),))
