"""What a run cost, from its attempts. What is no finite number was not measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.report.model import Efficiency
from vla_bench.results.stats.bins import merge_bins, percentile
from vla_bench.results.tables import ATTEMPT

__all__ = ["measure_efficiency"]

PERCENTILES = (50, 90, 95, 99)


def measure_efficiency(connection: Connection, run_id: int, policy: Mapping[str, Any]) -> Efficiency:
    """Add up the attempts of a run.

    Args:
        connection: inside a reading transaction.
        run_id: of the run.
        policy: its handshake; `options` may declare `n_parameters` and `memory_bytes`, which nobody checks.
    """
    of_run = ATTEMPT.c.run_id == run_id
    names = ("n_steps", "n_queries", "wall_ms", "policy_ms", "env_ms")
    sums = [sa.func.coalesce(sa.func.sum(ATTEMPT.c[name]), 0).label(name) for name in names]
    row = connection.execute(
        sa.select(sa.func.max(ATTEMPT.c.policy_max_ms).label("longest"), *sums).where(of_run)
    ).mappings().one()  # fmt: skip
    bins = merge_bins(connection.scalars(sa.select(ATTEMPT.c.policy_bins).where(of_run)))
    n_steps = int(row["n_steps"])
    longest_ms = _finite(row["longest"]) if row["n_queries"] else None
    return Efficiency(
        latencies_ms={share: _at_most(percentile(bins, share / 100), longest_ms) for share in PERCENTILES},
        longest_ms=longest_ms,
        n_queries=int(row["n_queries"]),
        n_steps=n_steps,
        actions_per_s=_rate(n_steps, row["policy_ms"]),
        steps_per_s=_rate(n_steps, row["wall_ms"]),
        env_ms=_finite(row["env_ms"] / n_steps) if n_steps and row["env_ms"] else None,
        n_parameters=_declared(policy, "n_parameters"),
        memory_bytes=_declared(policy, "memory_bytes"),
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _at_most(value: float | None, longest: float | None) -> float | None:
    # A percentile is the middle of its bin, which may lie beyond the longest answer in it.
    return value if value is None or longest is None else min(value, longest)


def _rate(count: int, took_ms: float) -> float | None:
    return 1000 * count / took_ms if count and math.isfinite(took_ms) and took_ms > 0 else None


def _declared(policy: Mapping[str, Any], name: str) -> int | None:
    value = policy.get("options", {}).get(name)
    is_count = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    return int(value) if is_count else None
