"""A stored run to tamper with, and the tools of a forger: rows, traces, and both in agreement."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import vla_bench
from vla_bench.harness.replay import Agreement, Verification, verify_run
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.results.store import Store
from vla_bench.results.traces import TraceFolder
from vla_bench.spec.result import Trace

NAME = "noisy"


def make_run(folder: Path, name: str = NAME, *, noise: float = 0.9, trials: int = 2, **options: Any) -> Path:
    """Run a shaky expert on `toy_reach`: some succeed, some fail; return the database."""
    db = folder / "results.db"
    policy = ExpertPolicy(noise=noise)
    given = {"trials": trials, "executor": "inline", **options}
    vla_bench.evaluate(policy, given.pop("suite", "toy_reach"), name=name, db=str(db), **given)
    return db


@dataclass(frozen=True)
class Forger:
    """Changes a copy of a stored run. Everything that is not named stays in agreement."""

    db: Path

    @classmethod
    def of(cls, original: Path, folder: Path) -> Forger:
        """A copy in `folder`."""
        shutil.copytree(original.parent, folder, dirs_exist_ok=True)
        return cls(folder / original.name)

    @property
    def traces(self) -> TraceFolder:
        return TraceFolder(self.db.with_name("results-traces"))

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as any SQLite tool would: foreign keys are not looked at."""
        with closing(sqlite3.connect(self.db)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def episodes(self, outcome: str = "") -> list[str]:
        """Ids of the episodes of that outcome, in plan order."""
        found = self.sql("SELECT episode_id, outcome FROM episode ORDER BY position")
        return [episode for episode, its in found if outcome in ("", its)]

    def trace_of(self, episode: str) -> Trace:
        ((digest,),) = self.sql("SELECT trace_digest FROM attempt WHERE episode_id = ?", episode)
        return self.traces.read(digest)

    def trace_path(self, episode: str) -> Path:
        ((digest,),) = self.sql("SELECT trace_digest FROM attempt WHERE episode_id = ?", episode)
        return self.traces.path / digest[:2] / f"{digest}.trace.zst"

    def retrace(self, episode: str, change: Callable[[Trace], Trace], **columns: Any) -> None:
        """Put a changed trace in place of an episode's, with a digest that fits, and bring the rows into line."""
        trace = change(self.trace_of(episode))
        columns = {
            "trace_digest": self.traces.write(trace),
            "n_steps": len(trace.actions),
            "initial_digest": trace.digests[0],
            "final_digest": trace.digests[-1],
            **columns,
        }
        for name, value in columns.items():
            self.sql(f"UPDATE attempt SET {name} = ? WHERE episode_id = ?", value, episode)
        self.sql("UPDATE episode SET n_steps = ? WHERE episode_id = ?", columns["n_steps"], episode)

    def judge(self, episode: str, outcome: str) -> None:
        """Write another outcome everywhere, and drop the summary, which is then computed anew."""
        self.sql("UPDATE episode SET outcome = ? WHERE episode_id = ?", outcome, episode)
        self.sql("UPDATE attempt SET outcome = ? WHERE episode_id = ?", outcome, episode)
        self.sql("DELETE FROM aggregate")

    def open(self) -> Store:
        return Store.open(self.db, read_only=True)


def moved(trace: Trace, step: int = 3, by: float = 0.01) -> Trace:
    """The trace with one action a little different."""
    actions = trace.actions.copy()
    actions[step, 0] += by if actions[step, 0] < 0 else -by
    return replace(trace, actions=actions)


def shortened(trace: Trace, n_steps: int) -> Trace:
    """The first steps of a trace, in the form of a whole one."""
    kept = trace.query_steps < n_steps
    n_queries = int(kept.sum())
    return Trace(
        actions=trace.actions[:n_steps],
        query_steps=trace.query_steps[kept],
        digests=trace.digests[: n_queries + 1],
        latency_ms=trace.latency_ms[kept],
        server_ms=trace.server_ms[kept],
    )


def verify(forger: Forger, name: str = NAME, sample: int | None = None, seed: int | None = None) -> Verification:
    with forger.open() as store:
        return verify_run(store, name, sample=sample, seed=seed, executor="inline")


def only_disagreement(verification: Verification) -> str:
    """The reasons of the one episode that disagrees."""
    (result,) = verification.disagreements
    assert result.agreement is Agreement.DIFFERS
    return "; ".join(result.reasons)
