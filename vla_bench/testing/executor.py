"""`check_executor`: what an executor must do so that results depend on the plan and on nothing else."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, ClassVar, Self

import psutil

from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import WorkerLimits, find_suite
from vla_bench.harness.attempt import EpisodeWorker, WorkerSetup
from vla_bench.harness.executors.base import AttemptWorker, Done, Executor, Job, executor_class
from vla_bench.policies.base import Policy, PolicySession
from vla_bench.policies.inline import InlineConnection
from vla_bench.spec.bind import bind
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.errors import UnknownPolicy
from vla_bench.spec.plugins import POLICIES, load_plugin
from vla_bench.spec.settings import EvalSettings
from vla_bench.testing.conformance import Expect, Rules

__all__ = ["check_executor"]

SUITE = "toy_reach_faults"
POLICY = "expert"
LEAVE_S = 5.0
"""How long processes may take to be gone after `close`."""


def check_executor(
    executor: str | type[Executor], *, n_workers: int = 3, n_trials: int = 2, deadline_s: float = 60.0
) -> tuple[str, ...]:
    """Run the whole kit, on real episodes of the toy suite.

    Args:
        executor: a registered name, or the class.
        n_workers: workers that a run with several of them has.
        n_trials: episodes per task; the suite has five tasks.
        deadline_s: how long any attempt may take to end.

    Returns:
        The rules that were checked, as sentences.

    Raises:
        UnknownExecutor: nothing has that name.
        ConformanceError: rules are broken; all of them are named.
    """
    kind = executor_class(executor) if isinstance(executor, str) else executor
    name = executor if isinstance(executor, str) else kind.__name__
    kit = _Kit(Rules(f"executor {name}"), kind, n_workers, n_trials, deadline_s)
    kit.check_results()
    if kind.isolation == "process":
        kit.check_faults()
    kit.check_end()
    return kit.rules.finish()


@dataclass(slots=True)
class _LazyPolicy:
    """The policy of the kit in whatever process a worker runs; travels as two names."""

    route: ClassVar[str] = ""
    _lock: Any = field(default_factory=threading.Lock)
    _connection: InlineConnection | None = None

    def __call__(self, episode: Episode) -> Self:
        return self

    def open_session(self) -> PolicySession:
        with self._lock:
            if self._connection is None:
                self._connection = InlineConnection(_policy())
            return self._connection.open_session()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()


@dataclass(frozen=True, slots=True)
class _MakeWorker:
    setup: WorkerSetup

    def __call__(self) -> AttemptWorker:
        return EpisodeWorker(self.setup)


def _policy() -> Policy:
    policy: Policy = load_plugin(POLICIES, POLICY, UnknownPolicy)()
    return policy


class _Kit:
    def __init__(self, rules: Rules, kind: type[Executor], n_workers: int, n_trials: int, deadline_s: float) -> None:
        self.rules, self._kind, self._n_workers, self._deadline_s = rules, kind, n_workers, deadline_s
        suite, settings = find_suite(SUITE), EvalSettings()
        self._episodes = make_plan(suite, n_trials=n_trials).episodes
        binding = bind(_policy().info(), suite, settings)
        setup = WorkerSetup(
            suite=suite,
            bindings={"": binding},
            settings=settings,
            options=EnvOptions(privileged=binding.wants_privileged),
            limits=WorkerLimits(start_s=deadline_s, reset_s=deadline_s, call_s=deadline_s),
            isolation=kind.isolation,
            line_of=_LazyPolicy(),
        )
        self._make_worker = _MakeWorker(setup)

    def check_results(self) -> None:
        """What ends, and with which results."""
        alone: list[Done] = []
        with self.rules.rule("nothing has ended before a job is submitted") as expect, self._open(1) as executor:
            expect(executor.wait(0.0) is None, "wait() gave a job")
        with self.rules.rule("every job ends exactly once, judged") as expect:
            alone = self._run([Job(episode=episode) for episode in self._episodes], 1)
            self._expect_once(expect, alone)
            expect(all(done.error is None for done in alone), _errors(alone))
        with self.rules.rule("results do not depend on the number of workers, nor on the order of jobs") as expect:
            together = self._run([Job(episode=episode) for episode in reversed(self._episodes)], self._n_workers)
            self._expect_once(expect, together)
            ours, theirs = _results(alone), _results(together)
            differing = [key for key in ours if ours[key] != theirs.get(key)]
            expect(not differing, f"{len(differing)} of {len(ours)} episodes differ: {', '.join(differing[:3])}")
        with self.rules.rule("a job keeps its attempt number") as expect:
            done = self._run([Job(episode=self._episodes[0], attempt=4, wants_fresh_worker=True)], 1)
            numbers = [item.result.attempt for item in done if item.result]
            expect(numbers == [4], f"attempt 4 became {numbers}")

    def check_faults(self) -> None:
        """A simulator that dies is one lost attempt, whoever else is at work."""
        victim = replace(self._episodes[2], params={**self._episodes[2].params, "fault": {"kind": "kill", "step": 2}})
        episodes = [victim if index == 2 else episode for index, episode in enumerate(self._episodes)]
        with self.rules.rule("a simulator that dies loses its attempt and no other") as expect:
            ended = self._run([Job(episode=episode) for episode in episodes], self._n_workers)
            lost = [done.job.episode.id for done in ended if done.error is not None]
            expect(lost == [victim.id], f"lost {lost or 'nothing'}, wants {victim.id}: {_errors(ended)}")
            kinds = [done.error.kind for done in ended if done.error]
            expect(kinds == ["env_crashed"], f"the loss is called {kinds}")
            self._expect_once(expect, ended, episodes)

    def check_end(self) -> None:
        """Closing."""
        with self.rules.rule("close() ends attempts that are under way, twice without harm") as expect:
            executor = self._kind(self._make_worker, self._n_workers)
            try:
                for episode in self._episodes[: executor.n_workers]:
                    executor.submit(Job(episode=episode))
                begin = monotonic()
            finally:
                executor.close()
            executor.close()
            took_s = monotonic() - begin
            expect(took_s < self._deadline_s, f"close() took {took_s:.0f} s")

    def _run(self, jobs: Sequence[Job], n_workers: int) -> list[Done]:
        waiting, n_under_way, ended = list(jobs), 0, []
        with self._open(n_workers) as executor:
            while waiting or n_under_way:
                while waiting and n_under_way < executor.n_workers:
                    n_under_way += 1
                    executor.submit(waiting.pop(0))
                done = executor.wait(self._deadline_s)
                if done is None:
                    raise AssertionError(f"{n_under_way} jobs did not end within {self._deadline_s:g} s")
                n_under_way -= 1
                ended.append(done)
        return ended

    @contextlib.contextmanager
    def _open(self, n_workers: int) -> Iterator[Executor]:
        """An executor whose processes are gone afterwards."""
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        executor = self._kind(self._make_worker, n_workers)
        try:
            yield executor
        finally:
            executor.close()
        children = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
        _, alive = psutil.wait_procs(children, timeout=LEAVE_S)
        if left := [child.pid for child in alive if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]:
            raise AssertionError(f"close() left processes behind: {left}")

    def _expect_once(self, expect: Expect, ended: Sequence[Done], episodes: Sequence[Episode] = ()) -> None:
        count = Counter(done.job.episode.id for done in ended)
        wanted = Counter(episode.id for episode in episodes or self._episodes)
        expect(count == wanted, f"{(wanted - count).total()} jobs did not end, {(count - wanted).total()} ended twice")


def _results(ended: Sequence[Done]) -> dict[str, tuple[Any, ...]]:
    return {
        done.job.episode.id: (done.result.outcome, done.result.n_steps, done.result.final_digest)
        for done in ended
        if done.result is not None
    }


def _errors(ended: Sequence[Done]) -> str:
    return "; ".join(str(done.error) for done in ended if done.error) or "no errors"
