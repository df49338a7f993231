"""Made-up boards and their rows, as plain views."""

from __future__ import annotations

import math
from typing import Any

from vla_bench.results.stats.rates import wilson
from vla_bench.server.boards.marks import RANK_CLASS, Mark, MarkFacts
from vla_bench.server.boards.views import (
    BoardHead,
    BoardPage,
    Cell,
    Column,
    Facet,
    Filters,
    Leader,
    Note,
    Row,
    Saturation,
    SettingChange,
)

SLUG = "metaworld_mt10/standard-1/software/original"
EPISODE = "0123456789abcdef"
TASKS = (
    "reach",
    "push",
    "pick-place",
    "door-open",
    "drawer-open",
    "drawer-close",
    "button-press",
    "peg-insert",
    "window-open",
    "window-close",
)
COLUMNS = tuple(Column(key=f"task:{task}", title=task, kind="task") for task in TASKS)
STAGES = tuple(Column(key=f"stage:{k}", title=f"≥ {k}", kind="stage") for k in range(1, 6))


def cell(key: str, k: int, n: int) -> Cell:
    interval = wilson(k, n)
    assert interval is not None
    return Cell(key=key, value=k / n, low=interval.low, high=interval.high, k=k, n=n)


def row(index: int = 1, *, mark: Mark = Mark.REPLAYED, rate: float = 0.9, **more: Any) -> Row:
    """A row of the rate board; `rate` of 500 episodes."""
    n, k = 500, round(500 * rate)
    interval = wilson(k, n)
    assert interval is not None
    is_published = mark is Mark.PUBLISHED
    facts = {
        Mark.PUBLISHED: MarkFacts(mark=mark, text="A paper prints it."),
        Mark.SELF_REPORTED: MarkFacts(mark=mark, text="No episode was replayed yet.", n_episodes=n),
        Mark.REPLAYED: MarkFacts(
            mark=mark,
            text="59 replayed of 500, 0 deviating: at most 5 % deviate (95 %)",
            at="2026-11-12T10:00:00+00:00",
            n_replayed=59,
            n_episodes=n,
            deviating_at_most=0.05,
        ),
        Mark.RE_RUN: MarkFacts(mark=mark, text="188/200 on a challenge plan", at="2026-11-14", challenge="188/200"),
    }
    values: dict[str, Any] = {
        "id": index,
        "board": SLUG,
        "form": "rate",
        "run_id": None if is_published else index,
        "run": "" if is_published else f"policy-{index}-mt10",
        "submission_id": "" if is_published else f"sub{index}",
        "published_key": f"paper/{index}" if is_published else "",
        "state": "listed",
        "state_reason": "",
        "mark": facts[mark],
        "rank_class": RANK_CLASS[mark],
        "unranked": "no count is given" if is_published else "",
        "rank_best": None if is_published else 1 + index // 2,
        "rank_worst": None if is_published else 2 + index // 2,
        "letters": "" if is_published else "ab",
        "family": f"policy-{index}",
        "policy": f"policy-{index}",
        "version": f"1.{index}",
        "kind": "policy",
        "weights_digest": "" if is_published else f"{index:02d}f3a9c1{index:056d}",
        "policy_digest": "",
        "eval_hash": "",
        "is_reimplementation": False,
        "score": k / n,
        "low": None if is_published else interval.low,
        "high": None if is_published else interval.high,
        "bound_low": None,
        "bound_high": None,
        "n_success": None if is_published else k,
        "n_judged": None if is_published else n,
        "n_planned": None if is_published else n,
        "cells": tuple(
            cell(c.key, min(50, max(0, round(50 * rate + 5 * math.sin(7 * index + i)))), 50)
            for i, c in enumerate(COLUMNS)
        ),
        "trained_on": "this suite",
        "checkpoint_scope": "one",
        "parameters": 3_000_000_000,
        "open_weights": True,
        "n_runs": 0 if is_published else index,
        "date": "2026-11-12T10:00:00+00:00",
        "harness": "" if is_published else "0.4.1",
        "settings": () if index % 2 else (SettingChange(name="replan_horizon", value=8, default=None),),
        "notes": (),
        "source": {"paper": "LaMP", "table": "II", "line": 412} if is_published else {},
        "efficiency": {}
        if is_published
        else {
            "policy_p50_ms": 41.2,
            "policy_p95_ms": 63.0,
            "n_queries": 9120,
            "device": "NVIDIA L4",
            "precision": "bfloat16",
            "batch": 1,
            "bins": {str(number): 40 + abs(190 - number) for number in range(170, 215)},
        },
    }
    return Row(**(values | more))


