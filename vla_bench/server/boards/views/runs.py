"""A run on its board, its episodes, and one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.runs import RunSummary
from vla_bench.server.boards.views.rows import BoardHead, Column, Leader, Row

__all__ = [
    "AttemptLine",
    "EpisodeLine",
    "EpisodePage",
    "EpisodesPage",
    "ReplayLine",
    "RunPage",
    "StageLine",
    "TaskLine",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLine:
    """One task of a run.

    Attributes:
        position: in the plan's order of tasks, from 0.
        task, instruction: id and command; the instruction is empty where the suite's content is not at hand.
        k, n: successes of judged episodes.
        rate, low, high: with Wilson's interval; None without a judged episode.
        mean_steps: over judged episodes; None without one.
        tags: facts of the task (`dimension`, `difficulty`, …).
    """

    position: int
    task: str
    instruction: str
    k: int
    n: int
    rate: float | None
    low: float | None
    high: float | None
    mean_steps: float | None
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """A run on its board.

    Attributes:
        head, columns, row: its place.
        summary: everything that was aggregated: groups, totals, chains, latencies, lost kinds. `per_task` is empty
            here: it is `tasks`.
        tasks: at most 500 of them, in plan order.
        n_tasks: of the run.
        plan_hash: of its plan.
        command: that made it.
        machines: fingerprints (plain values) with the attempts made on each, most first.
        declaration: what the submitter declared; empty without a submission.
        suite: `title`, `protocol` (plain content), `cameras`, `action`, `provenance` of the suite as it was run.
        policy: plain content of the policy's handshake.
        others: further rows of this board on the same plan, best first, at most ten: to compare with.
        etag: changes with whatever this page shows.
    """

    head: BoardHead
    columns: tuple[Column, ...]
    row: Row
    summary: RunSummary
    tasks: tuple[TaskLine, ...]
    n_tasks: int
    plan_hash: str
    command: str
    machines: tuple[tuple[Mapping[str, Any], int], ...]
    declaration: Mapping[str, Any]
    suite: Mapping[str, Any]
    policy: Mapping[str, Any]
    others: tuple[Leader, ...]
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeLine:
    """One episode in the list of a run.

    Attributes:
        episode_id, position, task, trial, repeat: which.
        outcome, error_kind: what became of it.
        n_attempts, n_steps, n_clipped: of it.
        flags: `unstable`, `repeated_policy_error`, ….
    """

    episode_id: str
    position: int
    task: str
    trial: int
    repeat: int
    outcome: str
    error_kind: str
    n_attempts: int
    n_steps: int
    n_clipped: int
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodesPage:
    """At most 50 episodes of a run, in plan order.

    Attributes:
        run_id, run, board: of which run.
        task, outcome: as asked; empty for all.
        lines: of this page.
        next_after: gives the next page; empty on the last one.
        etag: changes with the run.
    """

    run_id: int
    run: str
    board: str
    task: str
    outcome: str
    lines: tuple[EpisodeLine, ...]
    next_after: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLine:
    """One stage of the attempt that counts; stages after the first failure were not reached and are left out."""

    index: int
    instruction: str
    success: bool
    n_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLine:
    """One try at an episode."""

    attempt: int
    outcome: str
    error_kind: str
    error_message: str
    n_steps: int
    wall_ms: float
    policy_p50_ms: float
    policy_p95_ms: float
    n_queries: int
    machine: Mapping[str, Any]
    trace_digest: str
    final_digest: str
    started_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayLine:
    """A replay that the server drew: what came out, by whom and where."""

    draw: int
    state: str
    agreement: str
    detail: str
    worker: str
    fingerprint: str
    reported_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodePage:
    """One episode of a run.

    Attributes:
        head, row: where its run stands.
        line: its outcome.
        instruction, horizon: of the task; the instruction of the first stage for chains.
        env_seed, policy_seed: of the plan.
        params: variant parameters and initial state, as planned.
        attempts: all tries, in order.
        stages: of the attempt that counts; empty where tasks have no stages.
        action_names: of the action's entries, where the suite names them; else `0`, `1`, ….
        actions: float32 `[T, A]`, what the simulator was given; None where no trace is stored.
        query_steps: int32 `[Q]`, steps at which the policy was asked; None with `actions`.
        latency_ms: float32 `[Q]`; None with `actions`.
        previous, following: ids of the neighbours in plan order, empty at the ends.
        replays: of this episode.
        etag: changes with whatever this page shows.
    """

    head: BoardHead
    row: Row
    line: EpisodeLine
    instruction: str
    horizon: int
    env_seed: int
    policy_seed: int
    params: Mapping[str, Any]
    attempts: tuple[AttemptLine, ...]
    stages: tuple[StageLine, ...]
    action_names: tuple[str, ...]
    actions: NDArray[np.float32] | None
    query_steps: NDArray[np.int32] | None
    latency_ms: NDArray[np.float32] | None
    previous: str
    following: str
    replays: tuple[ReplayLine, ...]
    etag: str
