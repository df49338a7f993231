"""The conformance kit for executors: ours pass, broken ones are told what is wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vla_bench.harness.executors.base import Done, Job
from vla_bench.harness.executors.inline import InlineExecutor
from vla_bench.harness.executors.local import LocalExecutor
from vla_bench.spec.errors import UnknownExecutor
from vla_bench.testing import ConformanceError, check_executor


def test_local_passes() -> None:
    rules = check_executor("local", n_trials=1)
    assert "a simulator that dies loses its attempt and no other" in rules
    assert len(rules) == 6


def test_inline_passes() -> None:
    assert len(check_executor("inline", n_trials=1)) == 5


def test_an_unknown_name_is_not_checked() -> None:
    with pytest.raises(UnknownExecutor):
        check_executor("remote")


class Forgetful(InlineExecutor):
    """Never hands out its third job."""

    def wait(self, timeout_s: float) -> Done | None:
        done = super().wait(timeout_s)
        return None if done and done.job.episode.task == "reach_in_order" else done


class Repeating(LocalExecutor):
    """Runs everything in the same two episodes' order, and the first job twice."""

    def wait(self, timeout_s: float) -> Done | None:
        done = super().wait(timeout_s)
        self._first = getattr(self, "_first", done)
        return self._first


class Renumbering(InlineExecutor):
    """Starts counting attempts anew."""

    def submit(self, job: Job) -> None:
        super().submit(Job(episode=job.episode))


class Littering(InlineExecutor):
    """Leaves a process behind."""

    left: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        super().close()
        self.left.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Forgetful, "every job ends exactly once, judged: 1 jobs did not end"),
        (Repeating, "every job ends exactly once, judged: 4 jobs did not end, 4 ended twice"),
        (Renumbering, r"a job keeps its attempt number: attempt 4 became \[0\]"),
    ],
)
def test_a_broken_executor_is_told_which_rule_it_breaks(broken: type, told: str) -> None:
    with pytest.raises(ConformanceError, match=told):
        check_executor(broken, n_trials=1, deadline_s=1.0 if broken is Forgetful else 30.0)


def test_an_executor_that_leaves_processes_behind_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vla_bench.testing.executor.LEAVE_S", 0.1)
    try:
        with pytest.raises(ConformanceError, match=r"close\(\) left processes behind: \[\d+\]"):
            check_executor(Littering, n_trials=1)
    finally:
        for process in Littering.left:
            process.kill()
            process.wait()
