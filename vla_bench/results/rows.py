"""Between `spec` types and table rows: every conversion, in both directions, and nothing else."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from vla_bench.results.stats.bins import count_bins
from vla_bench.spec.canonical import canonical_json, sha256_hex, to_plain
from vla_bench.spec.episode import Episode, Plan
from vla_bench.spec.errors import StoreCorrupted
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, Fingerprint, Latencies, StageResult
from vla_bench.spec.suite import Suite

__all__ = [
    "attempt_from_row", "attempt_row", "episode_row", "now", "pack_plan", "plain_text", "storable", "suite_content",
    "suite_digest", "unpack_episodes", "unpack_plan",
]  # fmt: skip


def now() -> str:
    """The present time, UTC, ISO 8601 with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def suite_content(suite: Suite) -> dict[str, Any]:
    """What a run keeps of its suite, plain JSON values. Initial states are left out: they are in the plan."""
    content: dict[str, Any] = to_plain(suite)
    for task in content["tasks"]:
        del task["initial_states"]
    return content


def suite_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 over what decides a score: titles and provenance are for people and may be corrected."""
    return sha256_hex({key: value for key, value in content.items() if key not in ("title", "provenance")})


def pack_plan(plan: Plan) -> bytes:
    """The canonical JSON of a plan's episodes, compressed; its SHA-256 before compression is the plan hash."""
    return zlib.compress(canonical_json(plan.episodes).encode())


def unpack_episodes(packed: bytes, plan_hash: str) -> list[dict[str, Any]]:
    """The episodes of a stored plan as plain values, in plan order.

    Raises:
        StoreCorrupted: they are not what the hash says.
    """
    try:
        text = zlib.decompress(packed)
    except zlib.error as error:
        raise StoreCorrupted(f"plan {plan_hash[:16]} is damaged: {error}") from error
    if hashlib.sha256(text).hexdigest() != plan_hash:
        raise StoreCorrupted(f"plan {plan_hash[:16]} is damaged: its content has another hash")
    episodes: list[dict[str, Any]] = json.loads(text)
    return episodes


def unpack_plan(packed: bytes, plan_hash: str, suite: str, protocol: str) -> Plan:
    """The stored plan."""
    episodes = tuple(Episode(**values) for values in unpack_episodes(packed, plan_hash))
    return Plan(suite=suite, protocol=protocol, episodes=episodes)


def episode_row(run_id: int, position: int, episode: Episode, last: AttemptResult, n_attempts: int) -> dict[str, Any]:
    """The row of an episode of which `last` is the attempt that counts."""
    return {
        "run_id": run_id,
        "episode_id": episode.id,
        "position": position,
        "task": episode.task,
        "trial": episode.trial,
        "repeat": episode.repeat,
        "outcome": str(last.outcome),
        "error_kind": plain_text(last.error_kind, 40),
        "n_attempts": n_attempts,
        "n_steps": int(last.n_steps),
        "n_clipped": int(last.n_clipped),
        "flags": [plain_text(flag) for flag in last.flags],
    }


def attempt_row(run_id: int, episode_id: str, number: int, result: AttemptResult, trace_digest: str) -> dict[str, Any]:
    """The row of an attempt; whatever a simulator or a server put into it, the row can be stored."""
    times = result.latencies
    return {
        "run_id": run_id,
        "episode_id": episode_id,
        "attempt": number,
        "outcome": str(result.outcome),
        "error_kind": plain_text(result.error_kind, 40),
        "error_message": plain_text(result.error_message),
        "n_steps": int(result.n_steps),
        "n_clipped": int(result.n_clipped),
        "stages": [storable(to_plain(stage)) for stage in result.stages],
        "flags": [plain_text(flag) for flag in result.flags],
        "facts": storable(result.facts),
        "initial_digest": plain_text(result.initial_digest, 64),
        "final_digest": plain_text(result.final_digest, 64),
        "wall_ms": _finite(times.wall_ms),
        "policy_ms": _finite(times.policy_ms),
        "env_ms": _finite(times.env_ms),
        "n_queries": int(times.n_queries),
        "policy_p50_ms": _finite(times.policy_p50_ms),
        "policy_p95_ms": _finite(times.policy_p95_ms),
        "policy_max_ms": _finite(times.policy_max_ms),
        "policy_bins": {} if result.trace is None else count_bins(result.trace.latency_ms),
        "fingerprint": None if result.fingerprint is None else result.fingerprint.id,
        "trace_digest": trace_digest,
        "started_at": plain_text(result.started_at, 40),
    }


def attempt_from_row(row: Mapping[str, Any], fingerprint: Mapping[str, Any] | None) -> AttemptResult:
    """The attempt of a row, without its trace.

    Raises:
        StoreCorrupted: the row holds what no version of ours writes.
    """
    same = ("attempt", "error_kind", "error_message", "n_steps", "n_clipped", "facts", "initial_digest", "final_digest")
    times = ("wall_ms", "policy_ms", "env_ms", "n_queries", "policy_p50_ms", "policy_p95_ms", "policy_max_ms")
    try:
        return AttemptResult(
            **{name: row[name] for name in same},
            outcome=Outcome(row["outcome"]),
            stages=tuple(StageResult(**stage) for stage in row["stages"]),
            flags=tuple(row["flags"]),
            latencies=Latencies(**{name: row[name] for name in times}),
            fingerprint=None if fingerprint is None else Fingerprint(**fingerprint),
            started_at=row["started_at"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreCorrupted(f"attempt {row['attempt']} at episode {row['episode_id']} is damaged: {error}") from error


def plain_text(value: Any, limit: int | None = None) -> str:
    """Text that every database takes: no NUL, no lone surrogate, at most `limit` characters."""
    return str(value).replace("\0", "").encode("utf-8", "replace").decode()[:limit]


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0


def storable(value: Any) -> Any:
    """Plain JSON values of what a simulator or a foreign file says; an odd one becomes its text, the episode stays."""
    if isinstance(value, Mapping):
        return {plain_text(key): storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    if isinstance(value, np.ndarray):
        return storable(value.tolist())
    if isinstance(value, str):
        return plain_text(value)
    try:
        return to_plain(value)
    except (TypeError, ValueError):
        return plain_text(repr(value))
