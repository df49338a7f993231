"""The forms of a bundle's members, checked before anything is made of them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vla_bench.server.submissions.declaration import Declaration
from vla_bench.spec.outcomes import Outcome

__all__ = [
    "FORMAT", "MACHINES", "MANIFEST", "PLAN", "POLICY", "ROWS_OF_ATTEMPTS", "ROWS_OF_EPISODES", "SUITE", "SUMMARY",
    "TABLES", "AttemptLine", "EpisodeLine", "MachineLine", "Manifest", "limit_of", "trace_member", "trace_of_member",
]  # fmt: skip

FORMAT = "vla-bench/bundle/1"
MANIFEST, SUITE, POLICY, PLAN = "manifest.json", "suite.json", "policy.json", "plan.json"
MACHINES, SUMMARY = "machines.json", "summary.json"
ROWS_OF_EPISODES, ROWS_OF_ATTEMPTS = "episodes.jsonl", "attempts.jsonl"
TABLES = (SUITE, POLICY, PLAN, MACHINES, SUMMARY, ROWS_OF_EPISODES, ROWS_OF_ATTEMPTS)
"""Members between the manifest and the traces, in the one order in which they lie."""

_LIMITS = {
    MANIFEST: 1 << 20, SUITE: 64 << 20, POLICY: 1 << 20, PLAN: 128 << 20, MACHINES: 1 << 20, SUMMARY: 64 << 20,
    ROWS_OF_EPISODES: 128 << 20, ROWS_OF_ATTEMPTS: 512 << 20,
}  # fmt: skip
_TRACE_BYTES = 64 << 20
_TRACE = re.compile(r"traces/([0-9a-f]{64})\.trace\.zst")
_MOST = 2**31 - 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{0,64}$")]
EpisodeId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Name = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
Count = Annotated[int, Field(ge=0, le=_MOST, strict=True)]
Milliseconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Moment = Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\+00:00)?$")]
"""UTC, to the second: dates of rows are compared as text."""
Flags = Annotated[list[Annotated[str, Field(max_length=80)]], Field(max_length=20)]
OutcomeName = Literal[tuple(outcome.value for outcome in Outcome)]  # type: ignore[valid-type]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Manifest(_Form):
    """`manifest.json`: what the bundle says it is. `members` has the SHA-256 of every member but the traces."""

    format: Literal["vla-bench/bundle/1"]
    harness: Annotated[str, Field(max_length=80)]
    suite: Name
    protocol: Name
    suite_digest: Sha256
    plan_hash: Sha256
    policy_digest: Sha256
    eval_hash: Sha256
    settings: dict[str, Any]
    run: Name
    command: Annotated[str, Field(max_length=20_000)]
    shards: Annotated[list[Annotated[str, Field(max_length=20)]], Field(max_length=100_000)]
    started_at: Moment
    finished_at: Moment
    n_episodes: Count
    n_attempts: Count
    n_traces: Count
    declaration: Declaration
    members: dict[str, Sha256]


class MachineLine(_Form):
    """A fingerprint; its id is a digest of these."""

    cpu: Name
    os: Name
    python: Annotated[str, Field(max_length=40, pattern=r"^[^\x00]*$")]
    packages: dict[Name, Name]
    renderer: dict[Name, Name]


class EpisodeLine(_Form):
    """A line of `episodes.jsonl`: the final outcome of an episode."""

    episode_id: EpisodeId
    position: Count
    task: Name
    trial: Count
    repeat: Count
    outcome: OutcomeName
    error_kind: Annotated[str, Field(max_length=40)]
    n_attempts: Count
    n_steps: Count
    n_clipped: Count
    flags: Flags


class StageLine(_Form):
    """One stage of an attempt."""

    index: Count
    success: Annotated[bool, Field(strict=True)]
    n_steps: Count
    start_digest: Digest


class AttemptLine(_Form):
    """A line of `attempts.jsonl`: one try at an episode. Times are milliseconds."""

    episode_id: EpisodeId
    attempt: Count
    outcome: OutcomeName
    error_kind: Annotated[str, Field(max_length=40)]
    error_message: Annotated[str, Field(max_length=100_000)]
    n_steps: Count
    n_clipped: Count
    stages: Annotated[list[StageLine], Field(max_length=100)]
    flags: Flags
    facts: dict[str, Any]
    initial_digest: Digest
    final_digest: Digest
    wall_ms: Milliseconds
    policy_ms: Milliseconds
    env_ms: Milliseconds
    n_queries: Count
    policy_p50_ms: Milliseconds
    policy_p95_ms: Milliseconds
    policy_max_ms: Milliseconds
    policy_bins: Annotated[dict[str, Count], Field(max_length=2000)]
    fingerprint: EpisodeId | None
    trace_digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    started_at: Annotated[str, Field(max_length=40)]


def limit_of(name: str) -> int | None:
    """The most bytes of a member; None for a name that no bundle has."""
    return _LIMITS.get(name) or (_TRACE_BYTES if _TRACE.fullmatch(name) else None)


def trace_member(digest: str) -> str:
    """The member that holds a trace."""
    return f"traces/{digest}.trace.zst"


def trace_of_member(name: str) -> str:
    """The digest in a trace's member name; empty for another member."""
    match = _TRACE.fullmatch(name)
    return match.group(1) if match else ""
