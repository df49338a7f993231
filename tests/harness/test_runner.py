"""The runner's decisions, with an executor that plays a script."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from vla_bench.harness.events import Listener, ServerWait
from vla_bench.harness.executors.base import Done, Job
from vla_bench.harness.runner import Runner, RunRules
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import (
    EnvCrashed,
    EnvStartFailed,
    PolicyChanged,
    PolicyTimeout,
    ServerUnreachable,
    SuiteNotInstalled,
    VlaBenchError,
)
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult

Play = Callable[[Job], VlaBenchError | None]


class Script:
    """An executor whose jobs end as `play` says; `not_begun` errors leave no attempt behind."""

    isolation = "inline"

    def __init__(self, play: Play, n_workers: int = 1, not_begun: tuple[type, ...] = ()) -> None:
        self.play, self.n_workers, self.not_begun = play, n_workers, not_begun
        self.jobs: list[Job] = []
        self.done: deque[Done] = deque()

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        error = self.play(job)
        if isinstance(error, self.not_begun):
            self.done.append(Done(job=job, error=error))
            return
        outcome = error.outcome if error else Outcome.SUCCESS
        kind = error.kind if error else ""
        result = AttemptResult(attempt=job.attempt, outcome=outcome, error_kind=kind)
        self.done.append(Done(job=job, result=result, error=error))

    def wait(self, timeout_s: float) -> Done | None:
        return self.done.popleft() if self.done else None

    def close(self) -> None:
        pass


class Line:
    """A policy line that answers as told."""

    route = ""

    def __init__(self, is_ours: bool = False, answers: bool = True, comes_back: bool = True) -> None:
        self.is_ours, self.answers, self.comes_back = is_ours, answers, comes_back
        self.n_revived = 0

    def of(self, episode: Episode) -> Line:
        return self

    def is_answering(self) -> bool:
        return self.answers

    def revive(self, wait_s: float) -> None:
        self.n_revived += 1
        if not self.comes_back:
            raise ServerUnreachable("it stays away")


class Writer:
    """Keeps what would be stored."""

    def __init__(self) -> None:
        self.stored: list[tuple[int, int, str]] = []

    def add(self, episode: Episode, attempt: AttemptResult) -> None:
        self.stored.append((episode.trial, attempt.attempt, str(attempt.outcome)))

    def check(self) -> None:
        pass


class Waits(Listener):
    """Keeps the waits."""

    def __init__(self) -> None:
        self.waits: list[ServerWait] = []

    def waiting_for_server(self, wait: ServerWait) -> None:
        self.waits.append(wait)


def jobs(count: int, attempt: int = 0) -> list[Job]:
    return [
        Job(
            episode=Episode(suite="s", protocol="p/1", task="t", trial=trial, env_seed=trial, policy_seed=0),
            attempt=attempt,
        )
        for trial in range(count)
    ]


def run(script: Script, work: list[Job], line: Line | None = None, **rules: Any) -> tuple[Any, Writer, Waits]:
    writer, listener = Writer(), Waits()
    runner = Runner(
        executor=script, line=line or Line(), writer=writer, rules=RunRules(**rules), listener=listener  # type: ignore[arg-type]
    )  # fmt: skip
    return runner.run(work), writer, listener


def fail_first(error: VlaBenchError, count: int = 1) -> Play:
    left = count

    def play(job: Job) -> VlaBenchError | None:
        nonlocal left
        left -= 1
        return error if left >= 0 else None

    return play


def test_a_lost_attempt_is_made_again_at_the_end_on_a_fresh_worker() -> None:
    script = Script(fail_first(EnvCrashed("gone")))
    stopped, writer, _ = run(script, jobs(3))
    assert stopped is None
    assert writer.stored == [(0, 0, "env_error"), (1, 0, "success"), (2, 0, "success"), (0, 1, "success")]
    assert [job.wants_fresh_worker for job in script.jobs] == [False, False, False, True]


def test_attempts_of_earlier_commands_count_on_and_do_not_use_up_the_limit() -> None:
    _, writer, _ = run(Script(fail_first(EnvCrashed("gone"), 1)), jobs(1, attempt=4), max_attempts=2)
    assert writer.stored == [(0, 4, "env_error"), (0, 5, "success")]


def test_an_attempt_that_did_not_begin_is_not_stored_and_keeps_its_number() -> None:
    script = Script(fail_first(ServerUnreachable("refused"), 2), not_begun=(ServerUnreachable,))
    line = Line(answers=False)
    stopped, writer, heard = run(script, jobs(2), line)
    assert stopped is None
    assert writer.stored == [(0, 0, "success"), (1, 0, "success")]
    assert line.n_revived == len(heard.waits) == 2


def test_a_server_that_answers_is_not_revived() -> None:
    line = Line(answers=True)
    _, writer, heard = run(Script(fail_first(ServerUnreachable("broken"))), jobs(1), line)
    assert line.n_revived == 0
    assert heard.waits == []
    assert writer.stored == [(0, 0, "policy_error"), (0, 1, "success")]


def test_a_server_that_stays_away_stops_the_run_with_its_own_reason() -> None:
    script = Script(fail_first(ServerUnreachable("broken"), 99))
    stopped, writer, _ = run(script, jobs(5), Line(answers=False, comes_back=False))
    assert str(stopped) == "it stays away"
    assert writer.stored == [(0, 0, "policy_error")]


def test_of_two_workers_that_timed_out_on_one_hang_only_the_first_restarts_our_server() -> None:
    line = Line(is_ours=True)
    _, writer, heard = run(Script(fail_first(PolicyTimeout("silent"), 2), n_workers=2), jobs(2), line)
    assert line.n_revived == len(heard.waits) == 1
    assert [outcome for _, _, outcome in writer.stored] == ["policy_error", "policy_error", "success", "success"]


def test_a_timeout_of_a_server_that_is_not_ours_is_only_asked_after() -> None:
    line = Line(is_ours=False)
    run(Script(fail_first(PolicyTimeout("silent"))), jobs(1), line)
    assert line.n_revived == 0


def test_another_policy_stops_the_run_at_once() -> None:
    stopped, writer, _ = run(Script(fail_first(PolicyChanged("another")), not_begun=(PolicyChanged,)), jobs(5))
    assert isinstance(stopped, PolicyChanged)
    assert writer.stored == []


def test_a_simulator_that_cannot_be_opened_here_is_a_usage_error() -> None:
    script = Script(fail_first(SuiteNotInstalled("type this")), not_begun=(SuiteNotInstalled,))
    with pytest.raises(SuiteNotInstalled, match="type this"):
        run(script, jobs(5))


@pytest.mark.parametrize(("n_workers", "limit"), [(1, 3), (2, 6)])
def test_where_nothing_works_the_run_stops_instead_of_burning_the_plan(n_workers: int, limit: int) -> None:
    script = Script(fail_first(EnvStartFailed("no"), 999), n_workers=n_workers)
    stopped, writer, _ = run(script, jobs(50), max_restarts=2)
    assert isinstance(stopped, EnvStartFailed)
    assert limit < len(writer.stored) <= limit + n_workers


def test_one_judged_episode_in_between_starts_the_count_anew() -> None:
    n = 0

    def play(job: Job) -> VlaBenchError | None:
        nonlocal n
        n += 1
        return None if n % 4 == 0 else EnvStartFailed("no")

    stopped, writer, _ = run(Script(play), jobs(8), max_restarts=2, max_attempts=2)
    assert stopped is None
    assert {trial for trial, _, _ in writer.stored} == set(range(8))


def test_what_had_ended_is_kept_when_the_run_is_interrupted() -> None:
    class Interrupted(Script):
        def wait(self, timeout_s: float) -> Done | None:
            if timeout_s > 0:
                raise KeyboardInterrupt
            return super().wait(timeout_s)

    writer = Writer()
    runner = Runner(
        executor=Interrupted(lambda job: None, n_workers=3), line=Line(), writer=writer,  # type: ignore[arg-type]
        rules=RunRules(), listener=Listener(),
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        runner.run(jobs(5))
    assert len(writer.stored) == 3
