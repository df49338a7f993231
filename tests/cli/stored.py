"""Runs that nobody ran: outcomes put into the database of a test's home, for the commands that read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.results import samples
from vla_bench.results.store import Store
from vla_bench.spec.episode import make_plan
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import EpisodeResult, StageResult
from vla_bench.spec.suite import Suite

__all__ = ["chains", "pattern", "store_chains", "store_run", "suite"]


def suite(n_tasks: int = 5, n_trials: int = 20, **changes: object) -> Suite:
    return samples.suite(n_tasks, n_trials, **changes)


def chains(n_chains: int) -> Suite:
    """One-trial tasks of five stages, as CALVIN has them."""
    made = samples.suite(n_chains, 1, group_by=())
    tasks = tuple(replace(task, stages=tuple(f"do {i}" for i in range(5))) for task in made.tasks)
    return replace(made, name="made_up_chains", tasks=tasks)


def store_run(
    home: Path,
    name: str,
    successes: Sequence[bool | None],
    of: Suite | None = None,
    *,
    repeats: int = 1,
    trials: int | None = None,
    latency_ms: Sequence[float] = (10.0, 20.0),
    policy: str = "",
) -> None:
    """Store a run whose episodes ended like this, in plan order; None is lost, and what is not given was not run."""
    of = of or suite()
    plan = make_plan(of, repeats=repeats, n_trials=trials)
    spec = samples.spec(name, of, plan=plan, policy=PolicyInfo(name=policy or f"{name}-policy"))
    results = []
    for at, (episode, success) in enumerate(zip(plan.episodes, successes, strict=False)):
        outcome = Outcome.POLICY_ERROR if success is None else Outcome.SUCCESS if success else Outcome.FAILURE
        attempt = samples.attempt(outcome, seed=at + 1000 * (success is False))
        trace = samples.trace(at + 1000 * (success is False), latency_ms=latency_ms)
        results.append(EpisodeResult(episode=episode, attempts=(replace(attempt, trace=trace),)))
    with Store.open(home / "results.db") as store:
        store.begin_run(spec)
        store.add(name, results)
        store.finish(name)


def store_chains(home: Path, name: str, lengths: Sequence[int]) -> None:
    """Store a run of chains of these lengths."""
    of = chains(len(lengths))
    plan = make_plan(of)
    spec = samples.spec(name, of, plan=plan, policy=PolicyInfo(name=f"{name}-policy"))
    results = []
    for episode, length in zip(plan.episodes, lengths, strict=True):
        n_ended = min(5, length + 1)
        stages = tuple(StageResult(index=i, success=i < length, n_steps=10) for i in range(n_ended))
        outcome = Outcome.SUCCESS if length == 5 else Outcome.FAILURE
        attempt = replace(samples.attempt(outcome, seed=length), stages=stages)
        results.append(EpisodeResult(episode=episode, attempts=(attempt,)))
    with Store.open(home / "results.db") as store:
        store.begin_run(spec)
        store.add(name, results)
        store.finish(name)


def pattern(n: int, n_failures: int, seed: int = 0) -> list[bool]:
    """`n` outcomes of which `n_failures`, somewhere, are failures."""
    outcomes = np.ones(n, bool)
    outcomes[np.random.default_rng(seed).choice(n, n_failures, replace=False)] = False
    return outcomes.tolist()
