"""Rank ranges, letters, leaders and what a board still resolves: from stored pairs, whenever a row joins or changes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.leaderboard.boards import BOARD, BOARD_PAIR, BOARD_ROW
from vla_bench.results.rows import now
from vla_bench.results.stats.chains import independent_lengths
from vla_bench.results.stats.power import detectable_paired, worst_discordance
from vla_bench.results.stats.ranks import group_letters, rank_ranges
from vla_bench.results.stats.several import holm
from vla_bench.results.stats.unpaired import independent_p
from vla_bench.server.boards.place import AVG_LENGTH
from vla_bench.spec.messages import PolicyKind

__all__ = ["CLASSES", "MANY_TIED", "chain_variance", "rerank"]

CLASSES = ("verified", "self-reported", "published")
"""Rows are ranked within one of these; the first that has ranked rows names the leaders of a board."""
MANY_TIED = 3
"""With more rows than this at rank 1, a board no longer separates its leaders."""
MOST_LETTERS = 60
"""Rows of one class up to which letters are given: beyond, hardly two share a set of them."""
ALPHA = 0.05

_NO_RANK = {"rank_best": None, "rank_worst": None, "letters": ""}

_COLUMNS = (
    "id", "state", "rank_class", "unranked", "score", "n_success", "n_judged", "rank_best", "rank_worst", "letters",
    "mark", "policy", "version", "kind", "cells", "run_id", "efficiency",
)  # fmt: skip


def rerank(connection: Connection, board_id: int) -> None:
    """Compute ranks, letters and the board's summary anew, and count its version up.

    Args:
        connection: inside a write transaction that holds the board's row.
        board_id: of the board.
    """
    board = connection.execute(sa.select(BOARD).where(BOARD.c.id == board_id)).mappings().one()
    columns = [BOARD_ROW.c[name] for name in _COLUMNS]
    rows = connection.execute(
        sa.select(*columns).where(BOARD_ROW.c.board_id == board_id).order_by(BOARD_ROW.c.id)
    ).mappings().all()  # fmt: skip
    pairs = _pairs(connection, board_id)
    wanted: dict[int, dict[str, Any]] = {row["id"]: _NO_RANK for row in rows}
    leaders: tuple[str, list[RowMapping]] = ("", [])
    for name in CLASSES:
        members = [row for row in rows if _is_ranked(row) and row["rank_class"] == name]
        if not members:
            continue
        p_values = _p_values(members, pairs, form=board["form"])
        wanted |= _ranks(members, p_values)
        if not leaders[1]:
            first = [row for row in members if wanted[row["id"]]["rank_best"] == 1]
            leaders = name, sorted(first, key=lambda row: (-row["score"], row["id"]))
    _store(connection, rows, wanted)
    summary = {
        "counts": _counts(rows),
        "rank_class": leaders[0],
        "leaders": [_leader(row) for row in leaders[1][:10]],
        "saturation": _saturation(board, *leaders, pairs),
        "latency": _latencies(rows),
    }
    values = {"summary": summary, "version": board["version"] + 1, "updated_at": now()}
    connection.execute(sa.update(BOARD).where(BOARD.c.id == board_id).values(values))


def chain_variance(cells: Sequence[Mapping[str, Any]]) -> float | None:
    """Variance of chain lengths by the share of chains of at least k subtasks, k = 1, 2, …; None where one is missing.

    `E[L] = sum s_k` and `E[L²] = sum (2k - 1) s_k`.
    """
    shares = [cell["value"] for cell in cells if cell["key"].startswith("stage:")]
    if not shares or any(share is None for share in shares):
        return None
    mean = math.fsum(shares)
    return max(0.0, math.fsum((2 * k - 1) * share for k, share in enumerate(shares, 1)) - mean**2)


def _is_ranked(row: RowMapping) -> bool:
    return row["state"] == "listed" and not row["unranked"] and row["score"] is not None


def _pairs(connection: Connection, board_id: int) -> dict[tuple[int, int], tuple[float, float, int]]:
    """Ids, the smaller first → p, share of discordant pairs, n."""
    found = connection.execute(
        sa.select(BOARD_PAIR.c["row_a", "row_b", "p", "b_count", "c_count", "n"]).where(
            BOARD_PAIR.c.board_id == board_id
        )
    )
    return {(a, b): (p, (b_count + c_count) / n, n) for a, b, p, b_count, c_count, n in found}


def _p_values(
    members: Sequence[RowMapping], pairs: Mapping[tuple[int, int], tuple[float, float, int]], *, form: str
) -> NDArray[np.float64]:
    """`[M, M]`, symmetric: of stored pairs, and of counts where rows are no runs of one plan."""
    p_values = np.ones((len(members), len(members)))
    for i, a in enumerate(members):
        for j, b in enumerate(members[:i]):
            stored = pairs.get((min(a["id"], b["id"]), max(a["id"], b["id"])))
            p = _independent(a, b, form) if stored is None else stored[0]
            p_values[i, j] = p_values[j, i] = p
    return p_values


def _independent(a: RowMapping, b: RowMapping, form: str) -> float:
    if form != AVG_LENGTH:
        return independent_p(a["n_success"], a["n_judged"], b["n_success"], b["n_judged"])
    variances = [chain_variance(row["cells"]) for row in (a, b)]
    if variances[0] is None or variances[1] is None:
        return 1.0
    found = independent_lengths(a["score"], variances[0], a["n_judged"], b["score"], variances[1], b["n_judged"])
    return 1.0 if found is None else found.p


def _ranks(members: Sequence[RowMapping], p_values: NDArray[np.float64]) -> dict[int, dict[str, Any]]:
    scores = [row["score"] for row in members]
    ranges = rank_ranges(scores, p_values, ALPHA)
    letters = [""] * len(members)
    if len(members) <= MOST_LETTERS:
        letters = group_letters(scores, _apart(p_values))
    return {
        row["id"]: {"rank_best": found.best, "rank_worst": found.worst, "letters": letter if len(letter) <= 200 else ""}
        for row, found, letter in zip(members, ranges, letters, strict=True)
    }


def _apart(p_values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Told apart where the Holm families of both rows say so: a letter is shared or not, whoever asks."""
    n = len(p_values)
    apart = np.zeros((n, n), bool)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        apart[i, others] = np.array(holm(p_values[i, others].tolist())) <= ALPHA
    return np.asarray(apart & apart.T)


