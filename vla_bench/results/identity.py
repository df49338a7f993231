"""What makes two runs the same: plan, settings, policy and suite; and the readable difference where they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vla_bench.spec.canonical import canonical_json

__all__ = ["Change", "RunIdentity", "difference", "leaf_changes", "short"]

MOST_LINES = 12


class Change(NamedTuple):
    """One leaf of two plain JSON values that differs; `path` is written `settings.crop` or `tasks[3].horizon`."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """Digests that must be equal, and the plain content behind each of them.

    Attributes:
        digests: `suite`, `plan`, `settings`, `policy` → digest.
        suite, settings, policy: plain content.
        episodes: gives those of the plan, in order; asked only where the plans differ.
    """

    digests: Mapping[str, str]
    suite: Mapping[str, Any]
    settings: Mapping[str, Any]
    policy: Mapping[str, Any]
    episodes: Callable[[], Sequence[Mapping[str, Any]]]


def difference(stored: RunIdentity, wanted: RunIdentity) -> list[str]:
    """Lines such as `settings.replan_horizon: 8 → 1`; empty where the two are one run."""
    lines: list[str] = []
    for part in ("suite", "plan", "settings", "policy"):
        if stored.digests[part] == wanted.digests[part]:
            continue
        if part == "plan":
            found = _plan_difference(stored.episodes(), wanted.episodes())
        else:
            found = _changes(part, getattr(stored, part), getattr(wanted, part))
        lines += found or [f"{part}: {stored.digests[part][:16]} → {wanted.digests[part][:16]}"]
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], f"… and {len(lines) - MOST_LINES} more"]


def _plan_difference(stored: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    if len(stored) != len(wanted):
        lines.append(f"plan: {len(stored)} episodes → {len(wanted)} episodes")
    for name in ("task", "trial", "repeat"):
        counts = [len({episode[name] for episode in episodes}) for episodes in (stored, wanted)]
        if counts[0] != counts[1]:
            lines.append(f"plan: {counts[0]} {name}s → {counts[1]} {name}s")
    if lines:
        return lines
    for position, (old, new) in enumerate(zip(stored, wanted, strict=True)):
        if changes := _changes(f"plan episode {position}", old, new):
            return changes
    return []


def leaf_changes(path: str, old: Any, new: Any) -> Iterator[Change]:
    """Walk two plain JSON values side by side and give every leaf that differs; a key that one lacks is None there."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from leaf_changes(f"{path}.{key}" if path else key, old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from leaf_changes(f"{path}[{index}]", *pair)
    elif canonical_json(old) != canonical_json(new):
        yield Change(path, old, new)


def _changes(path: str, old: Any, new: Any) -> list[str]:
    return [f"{change.path}: {short(change.old)} → {short(change.new)}" for change in leaf_changes(path, old, new)]


def short(value: Any) -> str:
    """A plain JSON value on one line, cut where it is long."""
    text = canonical_json(value)
    return text if len(text) <= 60 else text[:57] + "…"
