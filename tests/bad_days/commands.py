"""The command line in a process of its own, which a test interrupts, kills or starves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.bad_days.days import FAULTY, SUITE
from vla_bench.results.store import Store
from vla_bench.spec.errors import StoreError, UnknownRun, UsageError

PROGRAM = str(Path(sys.executable).parent / "vla-bench")
PACE = ("-o", "fault=slow", "-o", "seconds=0.05", "-o", "base=expert")
"""A policy that takes its time, so that a run lasts long enough to be stopped in its middle."""


class Command:
    """A `vla-bench run` that goes on meanwhile; use it in a `with` statement."""

    def __init__(
        self, *more: str, policy: str = "", trials: int = 12, preexec: Callable[[], None] | None = None
    ) -> None:
        self.name = "day"

        def before() -> None:
            # Tests that run in the background of a shell have Ctrl-C ignored, and their children too.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if preexec is not None:
                preexec()

        self._process = subprocess.Popen(
            [
                PROGRAM, "run", "--policy", *([policy] if policy else [FAULTY, *PACE]), "--suite", SUITE,
                "--task", "reach_red", "--trials", str(trials), "--workers", "2", "--name", self.name, *more,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.endswith("COLOR")},
            preexec_fn=before,
        )  # fmt: skip
        self.pid = self._process.pid

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.kill()
        self._process.communicate()

    def wait_until_judged(self, count: int, timeout_s: float = 60.0) -> None:
        """Return when so many episodes are judged in the database."""
        give_up_at = time.monotonic() + timeout_s
        while n_judged(self.name) < count:
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < give_up_at, "the run does not get on"
            time.sleep(0.05)

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def finish(self, timeout_s: float = 90.0) -> tuple[int, str, str]:
        """Wait for its end: exit code, stdout, stderr."""
        out, err = self._process.communicate(timeout=timeout_s)
        return self._process.returncode, out, err


def n_judged(name: str = "day") -> int:
    """Judged episodes of a run; 0 where there is none yet."""
    with contextlib.suppress(UnknownRun, UsageError, StoreError), closing(Store.open(read_only=True)) as store:
        return sum(outcome.is_judged for outcome in store.outcomes(name).values())
    return 0


def attempts_per_episode(name: str = "day") -> list[int]:
    """How often each episode was tried, sorted."""
    with closing(Store.open(read_only=True)) as store:
        return sorted(len(store.attempts_of(name, episode)) for episode in store.outcomes(name))