def _store(connection: Connection, rows: Sequence[RowMapping], wanted: Mapping[int, Mapping[str, Any]]) -> None:
    changed = [
        {"key": row["id"], **wanted[row["id"]]}
        for row in rows
        if any(row[name] != value for name, value in wanted[row["id"]].items())
    ]
    if changed:
        statement = sa.update(BOARD_ROW).where(BOARD_ROW.c.id == sa.bindparam("key"))
        named = {name: sa.bindparam(name) for name in ("rank_best", "rank_worst", "letters")}
        connection.execute(statement.values(named), changed)


def _counts(rows: Sequence[RowMapping]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows:
        if row["rank_class"] == "variant":
            counts["variant"] += 1
        elif row["state"] == "listed":
            counts[row["mark"]] += 1
        else:
            counts["incomplete" if row["state"] == "incomplete" else "gone"] += 1
    return dict(sorted(counts.items()))


def _latencies(rows: Sequence[RowMapping]) -> list[dict[str, Any]]:
    """Answer times that can be compared: of declared devices and precisions, at batch size 1."""
    lines = []
    for row in rows:
        found = row["efficiency"]
        is_told = found.get("device") and found.get("precision") and found.get("batch") == 1
        if (
            row["state"] == "listed"
            and row["run_id"] is not None
            and row["kind"] != PolicyKind.ORACLE
            and is_told
            and found.get("policy_p50_ms") is not None
        ):
            lines.append(
                {
                    "row_id": row["id"],
                    "device": found["device"],
                    "precision": found["precision"],
                    "p50_ms": found["policy_p50_ms"],
                    "p95_ms": found.get("policy_p95_ms"),
                    "n_queries": found.get("n_queries", 0),
                }
            )
    return lines


def _leader(row: RowMapping) -> dict[str, Any]:
    return {
        "row_id": row["id"],
        "policy": row["policy"],
        "version": row["version"],
        "score": row["score"],
        "mark": row["mark"],
    }


def _saturation(
    board: RowMapping,
    name: str,
    leaders: Sequence[RowMapping],
    pairs: Mapping[tuple[int, int], tuple[float, float, int]],
) -> dict[str, Any]:
    n = board["n_planned"]
    found: dict[str, Any] = {
        "n": n, "resolvable": None, "discordance": None, "n_leaders": len(leaders), "room": None, "is_saturated": False,
        "text": "",
    }  # fmt: skip
    if not leaders or name == "published" or not n:
        return found
    best = leaders[0]
    if board["form"] == AVG_LENGTH:
        from scipy.stats import norm

        n_stages = sum(cell["key"].startswith("stage:") for cell in best["cells"])
        variance = chain_variance(best["cells"]) or 0.0
        found["resolvable"] = float(norm.isf(0.025) + norm.isf(0.2)) * math.sqrt(2 * variance / n)
        found["room"] = n_stages - best["score"]
        text = f"With {n:,} chains it finds a difference of {found['resolvable']:.2f} subtasks"
    else:
        measured = [share for key, (_, share, _) in pairs.items() if best["id"] in key]
        discordance = median(measured) if measured else worst_discordance(best["score"])
        found |= {"discordance": discordance, "room": 1 - best["score"]}
        found["resolvable"] = detectable_paired(n, discordance) if discordance > 0 else 0.0
        kind = "as many pairs differ as between its leader and the others" if measured else "outcomes are independent"
        text = f"With {n:,} pairs it finds a difference of {100 * found['resolvable']:.1f} points where {kind}"
    text += " (80 % power, 5 %, two-sided)."
    if len(leaders) > MANY_TIED:
        found["is_saturated"] = True
        text = f"This board no longer separates its leaders: {len(leaders)} share rank 1. {text}"
    elif found["room"] < found["resolvable"]:
        found["is_saturated"] = True
        text = f"The leader is closer to the top than this board can see. {text}"
    return found | {"text": text}
