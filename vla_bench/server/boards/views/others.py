"""A policy over all boards, two rows beside each other, a suite, a submission, the log, answer times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vla_bench.results.stats.rates import Interval
from vla_bench.server.boards.views.rows import BoardHead, Column, Row, SettingChange

__all__ = [
    "ComparePage",
    "Discordant",
    "LatencyLine",
    "LatencyTable",
    "LogEntry",
    "LogPage",
    "PolicyPage",
    "PolicyResult",
    "SubmissionPage",
    "SuitePage",
    "SuiteTask",
    "TaskPair",
    "VersionLine",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """A row of a policy with its board and the board's columns."""

    head: BoardHead
    columns: tuple[Column, ...]
    row: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLine:
    """A version of a policy: when it was first seen, and on how many boards it stands."""

    policy: str
    version: str
    weights_digest: str
    policy_digest: str
    first_date: str
    n_boards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPage:
    """All results of one family.

    Attributes:
        family: its key.
        title: its most recent name.
        versions: newest first; empty where only published figures are known.
        results: of listed and incomplete runs and of published figures; by board, newest first within one.
        gone: tombstones.
        efficiency: published figures on parameters, memory, rate and time: `metric`, `value`, `unit`, `source`.
        n_runs: complete runs over all boards.
        etag: changes with whatever this page shows.
    """

    family: str
    title: str
    versions: tuple[VersionLine, ...]
    results: tuple[PolicyResult, ...]
    gone: tuple[PolicyResult, ...]
    efficiency: tuple[Mapping[str, Any], ...]
    n_runs: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPair:
    """One task, or one group of tasks, of two rows. `difference` is that of a minus b."""

    title: str
    n_a: int | None
    k_a: int | None
    n_b: int | None
    k_b: int | None
    rate_a: float | None
    rate_b: float | None
    difference: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discordant:
    """An episode that two runs ended differently. Lengths are of chains, else None."""

    episode_id: str
    task: str
    trial: int
    a_success: bool
    b_success: bool
    a_length: int | None
    b_length: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePage:
    """Two rows beside each other.

    Attributes:
        a, b: the rows.
        head: of their board; None where they stand on two.
        kind: `paired` (one plan, episode by episode), `independent` (counts only) or `none`.
        reason: why there is no test, or why it is no paired one; empty for `paired`.
        both, a_only, b_only, neither: pairs; None unless `paired` and of rates.
        difference: score of a minus that of b; None for `none`.
        interval: of the difference, 95 %: Tango's score interval, bootstrap over chains, or Newcombe's.
        p: two-sided; None for `none`.
        tasks: by task, the largest differences first, at most 200.
        columns: by the board's small numbers.
        settings: what differs in their settings.
        discordant: a page of at most 50, in plan order.
        n_discordant: of them.
        next_after: gives the next page of discordant episodes; empty on the last one.
        etag: changes with whatever this page shows.
    """

    a: Row
    b: Row
    head: BoardHead | None
    kind: str
    reason: str
    both: int | None
    a_only: int | None
    b_only: int | None
    neither: int | None
    difference: float | None
    interval: Interval | None
    p: float | None
    tasks: tuple[TaskPair, ...]
    columns: tuple[TaskPair, ...]
    settings: tuple[SettingChange, ...]
    discordant: tuple[Discordant, ...]
    n_discordant: int
    next_after: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteTask:
    """A task of a suite."""

    id: str
    instruction: str
    horizon: int
    stages: tuple[str, ...]
    tags: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePage:
    """What a suite measures.

    Attributes:
        suite, title: name and one line.
        boards: all of its boards, those with most rows first.
        protocols: id → plain content, of the protocols that are known here.
        tasks: a page of at most 100.
        n_tasks: of the suite.
        next_after: gives the next page of tasks; empty on the last one.
        cameras, state, action: plain content, what a policy sees and gives.
        group_by: tags that scores are reported by.
        group_notes: what a reader must know of a group.
        provenance: versions, licences and sources, for people.
        traps: known traps, one sentence or two each.
        etag: changes with whatever this page shows.
    """

    suite: str
    title: str
    boards: tuple[BoardHead, ...]
    protocols: Mapping[str, Mapping[str, Any]]
    tasks: tuple[SuiteTask, ...]
    n_tasks: int
    next_after: str
    cameras: tuple[Mapping[str, Any], ...]
    state: Mapping[str, int]
    action: Mapping[str, Any]
    group_by: tuple[str, ...]
    group_notes: Mapping[str, Mapping[str, str]]
    provenance: Mapping[str, str]
    traps: tuple[str, ...]
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A line of the public log."""

    id: int
    at: str
    actor: str
    action: str
    subject_kind: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """At most 100 lines of the log, newest first; `next_after` gives the older ones."""

    entries: tuple[LogEntry, ...]
    next_after: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionPage:
    """A submission as everybody may see it.

    Attributes:
        id, account, state, reason: of it; `account` is the name.
        run_name, run_id, row, board: what it became; None and empty until it is listed, and where it was refused.
        policy_digest, plan_hash, eval_hash, bundle_digest, bundle_size: what was sent.
        declaration: what the submitter declared.
        created_at, sealed_at, updated_at: when; `sealed_at` is empty before.
        commitment: of the key that drew its replays, empty before the draw.
        replays: state → how many.
        challenges: plain values, without secrets.
        n_siblings: submissions of the same policy on the same plan that were listed, tombstones and this one included;
            uploads and refusals show no number and do not count.
        log: its own lines, oldest first.
        etag: changes with whatever this page shows.
    """

    id: str
    account: str
    state: str
    reason: str
    run_name: str
    run_id: int | None
    row: Row | None
    board: str
    policy_digest: str
    plan_hash: str
    eval_hash: str
    bundle_digest: str
    bundle_size: int
    declaration: Mapping[str, Any]
    created_at: str
    sealed_at: str
    updated_at: str
    commitment: str
    replays: Mapping[str, int]
    challenges: tuple[Mapping[str, Any], ...]
    n_siblings: int
    log: tuple[LogEntry, ...]
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyLine:
    """Answer times of one row; ranked by the median within its table."""

    row: Row
    p50_ms: float
    p95_ms: float | None
    n_queries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTable:
    """Rows whose answer times may be compared: one device, one precision, batch size 1, fastest first."""

    device: str
    precision: str
    lines: tuple[LatencyLine, ...]
