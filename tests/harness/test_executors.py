"""Executors alone, with workers that do nothing much."""

from __future__ import annotations

import threading
import time

import pytest

from vla_bench.harness.executors import Done, Executor, Job, executor_class
from vla_bench.harness.executors.base import _quota_cores, default_workers
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import UnknownExecutor
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult


class Worker:
    """Answers at once, or blocks until it is aborted."""

    def __init__(self, log: list[str], blocks: bool = False) -> None:
        self.log, self.blocks = log, blocks
        self.freed = threading.Event()

    def run(self, job: Job) -> Done:
        if self.blocks:
            self.freed.wait(30)
        return Done(job=job, result=AttemptResult(attempt=job.attempt, outcome=Outcome.SUCCESS))

    def abort(self) -> None:
        self.log.append("aborted")
        self.freed.set()

    def close(self) -> None:
        self.log.append("closed")


def jobs(count: int) -> list[Job]:
    return [
        Job(episode=Episode(suite="s", protocol="p/1", task="t", trial=i, env_seed=i, policy_seed=i))
        for i in range(count)
    ]


def run_all(executor: Executor, work: list[Job]) -> list[Job]:
    ended, waiting, n_under_way = [], list(work), 0
    while waiting or n_under_way:
        while waiting and n_under_way < executor.n_workers:
            n_under_way += 1
            executor.submit(waiting.pop())
        done = executor.wait(10.0)
        assert done is not None
        n_under_way -= 1
        ended.append(done.job)
    return ended


@pytest.mark.parametrize("name", ["inline", "local"])
@pytest.mark.parametrize("n_workers", [1, 3])
def test_every_job_ends_exactly_once_and_workers_are_closed(name: str, n_workers: int) -> None:
    log: list[str] = []
    executor = executor_class(name)(lambda: Worker(log), n_workers)
    work = jobs(7)
    ended = run_all(executor, work)
    assert sorted(job.episode.id for job in ended) == sorted(job.episode.id for job in work)
    executor.close()
    executor.close()
    assert set(log) == {"closed"}


def test_local_starts_no_more_workers_than_there_are_jobs() -> None:
    log: list[str] = []
    executor = executor_class("local")(lambda: Worker(log), 8)
    run_all(executor, jobs(2))
    executor.close()
    assert 1 <= log.count("closed") <= 2


def test_local_reuses_an_idle_worker() -> None:
    log: list[str] = []
    executor = executor_class("local")(lambda: Worker(log), 8)
    for job in jobs(4):
        run_all(executor, [job])
    executor.close()
    assert log.count("closed") == 1


def test_closing_local_aborts_busy_workers_and_ends_their_threads() -> None:
    log: list[str] = []
    before = threading.active_count()
    executor = executor_class("local")(lambda: Worker(log, blocks=True), 3)
    for job in jobs(3):
        executor.submit(job)
    begin = time.monotonic()
    executor.close()
    assert time.monotonic() - begin < 5
    assert log.count("aborted") == log.count("closed") == 3
    assert threading.active_count() == before


def test_nothing_has_ended_while_nothing_runs() -> None:
    for name in ("inline", "local"):
        executor = executor_class(name)(lambda: Worker([]), 1)
        assert executor.wait(0.0) is None
        executor.close()


def test_an_unknown_executor_is_named_with_its_near_match() -> None:
    with pytest.raises(UnknownExecutor, match=r"locall.*Did you mean 'local'"):
        executor_class("locall")


def test_executors_are_found_whatever_the_spelling() -> None:
    assert executor_class("LOCAL") is executor_class("local")


@pytest.mark.parametrize(("text", "cores"), [("200000 100000", 2), ("max 100000", 16), ("50000 100000", 1), ("", 16)])
def test_a_containers_quota_limits_the_default_number_of_workers(tmp_path, text: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert _quota_cores(tmp_path / "cpu.max") == cores


def test_the_default_number_of_workers_is_at_least_one() -> None:
    assert 1 <= default_workers() <= 16
