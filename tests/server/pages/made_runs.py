"""Made-up runs and their episodes, as plain views."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.server.pages.made_rows import COLUMNS, EPISODE, ROWS, SLUG, TASKS, head
from vla_bench.results.chains import ChainSummary
from vla_bench.results.runs import LatencySummary, RunSummary
from vla_bench.results.stats.chains import StageRate
from vla_bench.results.stats.rates import Interval, wilson
from vla_bench.server.boards.marks import Mark
from vla_bench.server.boards.views import (
    AttemptLine,
    EpisodeLine,
    EpisodePage,
    EpisodesPage,
    Leader,
    ReplayLine,
    RunPage,
    StageLine,
    TaskLine,
)
from vla_bench.spec.messages import PolicyKind


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
