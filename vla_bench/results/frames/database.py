"""Frames from a store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.frames.columns import EPISODES, frame, tag_columns
from vla_bench.results.frames.selection import Selection
from vla_bench.results.frames.summaries import run_columns, task_columns, who
from vla_bench.results.reading import find_run, planned_episodes
from vla_bench.results.store import Store
from vla_bench.results.tables import ATTEMPT, EPISODE, SUITE
from vla_bench.spec.canonical import content_id
from vla_bench.spec.outcomes import Outcome

if TYPE_CHECKING:
    import pandas as pd

    from vla_bench.results.runs import RunSummary

__all__ = ["DatabaseSource"]

_OF_EPISODE = ("position", "episode_id", "outcome", "error_kind", "flags", "n_attempts", "n_steps", "n_clipped")
_OF_ATTEMPT = (
    "n_queries", "wall_ms", "policy_ms", "env_ms", "policy_p50_ms", "policy_p95_ms", "policy_max_ms", "initial_digest",
    "final_digest", "trace_digest", "fingerprint", "started_at",
)  # fmt: skip
_OF_PLAN = ("task", "trial", "repeat", "env_seed", "policy_seed")
# What an episode without an attempt has: counts are 0, texts empty, all the rest is NA.
_UNREACHED = (
    {"outcome": Outcome.NOT_RUN.value}
    | dict.fromkeys(("n_attempts", "n_steps", "n_clipped", "n_queries"), 0)
    | dict.fromkeys(("error_kind", "flags", "initial_digest", "final_digest", "trace", "fingerprint", "started_at"), "")
)
_RENAMED = {"episode_id": "episode", "trace_digest": "trace"}


class DatabaseSource:
    """Reads the wanted runs of a store, one frame at a time."""

    def __init__(self, store: Store, selection: Selection) -> None:
        self._store, self._selection = store, selection

    def runs(self) -> pd.DataFrame:
        """One row per run."""
        return run_columns(self._wanted())

    def tasks(self) -> pd.DataFrame:
        """One row per task of each run."""
        found = [self._store.summary(run.name) for run in self._wanted()]
        return task_columns(found, self._tags([run.suite_digest for run in found]), self._selection)

    def episodes(self) -> pd.DataFrame:
        """One row per planned episode of each run."""
        parts: list[dict[str, list[Any]]] = []
        tags: dict[str, Mapping[str, Any]] = {}
        wanted = self._wanted()
        with self._store.database.read() as connection:
            for run in wanted:
                suite = _content(connection, run.suite_digest)
                tags |= {task["id"]: task["tags"] for task in suite["tasks"]}
                parts.append(_episodes(connection, run, suite, self._selection))
        joined = {name: [value for part in parts for value in part[name]] for name in EPISODES}
        return frame(EPISODES, joined, tag_columns(tags, joined["task"]))

    def _wanted(self) -> list[RunSummary]:
        found = {run.name: run for run in self._store.summaries()}
        names = self._selection.runs_of(list(found))
        return [
            run for run in map(found.__getitem__, names) if self._selection.takes(suite=run.suite, policy=run.policy)
        ]

    def _tags(self, digests: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        with self._store.database.read() as connection:
            suites = [_content(connection, digest) for digest in dict.fromkeys(digests)]
        return {task["id"]: task["tags"] for suite in suites for task in suite["tasks"]}


def _content(connection: Connection, digest: str) -> dict[str, Any]:
    found: dict[str, Any] = connection.execute(sa.select(SUITE.c.content).where(SUITE.c.digest == digest)).scalar_one()
    return found


def _episodes(
    connection: Connection, run: RunSummary, suite: Mapping[str, Any], selection: Selection
) -> dict[str, list[Any]]:
    row = find_run(connection, run.name)
    plan = planned_episodes(connection, row["plan_hash"])
    n_stages = {task["id"]: max(1, len(task["stages"])) for task in suite["tasks"]}
    is_staged = max(n_stages.values(), default=1) > 1
    reached = {cell["position"]: cell for cell in _reached(connection, row["id"], with_stages=is_staged)}
    cells: list[dict[str, Any]] = []
    for position, planned in enumerate(plan):
        if not selection.takes_task(planned["task"]):
            continue
        cell = reached.get(position) or _unreached(position, planned)
        of_plan = {name: planned[name] for name in _OF_PLAN} | {"n_stages": n_stages.get(planned["task"], 1)}
        of_plan["params"] = json.dumps(planned["params"], sort_keys=True) if planned["params"] else ""
        cells.append(cell | of_plan)
    constant = who(run)
    columns: dict[str, list[Any]] = {name: [value] * len(cells) for name, value in constant.items()}
    return columns | {name: [cell[name] for cell in cells] for name in EPISODES if name not in constant}


def _reached(connection: Connection, run_id: int, *, with_stages: bool) -> list[dict[str, Any]]:
    """The episodes that were reached, each with its last attempt, the one that counts."""
    other = ATTEMPT.alias()
    last = (
        sa.select(sa.func.max(other.c.attempt))
        .where(other.c.run_id == EPISODE.c.run_id, other.c.episode_id == EPISODE.c.episode_id)
        .correlate(EPISODE)
        .scalar_subquery()
    )
    columns: list[Any] = [EPISODE.c[name].label(_RENAMED.get(name, name)) for name in _OF_EPISODE]
    columns += [ATTEMPT.c[name].label(_RENAMED.get(name, name)) for name in _OF_ATTEMPT]
    if with_stages:
        columns.append(ATTEMPT.c.stages)
    statement = (
        sa.select(*columns)
        .select_from(EPISODE)
        .outerjoin(
            ATTEMPT,
            (ATTEMPT.c.run_id == EPISODE.c.run_id)
            & (ATTEMPT.c.episode_id == EPISODE.c.episode_id)
            & (ATTEMPT.c.attempt == last),
        )
        .where(EPISODE.c.run_id == run_id)
    )
    return [_cell(row._asdict()) for row in connection.execute(statement)]


def _cell(row: dict[str, Any]) -> dict[str, Any]:
    stages = row.pop("stages", None)
    outcome = Outcome(row["outcome"])
    row["success"] = outcome is Outcome.SUCCESS if outcome.is_judged else None
    row["n_stages_done"] = None if stages is None else sum(stage["success"] for stage in stages)
    row["flags"] = ",".join(row["flags"])
    row["fingerprint"] = row["fingerprint"] or ""
    return row


def _unreached(position: int, planned: Mapping[str, Any]) -> dict[str, Any]:
    empty = dict.fromkeys(EPISODES)
    return empty | _UNREACHED | {"position": position, "episode": content_id(planned)}
