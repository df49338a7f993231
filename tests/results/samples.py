"""Suites, plans and results made up for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vla_bench.results.runs import RunSpec
from vla_bench.results.stats.suites import TaskCounts
from vla_bench.spec.conventions import ActionConvention
from vla_bench.spec.episode import Episode, Plan, make_plan
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, EpisodeResult, Fingerprint, Latencies, StageResult, Trace
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import ActionBounds, Protocol, Suite, Task

MACHINE = Fingerprint(cpu="x86_64 Test", os="Linux 6", python="3.11.7", packages={"toy": "1"}, renderer={})


def suite(n_tasks: int = 3, n_trials: int = 2, **changes: Any) -> Suite:
    """Tasks `t0`, `t1`, …; odd ones are `hard`."""
    tasks = tuple(
        Task(id=f"t{i}", instruction=f"do {i}", horizon=100, tags={"difficulty": "hard" if i % 2 else "easy"})
        for i in range(n_tasks)
    )
    protocol = Protocol(name="standard", version=1, n_trials=n_trials, base_seed=10, action_bounds=ActionBounds.CLIP)
    made = Suite(
        name="made_up", family="made_up", title="Made up", protocol=protocol, tasks=tasks, cameras=(), state={"q": 4},
        action=ActionConvention(name="made_up", size=4), group_by=("difficulty",),
    )  # fmt: skip
    return replace(made, **changes)


def spec(name: str = "a-run", of: Suite | None = None, **changes: Any) -> RunSpec:
    of = of or suite()
    made = RunSpec(
        name=name,
        suite=of,
        plan=make_plan(of),
        settings=EvalSettings(),
        policy=PolicyInfo(name="lamp"),
        command="run x",
    )
    return replace(made, **changes)


def trace(seed: int = 0, n_steps: int = 16, latency_ms: Sequence[float] = (10.0, 20.0)) -> Trace:
    rng = np.random.default_rng(seed)
    n = len(latency_ms)
    return Trace(
        actions=rng.normal(size=(n_steps, 4)).astype(np.float32),
        query_steps=np.arange(n, dtype=np.int32) * 8,
        digests=tuple(f"{seed:016x}{i:016x}" for i in range(n + 1)),
        latency_ms=np.array(latency_ms, dtype=np.float32),
        server_ms=np.array(latency_ms, dtype=np.float32) / 2,
    )


def attempt(
    outcome: Outcome | str = Outcome.SUCCESS, number: int = 0, *, seed: int = 0, **changes: Any
) -> AttemptResult:
    outcome = Outcome(outcome)
    made = AttemptResult(
        attempt=number,
        outcome=outcome,
        error_kind="" if outcome.is_judged else "policy_timeout",
        error_message="" if outcome.is_judged else "no answer within 30 s",
        n_steps=16,
        stages=(StageResult(index=0, success=outcome is Outcome.SUCCESS, n_steps=16, start_digest="ab"),),
        facts={"rand_vec": [0.1, 0.2]},
        initial_digest="ab" * 16,
        final_digest=f"{seed:032x}",
        latencies=Latencies(
            wall_ms=100.0,
            policy_ms=30.0,
            env_ms=65.0,
            n_queries=2,
            policy_p50_ms=15.0,
            policy_p95_ms=19.5,
            policy_max_ms=20.0,
        ),
        fingerprint=MACHINE,
        trace=trace(seed),
        started_at=f"2030-01-01T00:00:{number:02d}+00:00",
    )
    return replace(made, **changes)


def result(
    episode: Episode, outcome: Outcome | str = Outcome.SUCCESS, number: int = 0, **changes: Any
) -> EpisodeResult:
    return EpisodeResult(episode=episode, attempts=(attempt(outcome, number, **changes),))


def results(plan: Plan, outcomes: Iterable[Outcome | str]) -> list[EpisodeResult]:
    """One attempt for each of the first episodes of a plan."""
    return [result(episode, outcome, seed=i) for i, (episode, outcome) in enumerate(zip(plan.episodes, outcomes))]  # noqa: B905


def counts(successes: Sequence[int], trials: int | Sequence[int]) -> list[TaskCounts]:
    """One `TaskCounts` a task, every state rolled out once."""
    numbers = [trials] * len(successes) if isinstance(trials, int) else trials
    return [
        TaskCounts(task=f"t{i}", states=((1, 1),) * k + ((0, 1),) * (n - k))
        for i, (k, n) in enumerate(zip(successes, numbers, strict=True))
    ]
