"""Which board a published figure stands on, and what its row says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vla_bench.envs.registry import find_suite
from vla_bench.results.stats.chains import noninferior_lengths
from vla_bench.results.stats.rates import wilson
from vla_bench.server.boards.marks import Mark
from vla_bench.server.boards.place import AVG_LENGTH, ORIGINAL, RATE, Placement
from vla_bench.server.published.figures import BENCHMARKS, PAPERS, Figure, figures, parameters_of, policy_of
from vla_bench.server.published.footnotes import footnotes
from vla_bench.spec.canonical import sha256_hex
from vla_bench.spec.errors import VlaBenchError

__all__ = ["PublishedRow", "published_rows"]

_OURS = {
    "abc_d": ("calvin_abc_d", "standard-egl-gpu/1"),
    "libero_4suite": ("libero", ""),
    "libero_spatial": ("libero_spatial", ""),
    "libero_object": ("libero_object", ""),
    "libero_goal": ("libero_goal", ""),
    "libero_long": ("libero_10", ""),
    "libero_plus": ("libero_plus", "published/1"),
}
"""The papers' names of suites that run here → suite and protocol (the suite's default one where empty)."""
_ELSEWHERE = {
    "simpler_env": ("simpler_env_", "SimplerEnv: {}"),
    "robocasa_gr1": ("robocasa_gr1_", "RoboCasa GR1 tabletop: {}"),
    "robotwin": ("", "RoboTwin 2.0: {}"),
    "real_world": ("real_", "A real robot: {}"),
}
_AS_PUBLISHED = "as_published/1"
_LIBERO = ("libero_spatial", "libero_object", "libero_goal", "libero_long")
_GROUPS = {
    "background": "Background Textures",
    "camera": "Camera Viewpoints",
    "language": "Language Instructions",
    "layout": "Objects Layout",
    "light": "Light Conditions",
    "noise": "Sensor Noise",
    "robot": "Robot Initial States",
}
_NOT_SCORES = ("success_rate_gain_same_data", "data_efficiency_factor", "training_speedup_factor", "success_rate_gain")
_HALF_A_DIGIT = 0.05 + 1e-9
_PROTOCOL_NOTE = (
    "Step limits, settling and the renderer are not stated: it stands beside runs of this protocol for orientation, "
    "and is ranked apart."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """A row to be, with the board that it belongs to.

    Attributes:
        placement: of the board.
        columns: that its cells need.
        values: columns of `board_row` but the board's id and what ranking fills in.
        digest: of the values: an unchanged row is not written again.
    """

    placement: Placement
    columns: list[dict[str, Any]]
    values: dict[str, Any]
    digest: str


def published_rows() -> list[PublishedRow]:
    """All rows, by benchmark, paper and table; gains, factors and suites that a paper does not name are none."""
    notes: dict[tuple[str, str, str, str], list[dict[str, str]]] = {}
    for place, note in footnotes():
        notes.setdefault(place, []).append(note)
    rows = []
    for benchmark in BENCHMARKS[:-1]:
        by_row: dict[tuple[str, str, str, str], list[Figure]] = {}
        for figure in figures(benchmark):
            if figure.metric not in _NOT_SCORES and figure.suite != "libero_unspecified":
                by_row.setdefault((figure.paper, figure.table, figure.policy, figure.suite), []).append(figure)
        for (paper, table, policy, suite), found in by_row.items():
            siblings = [] if suite != "libero_4suite" else [
                each for name in _LIBERO for each in by_row.get((paper, table, policy, name), ())
            ]  # fmt: skip
            own = [*notes.get((paper, table, policy, suite), ()), *notes.get((paper, "text", policy, suite), ())]
            rows.append(_row(benchmark, found, siblings, own))
    return rows


def _row(
    benchmark: str, found: Sequence[Figure], siblings: Sequence[Figure], own_notes: list[dict[str, str]]
) -> PublishedRow:
    first = found[0]
    placement = _placement(benchmark, first.suite)
    name, family = policy_of(first.policy)
    cells = [cell for figure in (*found, *siblings) if (cell := _cell(benchmark, figure)) is not None]
    score = _score(found)
    unranked = _why_unranked(found, score)
    notes = [{"kind": "protocol", "text": first.note}]
    if first.suite in _OURS:
        notes.append({"kind": "protocol", "text": _PROTOCOL_NOTE})
    if any(figure.value is None for figure in found):
        notes.append({"kind": "lost", "text": "Blank values are in a figure of the paper only."})
    values = {
        "run_id": None,
        "submission_id": "",
        "published_key": f"{benchmark}/{first.paper}/{first.table}/{first.policy}/{first.suite}"[:300],
        "state": "listed",
        "state_reason": "",
        "mark": Mark.PUBLISHED.value,
        "rank_class": "variant" if first.is_variant else ("" if unranked else "published"),
        "unranked": unranked,
        "family": family,
        "policy": name,
        "version": "",
        "kind": "policy",
        "weights_digest": "",
        "policy_digest": "",
        "eval_hash": "",
        **score,
        "bound_low": None,
        "bound_high": None,
        "trained_on": "zero-shot" if first.suite in ("libero_plus", "abc_d") else "undeclared",
        "checkpoint_scope": "one" if (first.paper, family) == ("lamp", "lamp") else "undeclared",
        "parameters": parameters_of(first.policy),
        "open_weights": None,
        "n_runs": 0,
        "date": "",
        "harness": "",
        "cells": [{"key": key, **cell} for key, _, _, cell in cells],
        "settings": {},
        "notes": [*notes, *own_notes],
        "facts": {"mark": Mark.PUBLISHED.value, "text": f"{PAPERS[first.paper]}, {first.table}, line {first.line}."},
        "efficiency": {},
        "source": {
            "paper": first.paper,
            "title": PAPERS[first.paper],
            "table": first.table,
            "line": first.line,
            "by": first.by,
            "role": "variant" if first.is_variant else ("own" if first.by == "own" else "baseline"),
        },
        "vector": None,
    }
    columns = [{"key": key, "title": title, "kind": kind} for key, title, kind, _ in cells]
    digest = sha256_hex({key: value for key, value in values.items() if key != "vector"})
    values["source"] = {**values["source"], "digest": digest}
    return PublishedRow(placement=placement, columns=columns, values=values, digest=digest)


def _placement(benchmark: str, suite: str) -> Placement:
    if suite in _OURS:
        name, protocol = _OURS[suite]
        title, default = _registered(name)
        protocol = protocol or default
    else:
        prefix, words = _ELSEWHERE[benchmark]
        name, title, protocol = f"{prefix}{suite}", words.format(suite.replace("_", " ")), _AS_PUBLISHED
    is_chain = suite == "abc_d"
    return Placement(
        suite=name,
        protocol=protocol,
        renderer_class="none" if benchmark == "real_world" else "gpu",
        assets=ORIGINAL,
        title=title,
        form=AVG_LENGTH if is_chain else RATE,
        n_stages=5 if is_chain else 1,
        plan_hash="",
        unranked="",
    )


def _registered(name: str) -> tuple[str, str]:
    try:
        suite = find_suite(name)
    except VlaBenchError:
        return name, _AS_PUBLISHED
    return suite.title, suite.protocol.id


def _score(found: Sequence[Figure]) -> dict[str, Any]:
    """The average with what stands behind it; no interval without a count that the value can come from."""
    empty = dict.fromkeys(("score", "low", "high", "n_success", "n_judged", "n_planned"))
    average = [figure for figure in found if figure.dimension == "average" and figure.metric != "sr_at_k"]
    if not average or average[0].value is None:
        return empty
    figure = average[0]
    if figure.metric == "avg_len":
        return empty | {"score": float(figure.value)} | _chain_interval(figure, found)
    value = float(figure.value)
    k = _successes(figure)
    interval = None if k is None or figure.n is None else wilson(k, figure.n)
    if interval is None:
        return empty | {"score": round(value / 100, 6)}
    counts = {"n_success": k, "n_judged": figure.n, "n_planned": figure.n}
    return empty | {"score": round(value / 100, 6), "low": interval.low, "high": interval.high} | counts


def _chain_interval(figure: Figure, found: Sequence[Figure]) -> dict[str, Any]:
    """Lengths of chains follow from the shares of those of at least k subtasks."""
    shares = [each for each in found if each.metric == "sr_at_k"]
    reached = [_successes(each) for each in sorted(shares, key=lambda each: each.k or 0)]
    if figure.n is None or not reached or None in reached:
        return {}
    counts = [figure.n, *(count for count in reached if count is not None), 0]
    lengths = {length: counts[length] - counts[length + 1] for length in range(len(counts) - 1)}
    if min(lengths.values()) < 0:
        return {}
    bootstrap = noninferior_lengths(lengths, 0.0, 0.025, n_stages=len(reached))
    if bootstrap is None:
        return {}
    whole = {"n_success": reached[-1], "n_judged": figure.n, "n_planned": figure.n}
    return {"low": bootstrap.low, "high": bootstrap.high, **whole}


def _successes(figure: Figure) -> int | None:
    """Successes that the printed percentage stands for; None where no whole number gives it."""
    if figure.n is None or figure.value is None or figure.metric == "task_progress":
        return None
    k = round(float(figure.value) / 100 * figure.n)
    return k if abs(100 * k / figure.n - float(figure.value)) <= _HALF_A_DIGIT else None


def _why_unranked(found: Sequence[Figure], score: Mapping[str, Any]) -> str:
    average = next((each for each in found if each.dimension == "average" and each.metric != "sr_at_k"), found[0])
    if any(figure.metric == "task_progress" for figure in found):
        return "task progress, not success"
    if score["score"] is None:
        return "its average is not printed: it is in a figure, or there is none"
    if found[0].is_variant:
        return "an ablation, or a number that the text repeats"
    if average.n is None:
        return "the paper does not say how many episodes stand behind it"
    return "" if score["low"] is not None else f"its value cannot come from the {average.n} episodes that are stated"


def _cell(benchmark: str, figure: Figure) -> tuple[str, str, str, dict[str, Any]] | None:
    """Key, title and kind of the column, and the cell; None for what is no column."""
    if figure.metric == "sr_at_k":
        key, title, kind = f"stage:{figure.k}", str(figure.k), "stage"
    elif figure.metric not in ("success_rate", "task_progress"):
        return None
    elif figure.suite in _LIBERO and figure.dimension == "average":
        suite = _OURS[figure.suite][0]
        key, title, kind = f"group:suite={suite}", suite, "group"
    elif figure.dimension == "average":
        return None
    elif benchmark == "libero_plus":
        title = _GROUPS[figure.dimension]
        key, kind = f"group:dimension={title}", "group"
    else:
        key, title, kind = f"printed:{figure.dimension}", figure.dimension.replace("_", " "), "task"
    k = _successes(figure)
    interval = None if k is None or figure.n is None else wilson(k, figure.n)
    return key, title, kind, {
        "value": None if figure.value is None else round(float(figure.value) / 100, 6),
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "k": k,
        "n": figure.n if interval else None,
        "text": figure.value or "in a figure of the paper only",
    }  # fmt: skip
