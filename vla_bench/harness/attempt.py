"""`EpisodeWorker`: one simulator, one policy session at a time; every fault of an attempt becomes its record here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from vla_bench.envs.base import EnvHandle, EnvOptions
from vla_bench.envs.registry import WorkerLimits
from vla_bench.harness.episode import run_episode
from vla_bench.harness.executors.base import Done, Job
from vla_bench.harness.rollout import Rollout
from vla_bench.harness.simulator import KeptSimulator
from vla_bench.policies.base import PolicySession
from vla_bench.spec.bind import Binding
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import EnvError, HarnessError, PolicyError, UsageError, VlaBenchError
from vla_bench.spec.result import AttemptResult
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite

__all__ = ["EpisodeWorker", "SessionSource", "WorkerSetup"]

log = structlog.get_logger(__name__)


class SessionSource(Protocol):
    """What a worker needs of a line to a policy."""

    @property
    def route(self) -> str:
        """Key of the route that it is, empty where there are none."""
        ...

    def open_session(self) -> PolicySession:
        """Open a session; see `PolicyConnection.open_session`."""
        ...


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """What every worker of a run is made of.

    Attributes:
        suite, settings: equal for all episodes of the run.
        bindings: route → how its policy and the suite are joined; one with an empty key where there are no routes.
        options, limits, isolation: how its simulator is opened.
        line_of: finds the line of an episode to the run's policy; sessions are opened from the worker's thread.
    """

    suite: Suite
    bindings: Mapping[str, Binding]
    settings: EvalSettings
    options: EnvOptions
    limits: WorkerLimits
    isolation: Literal["process", "inline"]
    line_of: Callable[[Episode], SessionSource]


class EpisodeWorker:
    """Makes attempts one after the other.

    A session lives for one attempt. A simulator lives until an attempt in it is lost: its state is not trusted then.
    """

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._simulator = KeptSimulator(setup.suite, setup.options, setup.limits, setup.isolation)

    def run(self, job: Job) -> Done:
        """Make the attempt; see `AttemptWorker.run`."""
        if job.wants_fresh_worker:
            self.close()
        rollout = self._new_rollout(job)
        lost: VlaBenchError
        try:
            env = self._simulator.open()
            try:
                session = self._setup.line_of(job.episode).open_session()
            except PolicyError as error:
                # The episode has not begun: it is not an attempt, and the simulator is as good as before.
                return Done(job=job, error=error)
            # The clock of an attempt starts when simulator and session are there.
            rollout = self._new_rollout(job)
            return Done(job=job, result=_run(env, session, rollout))
        except (PolicyError, EnvError) as error:
            lost = error
        except UsageError as error:
            return Done(job=job, error=error)
        except Exception as error:  # Nobody's error but ours: outcome `harness_error`.
            log.debug("attempt_raised", episode=job.episode.id, exc_info=True)
            lost = HarnessError(f"{type(error).__name__}: {error}")
        self.close()
        return Done(job=job, result=rollout.lost(lost), error=lost)

    def _new_rollout(self, job: Job) -> Rollout:
        setup = self._setup
        binding = setup.bindings[setup.line_of(job.episode).route]
        return Rollout(setup.suite, job.episode, job.attempt, binding, setup.settings)

    def abort(self) -> None:
        """Kill the simulator from another thread; see `AttemptWorker.abort`."""
        self._simulator.abort()

    def close(self) -> None:
        """Free the simulator; the next job opens a new one."""
        self._simulator.close()


def _run(env: EnvHandle, session: PolicySession, rollout: Rollout) -> AttemptResult:
    rollout.fingerprint = env.fingerprint
    try:
        run_episode(env, session, rollout)
        return rollout.result()
    finally:
        session.close()
