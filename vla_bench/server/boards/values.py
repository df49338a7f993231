"""What a row says of a run: columns of `board_row` made of its summary and of what was declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from vla_bench.results.rows import plain_text
from vla_bench.results.runs import RunSummary
from vla_bench.server.boards.place import AVG_LENGTH, family_key

__all__ = ["efficiency", "notes", "score", "who"]


def who(summary: RunSummary, policy: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Whose result it is, and what was declared of it."""
    scope = declared.get("checkpoint_scope") or summary.checkpoint_scope.value
    return {
        "family": family_key(str(declared.get("family") or summary.policy)),
        "policy": plain_text(summary.policy, 200),
        "version": plain_text(summary.policy_version, 200),
        "kind": summary.policy_kind.value,
        "weights_digest": plain_text(str(policy.get("weights_digest", "")), 200),
        "policy_digest": summary.policy_digest,
        "eval_hash": summary.eval_hash,
        "trained_on": str(declared.get("trained_on") or "undeclared"),
        "checkpoint_scope": str(scope),
        "parameters": declared.get("parameters"),
        "open_weights": declared.get("open_weights"),
        "n_runs": 0,
        "date": summary.finished_at[:10],
    }


def score(summary: RunSummary, form: str) -> dict[str, Any]:
    """Score, interval, bounds and counts: of chains their average length."""
    chains = summary.chains
    if form == AVG_LENGTH and chains is not None:
        value, interval, bounds = chains.mean_length, chains.interval, chains.bounds
    else:
        value, interval, bounds = summary.rate, summary.these_tasks, summary.bounds
    return {
        "score": value,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "bound_low": bounds[0] if bounds else None,
        "bound_high": bounds[1] if bounds else None,
        "n_success": summary.n_success,
        "n_judged": summary.n_judged,
        "n_planned": summary.n_planned,
    }


def notes(summary: RunSummary, declared: Mapping[str, Any]) -> list[dict[str, str]]:
    """Footnotes: `kind` and `text`."""
    found = []
    if summary.is_imported:
        found.append(("import", f"imported from {summary.origin.get('tool', 'another harness')}"))
    if summary.fetched_from:
        found.append(("import", f"fetched from {summary.fetched_from}"))
    if summary.standin:
        found.append(("flag", f"stand-in assets: {summary.standin}"))
    found += [("flag", f"{flag.replace('_', ' ')}: {n} episodes") for flag, n in summary.flags.items()]
    if summary.n_clipped:
        found.append(("flag", f"{summary.n_clipped:,} actions were clipped to the suite's bounds"))
    if declared.get("notes"):
        found.append(("protocol", str(declared["notes"])))
    return [{"kind": kind, "text": text} for kind, text in found]


def efficiency(summary: RunSummary, declared: Mapping[str, Any], bins: Mapping[int, int]) -> dict[str, Any]:
    """What was measured of its answers, and on what, where that was declared.

    Args:
        summary: of the run.
        declared: by its submitter.
        bins: logarithmic bin → answers, see `results.stats.bins`; the run's page draws them.
    """
    found: dict[str, Any] = {key: value for key, value in asdict(summary.latencies).items() if value is not None}
    if bins:
        found["bins"] = {str(number): bins[number] for number in sorted(bins)}
    return found | {key: declared[key] for key in ("device", "precision", "batch") if declared.get(key)}
