"""One bad day: a real run in which something goes wrong, and everything that was seen of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from vla_bench.harness.config import RunConfig
from vla_bench.harness.events import Listener, RunStarted, ServerWait
from vla_bench.harness.execute import execute_run
from vla_bench.policies.base import Deadlines
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.results.runs import RunSummary, StoredAttempt
from vla_bench.results.store import Store
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.errors import VlaBenchError
from vla_bench.spec.outcomes import ExitCode
from vla_bench.spec.result import AttemptResult

RECORD = "VLA_BENCH_BAD_DAYS"
"""Environment variable: file to which what was measured is appended, one JSON object a line."""
SUITE = "toy_reach_faults"
FAULTS = "VLA_BENCH_TOY_FAULTS"
SHORT = Deadlines(connect_s=15.0, first_act_s=1.0, act_s=1.0)
"""A child server may take `connect_s` to start; answers have a second."""
QUICK = Deadlines(connect_s=1.0, first_act_s=1.0, act_s=1.0)
"""For servers that run already."""
FAULTY = f"{Path(__file__).parents[1] / 'policies' / 'faulty_policies.py'}:FaultyPolicy"


class Watcher(Listener):
    """Writes down what happens."""

    def __init__(self) -> None:
        self.started: RunStarted | None = None
        self.attempts: list[tuple[Episode, AttemptResult]] = []
        self.waits: list[ServerWait] = []
        self.n_back = 0
        self.stopped: VlaBenchError | None = None

    def run_started(self, started: RunStarted) -> None:
        self.started = started

    def attempt_finished(self, episode: Episode, attempt: AttemptResult, *, is_final: bool) -> None:
        self.attempts.append((episode, attempt))

    def waiting_for_server(self, wait: ServerWait) -> None:
        self.waits.append(wait)

    def server_back(self) -> None:
        self.n_back += 1

    def run_stopped(self, error: VlaBenchError) -> None:
        self.stopped = error


@dataclass(kw_only=True)
class Day:
    """What was seen of a run.

    Attributes:
        summary: its result, None where it raised.
        error: what it raised.
        seen: what its listener heard.
        took_s: wall time.
    """

    summary: RunSummary | None = None
    error: VlaBenchError | None = None
    seen: Watcher = field(default_factory=Watcher)
    took_s: float = 0.0

    @property
    def exit_code(self) -> int:
        """What the command line ends with."""
        if self.error is not None:
            return int(self.error.exit_code)
        assert self.summary is not None
        return int(ExitCode.OK if self.summary.is_complete else ExitCode.INCOMPLETE)

    @property
    def score(self) -> str:
        """The score line."""
        assert self.summary is not None, self.error
        return self.summary.score_line

    @property
    def lost(self) -> list[AttemptResult]:
        """Lost attempts, in the order in which they ended."""
        return [attempt for _, attempt in self.seen.attempts if not attempt.outcome.is_judged]

    @property
    def kinds(self) -> list[str]:
        """Their error kinds."""
        return [attempt.error_kind for attempt in self.lost]

    @property
    def noticed_s(self) -> float:
        """How long the first lost attempt lasted, more than the fault took to be noticed; else the whole run."""
        return self.lost[0].latencies.wall_ms / 1e3 if self.lost else self.took_s


def run_day(policy: Any = "expert", **changes: Any) -> Day:
    """Run three episodes of one task, two at a time, each tried at most twice, but for `changes` of the `RunConfig`."""
    given: dict[str, Any] = {
        "policy": policy,
        "suite": SUITE,
        "tasks": ("reach_red",),
        "trials": 3,
        "workers": 2,
        "name": "day",
        "max_attempts": 2,
        "deadlines": SHORT,
        "server_wait_s": 1.0,
        **changes,
    }
    day, begin = Day(), monotonic()
    try:
        day.summary = execute_run(RunConfig(**given), listener=day.seen)
    except VlaBenchError as error:
        day.error = error
    day.took_s = monotonic() - begin
    return day


def plain_day(noise: float = 0.0, **changes: Any) -> Day:
    """A day in this very process, with no server and no worker: where what goes wrong lies elsewhere."""
    return run_day(ExpertPolicy(noise=noise), **{"executor": "inline", **changes})


def faulty(fault: str, **options: Any) -> dict[str, Any]:
    """The policy that misbehaves on order, as arguments of `run_day`; equal to the expert in all else."""
    return {"policy": FAULTY, "policy_options": {"fault": fault, "base": "expert", **options}}


def env_faults(**faults: Mapping[str, Any]) -> str:
    """The toy suite's switchboard: `reach_red_1={...}` is for trial 1."""
    return json.dumps({":".join(where.rsplit("_", 1)): fault for where, fault in faults.items()})


def episode_of(trial: int, task: str = "reach_red", protocol: str = "") -> Episode:
    """The planned episode of a trial."""
    from vla_bench.envs.registry import find_suite

    return make_plan(find_suite(SUITE, protocol), tasks=[task], n_trials=trial + 1).episodes[trial]


def stored(episode: Episode, name: str = "day", db: str = "") -> list[StoredAttempt]:
    """All attempts at an episode, from the database."""
    with closing(Store.open(db)) as store:
        return store.attempts_of(name, episode.id)


def record(group: str, what: str, **measured: Any) -> None:
    """Append a row of the table in the docs, where the table is being made."""
    if path := os.environ.get(RECORD):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"group": group, "what": what, **measured}) + "\n")


def record_day(group: str, what: str, day: Day, then: Day | None = None, said: str = "") -> None:
    """Append the row of a day.

    Args:
        group: heading in the table.
        what: went wrong.
        day: the run in which it did.
        then: the same command again.
        said: the kind, where no attempt was lost.
    """
    error = day.error or day.seen.stopped
    kinds = dict.fromkeys([*day.kinds[:1], *([error.kind] if error else [])])
    record(
        group,
        what,
        kind=", ".join(kinds) or said,
        noticed_s=day.noticed_s if kinds else None,
        score=day.summary.score_line if day.summary else "none",
        exit_code=day.exit_code,
        then=then.summary.score_line if then and then.summary else "",
    )
