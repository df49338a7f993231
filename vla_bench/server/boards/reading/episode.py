"""One episode of a run, with its recorded actions where they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.database import Database
from vla_bench.results.leaderboard.boards import BOARD
from vla_bench.results.leaderboard.people import REPLAY
from vla_bench.results.reading import load_attempts
from vla_bench.results.runs import StoredAttempt
from vla_bench.results.tables import EPISODE, RUN
from vla_bench.results.traces import TraceFolder
from vla_bench.server.boards.reading.contents import planned_episode, suite_content
from vla_bench.server.boards.reading.cursor import etag_of
from vla_bench.server.boards.reading.run import episode_line, find_run_row
from vla_bench.server.boards.reading.shape import head_of, row_of
from vla_bench.server.boards.views import AttemptLine, EpisodePage, ReplayLine, StageLine, SuiteTask
from vla_bench.spec.conventions import ActionConvention, Gripper, rotation_size
from vla_bench.spec.errors import NotListed, StoreCorrupted
from vla_bench.spec.result import Trace

__all__ = ["episode_page"]


def episode_page(database: Database, traces: TraceFolder, run_id: int, episode_id: str) -> EpisodePage:
    """See `vla_bench.server.boards.read`."""
    with database.read() as connection:
        found = find_run_row(connection, run_id)
        board = connection.execute(sa.select(BOARD).where(BOARD.c.id == found["board_id"])).mappings().one()
        stored = connection.execute(
            sa.select(EPISODE).where(EPISODE.c.run_id == run_id, EPISODE.c.episode_id == episode_id)
        ).mappings().first()  # fmt: skip
        if stored is None:
            raise NotListed(f"run {run_id} has no episode {episode_id[:80]!r}")
        run = connection.execute(sa.select(RUN.c["plan_hash", "suite_digest"]).where(RUN.c.id == run_id)).one()
        suite = suite_content(connection, run.suite_digest)
        planned = planned_episode(connection, run.plan_hash, stored["position"])
        attempts = load_attempts(connection, run_id, episode_id)
        neighbours = _neighbours(connection, run_id, stored["position"])
        replays = _replays(connection, found["submission_id"], episode_id)
    line, task = episode_line(stored), suite.tasks.get(stored["task"])
    trace = _trace(traces, attempts)
    instruction = planned["params"].get("instruction") or (task.instruction if task else "")
    return EpisodePage(
        head=head_of(board),
        row=row_of(found),
        line=line,
        instruction=str(instruction),
        horizon=task.horizon if task else 0,
        env_seed=planned["env_seed"],
        policy_seed=planned["policy_seed"],
        params=planned["params"],
        attempts=tuple(_attempt(attempt) for attempt in attempts),
        stages=_stages(attempts, task, planned["params"]),
        action_names=_action_names(suite.facts, trace),
        actions=None if trace is None else trace.actions,
        query_steps=None if trace is None else trace.query_steps,
        latency_ms=None if trace is None else trace.latency_ms,
        previous=neighbours.get(stored["position"] - 1, ""),
        following=neighbours.get(stored["position"] + 1, ""),
        replays=replays,
        etag=etag_of(episode_id, run_id, board["slug"], board["version"], [asdict(each) for each in replays]),
    )


def _neighbours(connection: Connection, run_id: int, position: int) -> dict[int, str]:
    rows = connection.execute(
        sa.select(EPISODE.c.position, EPISODE.c.episode_id).where(
            EPISODE.c.run_id == run_id, EPISODE.c.position.in_((position - 1, position + 1))
        )
    )
    return {row.position: row.episode_id for row in rows}


def _replays(connection: Connection, submission_id: str, episode_id: str) -> tuple[ReplayLine, ...]:
    if not submission_id:
        return ()
    rows = connection.execute(
        sa.select(REPLAY)
        .where(REPLAY.c.submission_id == submission_id, REPLAY.c.episode_id == episode_id)
        .order_by(REPLAY.c.draw)
    ).mappings()
    same = ("draw", "state", "agreement", "detail", "worker", "fingerprint")
    return tuple(
        ReplayLine(**{name: row[name] for name in same}, reported_at=row["reported_at"] or "") for row in rows
    )  # fmt: skip


def _attempt(stored: StoredAttempt) -> AttemptLine:
    result, latencies = stored.result, stored.result.latencies
    return AttemptLine(
        attempt=result.attempt,
        outcome=result.outcome.value,
        error_kind=result.error_kind,
        error_message=result.error_message,
        n_steps=result.n_steps,
        wall_ms=latencies.wall_ms,
        policy_p50_ms=latencies.policy_p50_ms,
        policy_p95_ms=latencies.policy_p95_ms,
        n_queries=latencies.n_queries,
        machine=asdict(result.fingerprint) if result.fingerprint else {},
        trace_digest=stored.trace_digest,
        final_digest=result.final_digest,
        started_at=result.started_at,
    )


def _stages(
    attempts: Sequence[StoredAttempt], task: SuiteTask | None, params: Mapping[str, Any]
) -> tuple[StageLine, ...]:
    """The stages of the attempt that counts, named by the plan's subtasks where it has such."""
    if not attempts or task is None or not task.stages:
        return ()
    names = params.get("subtasks", task.stages)
    return tuple(
        StageLine(
            index=stage.index,
            instruction=str(task.stages[stage.index] if stage.index < len(task.stages) else names[stage.index]),
            success=stage.success,
            n_steps=stage.n_steps,
        )
        for stage in attempts[-1].result.stages
    )


def _trace(traces: TraceFolder, attempts: Sequence[StoredAttempt]) -> Trace | None:
    """The actions of the attempt that counts; None where they are not stored, or no longer readable."""
    if not attempts or not attempts[-1].trace_digest:
        return None
    try:
        return traces.read(attempts[-1].trace_digest)
    except StoreCorrupted:
        return None


def _action_names(suite: Mapping[str, Any], trace: Trace | None) -> tuple[str, ...]:
    """`x`, `y`, `z`, `rotation 1` …, `gripper` where the convention says what the entries are; else their numbers."""
    n = 0 if trace is None else trace.actions.shape[1]
    convention = ActionConvention(**suite["action"])
    if convention.name or convention.n_entries != n:
        return tuple(str(index) for index in range(n))
    rotations = (f"rotation {index + 1}" for index in range(rotation_size(convention.rotation)))
    return ("x", "y", "z", *rotations, *(() if convention.gripper is Gripper.NONE else ("gripper",)))