ROWS = (
    row(1, mark=Mark.RE_RUN, rate=0.95, rank_best=1, rank_worst=3),
    row(
        2, rate=0.94, rank_best=1, rank_worst=3, settings=(SettingChange(name="replan_horizon", value=8, default=None),)
    ),
    row(3, rate=0.93, rank_best=1, rank_worst=4, notes=(Note(kind="flag", text="2 episodes were unstable."),)),
    row(4, rate=0.88, rank_best=3, rank_worst=4),
    row(5, mark=Mark.SELF_REPORTED, rate=0.97, rank_best=1, rank_worst=1),
    row(
        6,
        mark=Mark.PUBLISHED,
        rate=0.983,
        notes=(Note(kind="arithmetic", text="The mean of its parts is 97.9, not 98.3."),),
    ),
    row(7, mark=Mark.PUBLISHED, rate=0.75, is_reimplementation=True),
    row(
        8,
        mark=Mark.SELF_REPORTED,
        rate=0.5,
        state="incomplete",
        score=None,
        low=None,
        high=None,
        bound_low=0.41,
        bound_high=0.63,
        n_judged=410,
        rank_best=None,
        rank_worst=None,
        unranked="the run is incomplete",
    ),
    row(
        9,
        rate=0.9,
        state="withdrawn",
        state_reason="Trained on the test's initial states.",
        rank_best=None,
        rank_worst=None,
        unranked="it was withdrawn",
    ),
)


def head(**more: Any) -> BoardHead:
    values: dict[str, Any] = {
        "id": 1,
        "slug": SLUG,
        "title": "Meta-World MT10",
        "suite": "metaworld_mt10",
        "protocol": "standard/1",
        "renderer_class": "software",
        "assets": "original",
        "form": "rate",
        "n_stages": 1,
        "plan_hash": "ab" * 32,
        "n_planned": 500,
        "version": 7,
        "frozen": "",
        "updated_at": "2026-11-20T08:00:00+00:00",
        "counts": {"re-run": 1, "replayed": 3, "self-reported": 1, "published": 2, "incomplete": 1, "gone": 1},
        "leaders": tuple(
            Leader(row_id=r.id, policy=r.policy, version=r.version, score=r.score, mark=r.mark.mark) for r in ROWS[:3]
        ),
        "rank_class": "verified",
        "saturation": Saturation(
            n=500,
            resolvable=0.039,
            discordance=0.1,
            n_leaders=3,
            room=0.05,
            is_saturated=False,
            text="With 500 pairs a difference of 3.9 points is found with 80 % power.",
        ),
    }
    return BoardHead(**(values | more))


def board(rows: tuple[Row, ...] = ROWS, **more: Any) -> BoardPage:
    values: dict[str, Any] = {
        "head": head(),
        "columns": COLUMNS,
        "filters": Filters(),
        "sort": "rank",
        "descending": False,
        "rows": rows,
        "n_total": len(rows),
        "n_board": len(rows),
        "next_after": "",
        "axis": (0.41, 0.99),
        "facets": {
            "mark": (Facet(value="replayed", n=3), Facet(value="published", n=2)),
            "family": (Facet(value="policy-1", n=1),),
            "trained_on": (Facet(value="this suite", n=9),),
            "checkpoint_scope": (Facet(value="one", n=9),),
        },
        "default_settings": {"replan_horizon": None},
    }
    return BoardPage(**(values | more))


def chain_row(index: int, mean: float) -> Row:
    shares = [round(1000 * math.exp(-0.06 * (6 - mean) * k)) for k in range(1, 6)]
    return row(
        index,
        form="avg_length",
        score=mean,
        low=mean - 0.08,
        high=mean + 0.08,
        cells=tuple(cell(c.key, k, 1000) for c, k in zip(STAGES, shares, strict=True)),
    )


CHAIN_SLUG = "calvin/standard-tiny-1/tiny/original"


def chain_head() -> BoardHead:
    rows = (chain_row(1, 4.25), chain_row(2, 4.1))
    leaders = tuple(Leader(row_id=r.id, policy=r.policy, version="1", score=r.score, mark=r.mark.mark) for r in rows)
    return head(
        id=2,
        slug=CHAIN_SLUG,
        title="CALVIN",
        suite="calvin",
        protocol="standard-tiny/1",
        renderer_class="tiny",
        form="avg_length",
        n_stages=5,
        n_planned=1000,
        leaders=leaders,
    )
