"""Runs made up for boards: outcomes as wanted, without traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sqlalchemy as sa

from tests.results import samples
from vla_bench.results.leaderboard.people import ACCOUNT, CHALLENGE, REPLAY, SUBMISSION
from vla_bench.results.rows import now
from vla_bench.results.store import Store
from vla_bench.results.tables import EPISODE
from vla_bench.server.boards.enter import Entry, enter_run
from vla_bench.spec.episode import make_plan
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.result import EpisodeResult, Fingerprint, StageResult
from vla_bench.spec.suite import Suite, Task

GPU = replace(samples.MACHINE, renderer={"name": "egl-gpu", "vendor": "NVIDIA", "renderer": "H200", "version": "1"})
SLUG = "made_up/standard-1/gpu/original"


def chains(n: int = 60, n_stages: int = 5) -> Suite:
    """A suite of chains of five subtasks, one trial each."""
    tasks = tuple(
        Task(id=f"chain-{i}", instruction="s0", horizon=100, stages=tuple(f"s{k}" for k in range(n_stages)))
        for i in range(n)
    )
    return replace(samples.suite(1, 1), name="made_up_chains", tasks=tasks, group_by=())


def store_run(
    store: Store,
    name: str,
    outcomes: Sequence[bool | int],
    *,
    of: Suite | None = None,
    machine: Fingerprint = GPU,
    policy: PolicyInfo | None = None,
    **changes: Any,
) -> None:
    """A finished run whose first episodes ended as told: True and False, or the number of subtasks done."""
    suite = of or samples.suite(3, 10)
    spec = samples.spec(name, suite, policy=policy or PolicyInfo(name=name), **changes)
    store.begin_run(spec)
    n_stages = suite.tasks[0].n_stages
    results = []
    for episode, outcome in zip(spec.plan.episodes, outcomes, strict=False):
        done = int(outcome) if n_stages > 1 else int(bool(outcome))
        made = samples.attempt(
            "success" if done == n_stages else "failure",
            trace=None,
            fingerprint=machine,
            stages=tuple(StageResult(index=i, success=i < done, n_steps=8) for i in range(min(done + 1, n_stages))),
        )
        results.append(EpisodeResult(episode=episode, attempts=(made,)))
    store.add(spec.name, results)
    store.finish(spec.name)


def enter(store: Store, name: str, **options: Any) -> Entry:
    """The run comes onto its board, in a transaction of its own."""
    with store.database.write() as connection:
        return enter_run(connection, name, **options)


def fill(store: Store, rates: Sequence[float], *, seed: int = 0, of: Suite | None = None) -> dict[str, np.ndarray]:
    """Runs `p0`, `p1`, … of these success rates on one plan, on their board. Returns the outcomes."""
    rng = np.random.default_rng(seed)
    suite = of or samples.suite(3, 10)
    n = len(make_plan(suite).episodes)
    found = {f"p{i}": rng.random(n) < rate for i, rate in enumerate(rates)}
    for name, outcomes in found.items():
        store_run(store, name, outcomes.tolist(), of=suite)
        enter(store, name)
    return found


def submit(store: Store, name: str, *, submission: str = "s1", sealed_at: str = "2030-01-01T00:00:00+00:00") -> Entry:
    """The run comes onto its board by a submission."""
    with store.database.write() as connection:
        run = connection.execute(sa.text("SELECT * FROM run WHERE name = :name"), {"name": name}).mappings().one()
        account = connection.execute(
            sa.insert(ACCOUNT).values(name=f"owner-{submission}", role="submitter", created_at=now())
        ).inserted_primary_key[0]
        values = {
            "id": submission, "account_id": account, "state": "checking", "reason": "", "run_name": name,
            "run_id": run["id"], "policy_digest": run["policy_digest"], "plan_hash": run["plan_hash"],
            "eval_hash": run["eval_hash"], "bundle_digest": "b", "bundle_size": 1, "declaration": {},
            "created_at": sealed_at, "sealed_at": sealed_at, "updated_at": sealed_at,
        }  # fmt: skip
        connection.execute(sa.insert(SUBMISSION).values(values))
        return enter_run(connection, name, submission_id=submission)


def replay(store: Store, run_id: int, states: Sequence[str], *, submission: str = "s1") -> None:
    """Replays of the run's first episodes, in these states."""
    with store.database.write() as connection:
        ids = connection.scalars(
            sa.select(EPISODE.c.episode_id).where(EPISODE.c.run_id == run_id).order_by(EPISODE.c.position)
        ).all()
        connection.execute(sa.delete(REPLAY))
        rows = [
            {
                "submission_id": submission, "run_id": run_id, "episode_id": episode_id, "draw": 0, "state": state,
                "attempt": 1, "worker": "w", "fingerprint": "", "agreement": "bit", "detail": "",
                "reported_at": "2030-02-01T00:00:00+00:00",
            }
            for episode_id, state in zip(ids, states, strict=False)
        ]  # fmt: skip
        connection.execute(sa.insert(REPLAY), rows)


def challenge(store: Store, run: str, *, issued_at: str, submission: str = "s1") -> None:
    """A closed challenge that was answered by this run."""
    with store.database.write() as connection:
        found = connection.execute(sa.text("SELECT * FROM run WHERE name = :name"), {"name": run}).mappings().one()
        values = {
            "submission_id": submission, "policy_digest": found["policy_digest"], "image_digest": "sha256:1",
            "plan_hash": found["plan_hash"], "seed": 7, "issued_by": "m", "issued_at": issued_at,
            "run_id": found["id"], "closed_at": "2030-03-01T00:00:00+00:00",
        }  # fmt: skip
        connection.execute(sa.insert(CHALLENGE).values(values))
