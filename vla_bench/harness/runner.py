"""`Runner`: takes a plan's jobs through an executor, tries lost ones again, waits for a policy server that is gone.

One thread. Attempts are made elsewhere (`attempt`), the rules for retries are in `retries`, storing is in `writer`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic

import structlog

from vla_bench.harness.events import Listener, ServerWait
from vla_bench.harness.executors.base import Done, Executor, Job
from vla_bench.harness.policy_line import PolicyLine
from vla_bench.harness.retries import rule
from vla_bench.harness.routed_line import Line
from vla_bench.harness.writer import ResultWriter
from vla_bench.spec.errors import (
    EnvStartFailed,
    PolicyChanged,
    PolicyError,
    PolicyTimeout,
    ServerUnreachable,
    SessionLost,
    Unauthorized,
    UsageError,
    VlaBenchError,
)
from vla_bench.spec.result import AttemptResult, EpisodeResult
from vla_bench.spec.settings import RepeatedPolicyErrors

__all__ = ["RunRules", "Runner"]

log = structlog.get_logger(__name__)

POLL_S = 0.5
"""How often the runner looks at the writer while no attempt ends."""
STOPS_AT_ONCE = (PolicyChanged, Unauthorized)
"""Going on would mix policies, or ask a server that has said no."""
SERVER_GONE = (ServerUnreachable, SessionLost, PolicyTimeout)
"""After these the server is asked for a session before another attempt is spent on it."""
NOTHING_WORKS = (*SERVER_GONE, EnvStartFailed)
"""Where every attempt ends so, and none is judged in between, the rest of the plan is not worth burning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRules:
    """How patient a run is; see `RunConfig` for the fields."""

    max_attempts: int = 3
    server_wait_s: float = 30.0
    max_restarts: int = 3
    repeated_policy_errors: RepeatedPolicyErrors = RepeatedPolicyErrors.LOST


class Runner:
    """Runs jobs to their end, or stops with the reason why it cannot."""

    def __init__(
        self, *, executor: Executor, line: Line, writer: ResultWriter, rules: RunRules, listener: Listener
    ) -> None:
        self._executor, self._line, self._writer = executor, line, writer
        self._rules, self._listener = rules, listener
        self._waiting: deque[Job] = deque()
        self._attempts: dict[str, list[AttemptResult]] = defaultdict(list)
        self._n_under_way = 0
        self._n_fruitless = 0
        self._submitted_s: dict[str, float] = {}
        self._revived_s: dict[str, float] = {}

    def run(self, jobs: Iterable[Job]) -> VlaBenchError | None:
        """Make every attempt that is needed.

        Returns:
            None where every episode was judged or lost for good; else why the run stopped before its end.

        Raises:
            UsageError: the simulator cannot be opened here.
            StoreError: results cannot be stored; those stored before are kept.
            KeyboardInterrupt: passed on, after the attempts that had ended were taken.
        """
        self._waiting.extend(jobs)
        try:
            while self._waiting or self._n_under_way:
                while self._waiting and self._n_under_way < self._executor.n_workers:
                    self._submit(self._waiting.popleft())
                if (done := self._executor.wait(POLL_S)) is not None:
                    self._take(done)
                self._writer.check()
        except _Stop as stop:
            self._take_what_has_ended()
            return stop.reason
        except (UsageError, KeyboardInterrupt):
            self._take_what_has_ended()
            raise
        return None

    def _submit(self, job: Job) -> None:
        # Counted first: an inline executor runs the job in here.
        self._n_under_way += 1
        self._submitted_s[job.episode.id] = monotonic()
        self._executor.submit(job)

    def _take(self, done: Done) -> None:
        self._n_under_way -= 1
        if done.result is not None:
            self._record(done.job, done.result)
        else:
            self._waiting.appendleft(done.job)
        error = done.error
        if isinstance(error, UsageError):
            raise error
        if isinstance(error, STOPS_AT_ONCE):
            raise _Stop(error)
        self._count_fruitless(done)
        if isinstance(error, PolicyError) and (done.result is None or isinstance(error, SERVER_GONE)):
            line = self._line.of(done.job.episode)
            is_old_news = self._submitted_s[done.job.episode.id] < self._revived_s.get(line.route, 0.0)
            self._make_sure_of_server(line, error, is_old_news=is_old_news)

    def _record(self, job: Job, result: AttemptResult) -> None:
        attempts = self._attempts[job.episode.id]
        ruling = rule(
            [*attempts, result],
            max_attempts=self._rules.max_attempts,
            repeated_policy_errors=self._rules.repeated_policy_errors,
        )
        attempts.append(ruling.attempt)
        self._writer.add(job.episode, ruling.attempt)
        log.info(
            "attempt_finished", episode=job.episode.id, attempt=job.attempt, outcome=str(ruling.attempt.outcome),
            kind=ruling.attempt.error_kind, is_final=ruling.is_final,
        )  # fmt: skip
        self._listener.attempt_finished(job.episode, ruling.attempt, is_final=ruling.is_final)
        if ruling.is_final:
            del self._attempts[job.episode.id]
            self._listener.episode_finished(EpisodeResult(episode=job.episode, attempts=tuple(attempts)))
        else:
            # At the end of the queue: whatever caused the loss has time to pass.
            self._waiting.append(Job(episode=job.episode, attempt=job.attempt + 1, wants_fresh_worker=True))

    def _count_fruitless(self, done: Done) -> None:
        """Stop where attempt after attempt finds no server or no simulator and none is judged in between."""
        if done.error is None:
            self._n_fruitless = 0
        elif done.result is None or isinstance(done.error, NOTHING_WORKS):
            self._n_fruitless += 1
            # One outage costs every worker an attempt.
            if self._n_fruitless > (self._rules.max_restarts + 1) * self._executor.n_workers:
                raise _Stop(done.error)

    def _make_sure_of_server(self, line: PolicyLine, error: PolicyError, *, is_old_news: bool) -> None:
        """Go on only with a server that opens sessions; episodes are not spent on a dead one.

        Args:
            line: to the server.
            error: what an attempt ended with.
            is_old_news: the attempt began before the server was brought back.
        """
        # One hanging answer holds the one thread in which a policy lives: such a server opens sessions, and no more.
        is_stuck = isinstance(error, PolicyTimeout) and line.is_ours and not is_old_news
        try:
            if not is_stuck and line.is_answering():
                return
            wait_s = self._rules.server_wait_s
            wait = ServerWait(error=error, wait_s=wait_s, is_restarting=line.is_ours, route=line.route)
            log.warning("waiting_for_server", error=str(error), is_restarting=wait.is_restarting, route=wait.route)
            self._listener.waiting_for_server(wait)
            line.revive(wait_s)
            self._revived_s[line.route] = monotonic()
        except PolicyError as gone:
            raise _Stop(gone) from error
        log.info("server_back")
        self._listener.server_back()

    def _take_what_has_ended(self) -> None:
        """Keep attempts that ended while the run was being stopped."""
        while (done := self._executor.wait(0.0)) is not None:
            if done.result is not None:
                self._record(done.job, done.result)


class _Stop(Exception):
    def __init__(self, reason: VlaBenchError) -> None:
        super().__init__(str(reason))
        self.reason = reason
