"""Made-up policies, runs, episodes and submissions, as plain views: what pages are shown without a database of results.

Boards and their rows are `made_rows`', and can be had here too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

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
from vla_bench.results.chains import ChainSummary
from vla_bench.results.runs import LatencySummary, RunSummary
from vla_bench.results.stats.chains import StageRate
from vla_bench.results.stats.rates import Interval, wilson
from vla_bench.server.boards.marks import Mark
from vla_bench.server.boards.views import (
    AttemptLine,
    ComparePage,
    Discordant,
    EpisodeLine,
    EpisodePage,
    EpisodesPage,
    Leader,
    LogEntry,
    LogPage,
    PolicyPage,
    PolicyResult,
    ReplayLine,
    RunPage,
    SettingChange,
    StageLine,
    SubmissionPage,
    SuitePage,
    SuiteTask,
    TaskLine,
    TaskPair,
    VersionLine,
)
from vla_bench.spec.messages import PolicyKind

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


def summary(**more: Any) -> RunSummary:
    values: dict[str, Any] = {
        "name": "policy-1-mt10",
        "suite": "metaworld_mt10",
        "protocol": "standard/1",
        "command": "vla-bench run --policy x",
        "policy": "policy-1",
        "policy_version": "1.1",
        "policy_kind": PolicyKind.POLICY,
        "plan_hash": "ab" * 32,
        "eval_hash": "cd" * 32,
        "policy_digest": "ef" * 32,
        "suite_digest": "01" * 32,
        "settings": {"replan_horizon": None, "preset": ""},
        "n_planned": 500,
        "n_judged": 500,
        "n_success": 475,
        "lost_by_kind": {},
        "n_repeats": 1,
        "rate": 0.95,
        "these_tasks": Interval(0.93, 0.965),
        "tasks_like_these": None,
        "bounds": None,
        "n_attempts": 503,
        "flags": {"unstable": 2},
        "started_at": "2026-11-12T08:00:00+00:00",
        "finished_at": "2026-11-12T10:00:00+00:00",
        "latencies": LatencySummary(
            n_queries=9120,
            policy_p50_ms=41.2,
            policy_p95_ms=63.0,
            policy_max_ms=210.0,
            env_mean_ms=8.1,
            wall_s=7200.0,
            policy_share=0.6,
            env_share=0.3,
            harness_share=0.1,
        ),
    }
    return RunSummary(**(values | more))


def chains() -> ChainSummary:
    counts = (960, 905, 850, 790, 745)
    stages = []
    for k, n_success in enumerate(counts, 1):
        interval = wilson(n_success, 1000)
        assert interval is not None
        stages.append(StageRate(k=k, n_success=n_success, n=1000, rate=n_success / 1000, interval=interval))
    return ChainSummary(
        n_stages=5,
        n_chains=1000,
        mean_length=4.25,
        error=0.04,
        interval=Interval(4.17, 4.33),
        is_rough=False,
        stages=tuple(stages),
        bounds=None,
    )


def run(**more: Any) -> RunPage:
    tasks = []
    for position, task in enumerate(TASKS):
        k = (50, 49, 38, 50, 50, 44, 12, 3, 47, 0)[position]
        interval = wilson(k, 50)
        assert interval is not None
        tasks.append(
            TaskLine(
                position=position,
                task=task,
                instruction=f"{task} it",
                k=k,
                n=50,
                rate=k / 50,
                low=interval.low,
                high=interval.high,
                mean_steps=81.5,
            )
        )
    values: dict[str, Any] = {
        "head": head(),
        "columns": COLUMNS,
        "row": ROWS[0],
        "summary": summary(),
        "tasks": tuple(tasks),
        "n_tasks": 10,
        "plan_hash": "ab" * 32,
        "command": "vla-bench run --policy http://localhost:8000 --suite metaworld_mt10",
        "machines": (({"cpu": "AMD EPYC", "os": "Linux 6.1", "packages": {"mujoco": "3.3.0"}}, 503),),
        "declaration": {"training_data": "MT10 demonstrations", "demonstrations_per_task": 50},
        "suite": {"title": "Meta-World MT10", "protocol": {"name": "standard", "version": 1, "settling_steps": 0}},
        "policy": {"name": "policy-1"},
        "others": (Leader(row_id=2, policy="policy-2", version="1.2", score=0.94, mark=Mark.REPLAYED),),
        "etag": "r1",
    }
    return RunPage(**(values | more))


def line(position: int = 0, **more: Any) -> EpisodeLine:
    values: dict[str, Any] = {
        "episode_id": EPISODE,
        "position": position,
        "task": "pick-place",
        "trial": position,
        "repeat": 0,
        "outcome": "success" if position % 3 else "failure",
        "error_kind": "",
        "n_attempts": 1,
        "n_steps": 120,
        "n_clipped": 0,
        "flags": (),
    }
    return EpisodeLine(**(values | more))


def episodes(**more: Any) -> EpisodesPage:
    values: dict[str, Any] = {
        "run_id": 1,
        "run": "policy-1-mt10",
        "board": SLUG,
        "task": "",
        "outcome": "",
        "lines": tuple(line(position) for position in range(12)),
        "next_after": "12",
        "etag": "e1",
    }
    return EpisodesPage(**(values | more))


def episode(**more: Any) -> EpisodePage:
    steps = np.arange(120, dtype=np.float32)
    moves = [np.sin(steps / (9 + 3 * index)) * np.exp(-steps / 90) for index in range(6)]
    actions = np.stack([*moves, np.where((steps > 40) & (steps < 90), 1, -1)], axis=1).astype(np.float32)
    values: dict[str, Any] = {
        "head": head(),
        "row": ROWS[0],
        "line": line(1),
        "instruction": "pick up the puck and place it on the goal",
        "horizon": 500,
        "env_seed": 7,
        "policy_seed": 11,
        "params": {"variant": 3},
        "attempts": (
            AttemptLine(
                attempt=0,
                outcome="success",
                error_kind="",
                error_message="",
                n_steps=120,
                wall_ms=9120.0,
                policy_p50_ms=40.0,
                policy_p95_ms=60.0,
                n_queries=15,
                machine={"cpu": "AMD EPYC"},
                trace_digest="aa" * 32,
                final_digest="bb" * 16,
                started_at="2026-11-12T08:00:00+00:00",
            ),
        ),
        "stages": (
            StageLine(index=0, instruction="grasp the puck", success=True, n_steps=50),
            StageLine(index=1, instruction="place it", success=True, n_steps=70),
        ),
        "action_names": ("x", "y", "z", "roll", "pitch", "yaw", "gripper"),
        "actions": actions,
        "query_steps": np.arange(0, 120, 8, dtype=np.int32),
        "latency_ms": np.linspace(30, 70, 15).astype(np.float32),
        "previous": "",
        "following": "fedcba9876543210",
        "replays": (
            ReplayLine(
                draw=1,
                state="agreed",
                agreement="bit",
                detail="",
                worker="w1",
                fingerprint="f",
                reported_at="2026-11-12",
            ),
        ),
        "etag": "p1",
    }
    return EpisodePage(**(values | more))


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
        "submission_page": lambda database, submission_id: submission(),
        "log_page": lambda database, **asked: log(),
        "latency_tables": lambda database: (),
    }
