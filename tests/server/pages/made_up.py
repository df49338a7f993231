"""Made-up policies, suites and submissions, as plain views: what pages are shown without a database of results.

Boards with their rows are `made_rows`', runs with their episodes `made_runs`'; all can be had here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.server.pages.made_rows import (
    CHAIN_SLUG,
    COLUMNS,
    EPISODE,
    ROWS,
    SLUG,
    STAGES,
    TASKS,
    board,
    cell,
    chain_head,
    chain_row,
    head,
    row,
)
from tests.server.pages.made_runs import chains, episode, episodes, line, run, summary
from vla_bench.results.stats.rates import Interval
from vla_bench.server.boards.views import (
    ComparePage,
    Discordant,
    LatencyLine,
    LatencyTable,
    LogEntry,
    LogPage,
    PolicyPage,
    PolicyResult,
    SettingChange,
    SubmissionPage,
    SuitePage,
    SuiteTask,
    TaskPair,
    VersionLine,
)

__all__ = [
    "CHAIN_SLUG",
    "COLUMNS",
    "EPISODE",
    "ROWS",
    "SLUG",
    "STAGES",
    "TASKS",
    "board",
    "cell",
    "chain_head",
    "chain_row",
    "chains",
    "compare",
    "episode",
    "episodes",
    "head",
    "latencies",
    "line",
    "log",
    "policy",
    "readers",
    "row",
    "run",
    "submission",
    "suite",
    "summary",
]


def compare(**more: Any) -> ComparePage:
    pairs = tuple(
        TaskPair(
            title=task,
            n_a=50,
            k_a=50 - index,
            n_b=50,
            k_b=45 - index,
            rate_a=1 - index / 50,
            rate_b=0.9 - index / 50,
            difference=0.1,
        )
        for index, task in enumerate(TASKS)
    )
    values: dict[str, Any] = {
        "a": ROWS[0],
        "b": ROWS[3],
        "head": head(),
        "kind": "paired",
        "reason": "",
        "both": 430,
        "a_only": 45,
        "b_only": 10,
        "neither": 15,
        "difference": 0.07,
        "interval": Interval(0.04, 0.101, "tango"),
        "p": 2.4e-6,
        "tasks": pairs,
        "columns": (),
        "settings": (SettingChange(name="replan_horizon", value=None, default=8),),
        "discordant": (
            Discordant(
                episode_id=EPISODE, task="push", trial=3, a_success=True, b_success=False, a_length=None, b_length=None
            ),
        ),
        "n_discordant": 55,
        "next_after": "3",
        "etag": "c1",
    }
    return ComparePage(**(values | more))


def policy(**more: Any) -> PolicyPage:
    older = replace(
        ROWS[0], id=21, run_id=21, run="older", version="1.0", date="2026-08-01", score=0.9, low=0.87, high=0.92
    )
    results = (
        PolicyResult(head=head(), columns=COLUMNS, row=ROWS[0]),
        PolicyResult(head=head(), columns=COLUMNS, row=older),
        PolicyResult(head=chain_head(), columns=STAGES, row=chain_row(31, 4.25)),
    )
    values: dict[str, Any] = {
        "family": "policy-1",
        "title": "policy-1",
        "versions": (
            VersionLine(
                policy="policy-1",
                version="1.1",
                weights_digest="01f3a9c1",
                policy_digest="ef" * 32,
                first_date="2026-11-12",
                n_boards=2,
            ),
        ),
        "results": results,
        "gone": (),
        "n_runs": 3,
        "etag": "f1",
        "efficiency": ({"metric": "parameters", "value": "3", "unit": "billion", "paper": "clad", "table": "Table 4"},),
    }
    return PolicyPage(**(values | more))


def suite(**more: Any) -> SuitePage:
    values: dict[str, Any] = {
        "suite": "metaworld_mt10",
        "title": "Meta-World MT10",
        "boards": (head(),),
        "protocols": {"standard/1": {"name": "standard", "version": 1, "settling_steps": 0}},
        "tasks": tuple(
            SuiteTask(id=task, instruction=f"{task} it", horizon=500, stages=(), tags={"difficulty": "easy"})
            for task in TASKS
        ),
        "n_tasks": 10,
        "next_after": "",
        "cameras": ({"name": "corner", "height": 256, "width": 256},),
        "state": {"hand": 3},
        "action": {"rotation": "none"},
        "group_by": ("difficulty",),
        "group_notes": {},
        "provenance": {"code": "Meta-World 3.1.1"},
        "traps": ("The goal is hidden from the state by default.",),
        "etag": "s1",
    }
    return SuitePage(**(values | more))


def log(**more: Any) -> LogPage:
    entries = tuple(
        LogEntry(
            id=index,
            at=f"2026-11-{12 + index}T08:00:00+00:00",
            actor="alice",
            action=f"submission_{state}",
            subject_kind="submission",
            subject="sub1",
            detail={"from": "open", "to": state},
        )
        for index, state in enumerate(("sealed", "checking", "listed"))
    )
    return LogPage(**({"entries": entries, "next_after": "", "etag": "l1"} | more))


def submission(**more: Any) -> SubmissionPage:
    values: dict[str, Any] = {
        "id": "sub1",
        "account": "alice",
        "state": "replayed",
        "reason": "",
        "run_name": "policy-1-mt10",
        "run_id": 1,
        "row": ROWS[1],
        "board": SLUG,
        "policy_digest": "ef" * 32,
        "plan_hash": "ab" * 32,
        "eval_hash": "cd" * 32,
        "bundle_digest": "12" * 32,
        "bundle_size": 48_211_034,
        "declaration": {"family": "policy-1", "links": ["https://example.org/paper"], "notes": "Trained twice."},
        "created_at": "2026-11-12T08:00:00+00:00",
        "sealed_at": "2026-11-12T08:10:00+00:00",
        "updated_at": "2026-11-12T10:00:00+00:00",
        "commitment": "77" * 32,
        "replays": {"agreed": 59},
        "challenges": (),
        "n_siblings": 2,
        "log": log().entries,
        "etag": "u1",
    }
    return SubmissionPage(**(values | more))


def latencies() -> tuple[LatencyTable, ...]:
    """Answer times on two devices; a published row has none, and no 95th percentile may be known."""
    lines = tuple(
        LatencyLine(row=row, p50_ms=40.0 + 9 * index, p95_ms=None if index else 63.0, n_queries=9120)
        for index, row in enumerate(ROWS[:3])
    )
    return (
        LatencyTable(device="NVIDIA H100", precision="float32", lines=lines[:1]),
        LatencyTable(device="NVIDIA L4", precision="bfloat16", lines=lines),
    )


def readers() -> dict[str, Any]:
    """Name of a read function → one that gives made-up views."""
    return {
        "etag": lambda database: "1",
        "boards": lambda database: (head(), chain_head()),
        "board_page": lambda database, slug, filters=None, **asked: board(
            filters=filters, sort=asked["sort"], descending=asked["descending"]
        ),
        "policy_page": lambda database, family: policy(),
        "run_page": lambda database, run_id: run(),
        "episodes_page": lambda database, run_id, **asked: episodes(),
        "episode_page": lambda database, traces, run_id, episode_id: episode(),
        "compare_page": lambda database, a, b, **asked: compare(),
        "suite_page": lambda database, suite_name, **asked: suite(),
        "submission_page": lambda database, submission_id, **_: submission(),
        "log_page": lambda database, **asked: log(),
        "latency_tables": lambda database: latencies(),
    }
