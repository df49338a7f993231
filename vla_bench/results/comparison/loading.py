"""From the database to `RunVector`s: one row per run, however many episodes it has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.comparison.vectors import NOT_JUDGED, PlanColumns, RunVector, plan_columns
from vla_bench.results.reading import find_run, planned_episodes
from vla_bench.results.store import Store
from vla_bench.results.tables import ATTEMPT, EPISODE, POLICY, SUITE
from vla_bench.spec.errors import StoreCorrupted
from vla_bench.spec.outcomes import JUDGED, Outcome

__all__ = ["load_vector", "load_vectors", "mean_wall_s"]

_CODES = {outcome.value: 1 if outcome is Outcome.SUCCESS else 0 for outcome in JUDGED} | {
    outcome.value: NOT_JUDGED for outcome in Outcome if outcome not in JUDGED
}


def load_vectors(store: Store, names: Iterable[str]) -> list[RunVector]:
    """Load runs, in the order asked for; plans and suites that several share are read once.

    Raises:
        UnknownRun: there is no run of that name.
        StoreCorrupted: what is stored is not what we write.
    """
    with store.database.read() as connection:
        loader = _Loader(connection)
        return [loader.load(name) for name in names]


def load_vector(connection: Connection, name: str) -> RunVector:
    """Load one run on an open connection.

    Raises:
        UnknownRun, StoreCorrupted: as `load_vectors`.
    """
    return _Loader(connection).load(name)


def mean_wall_s(store: Store, name: str) -> float | None:
    """Mean wall time of the attempts of a run, seconds; None where there are none.

    Raises:
        UnknownRun: there is no run of that name.
    """
    with store.database.read() as connection:
        of_run = ATTEMPT.c.run_id == find_run(connection, name)["id"]
        mean = connection.scalar(sa.select(sa.func.avg(ATTEMPT.c.wall_ms)).where(of_run))
        return None if mean is None else float(mean) / 1000


class _Loader:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._suites: dict[str, dict[str, Any]] = {}
        self._policies: dict[str, dict[str, Any]] = {}
        self._plans: dict[tuple[str, str], PlanColumns] = {}

    def load(self, name: str) -> RunVector:
        run = find_run(self._connection, name)
        try:
            return self._vector(run)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise StoreCorrupted(f"run {run['name']!r} is damaged: {type(error).__name__}: {error}") from error

    def _vector(self, run: RowMapping) -> RunVector:
        suite = self._content(self._suites, SUITE, run["suite_digest"])
        policy = self._content(self._policies, POLICY, run["policy_digest"])
        plan = self._plan(run, suite)
        return RunVector(
            name=run["name"],
            suite=suite["name"],
            protocol=f"{suite['protocol']['name']}/{suite['protocol']['version']}",
            policy=policy["name"],
            policy_version=policy["version"],
            policy_kind=policy["kind"],
            policy_digest=run["policy_digest"],
            eval_hash=run["eval_hash"],
            suite_digest=run["suite_digest"],
            plan=plan,
            outcomes=self._outcomes(run["id"], len(plan)),
            lengths=self._lengths(run["id"], len(plan)) if plan.n_stages > 1 else None,
            command=run["command"],
        )

    def _content(self, shelf: dict[str, dict[str, Any]], table: sa.Table, digest: str) -> dict[str, Any]:
        if digest not in shelf:
            content = self._connection.scalar(sa.select(table.c.content).where(table.c.digest == digest))
            if content is None:
                raise StoreCorrupted(f"{table.name} {digest[:16]} is missing from the database")
            shelf[digest] = content
        return shelf[digest]

    def _plan(self, run: RowMapping, suite: dict[str, Any]) -> PlanColumns:
        key = run["plan_hash"], run["suite_digest"]
        if key not in self._plans:
            episodes = planned_episodes(self._connection, run["plan_hash"])
            self._plans[key] = plan_columns(run["plan_hash"], episodes, suite)
        return self._plans[key]

    def _outcomes(self, run_id: int, n_planned: int) -> NDArray[np.int8]:
        """Outcomes by position, joined into two texts by the database: ten thousand rows through Python take longer."""
        joined = (
            sa.func.aggregate_strings(sa.cast(EPISODE.c.position, sa.String), ","),
            sa.func.aggregate_strings(EPISODE.c.outcome, ","),
        )
        positions, outcomes = self._connection.execute(
            sa.select(*joined).where(EPISODE.c.run_id == run_id)
        ).one()  # fmt: skip
        column = np.full(n_planned, NOT_JUDGED, np.int8)
        if positions is not None:
            codes = [_CODES[outcome] for outcome in outcomes.split(",")]
            column[_checked(np.array(positions.split(","), np.int64), n_planned)] = codes
        return column

    def _lengths(self, run_id: int, n_planned: int) -> NDArray[np.int8]:
        """Stages reached to their end, by position, of judged attempts: there is one per judged episode."""
        judged = [outcome.value for outcome in JUDGED]
        rows = self._connection.execute(
            sa.select(EPISODE.c.position, ATTEMPT.c.stages)
            .join(ATTEMPT, (ATTEMPT.c.run_id == EPISODE.c.run_id) & (ATTEMPT.c.episode_id == EPISODE.c.episode_id))
            .where(EPISODE.c.run_id == run_id, EPISODE.c.outcome.in_(judged), ATTEMPT.c.outcome.in_(judged))
        ).all()
        column = np.full(n_planned, NOT_JUDGED, np.int8)
        if rows:
            positions = np.array([position for position, _ in rows], np.int64)
            column[_checked(positions, n_planned)] = [sum(bool(s["success"]) for s in stages) for _, stages in rows]
        return column


def _checked(positions: NDArray[np.int64], n_planned: int) -> NDArray[np.int64]:
    if positions.min() < 0 or positions.max() >= n_planned or len(np.unique(positions)) < len(positions):
        raise ValueError("episodes stand at positions that the plan does not have")
    return positions
