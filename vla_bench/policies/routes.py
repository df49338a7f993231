"""One policy behind several servers: which route a task takes, and what all of them together are.

A policy that was trained once per suite has a checkpoint for each. A run's policy is then every route that its plan
uses, and its digest covers each of them in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from vla_bench.spec.canonical import canonical_json, sha256_hex, to_plain
from vla_bench.spec.errors import ConventionMismatch, UsageError
from vla_bench.spec.messages import CheckpointScope, PolicyInfo
from vla_bench.spec.names import match_name
from vla_bench.spec.suite import Suite, Task

__all__ = ["joined_info", "routes_of"]


def routes_of(suite: Suite, tasks: Iterable[str], routes: Iterable[str], route_by: str) -> dict[str, str]:
    """Find the route of each task: by the value of its tag `route_by`, by the suite's name where it has no such tag.

    Args:
        suite: of the tasks.
        tasks: ids.
        routes: keys of the configuration file; case, dashes and underscores do not matter.
        route_by: tag.

    Returns:
        Task id → key.

    Raises:
        UsageError: tasks have no route; the message says which there are.
    """
    known = list(routes)
    wanted = {task: _wanted(suite.task(task), suite, route_by) for task in dict.fromkeys(tasks)}
    found = {value: match_name(value, known) for value in set(wanted.values())}
    if missing := sorted(value for value, key in found.items() if key is None):
        raise UsageError(
            f"no route for {', '.join(map(repr, missing))} ({route_by} of the tasks of {suite.name!r}); "
            f"the policy's file has: {', '.join(known)}"
        )
    return {task: key for task, value in wanted.items() if (key := found[value])}


def _wanted(task: Task, suite: Suite, route_by: str) -> str:
    value = task.tags.get(route_by)
    return suite.name if value is None else str(value)


def joined_info(label: str, infos: Mapping[str, PolicyInfo], n_routes: int) -> PolicyInfo:
    """What several routes are as one policy; every route's own handshake stands among its options.

    Args:
        label: the name under which results are stored; empty takes the one that all routes have.
        infos: route → handshake of those that a plan uses, at least one, in any order.
        n_routes: of the file. Where all of them are one policy on several servers, the joined one is just that.

    Raises:
        UsageError: the routes have different names and there is no label.
        ConventionMismatch: some read privileged state and others do not.
    """
    ordered = [infos[key] for key in sorted(infos)]
    if len({info.kind for info in ordered}) > 1:
        kinds = ", ".join(f"{key} {infos[key].kind}" for key in sorted(infos))
        raise ConventionMismatch(f"an oracle and other policies are no one policy: {kinds}")
    if len(infos) == n_routes and len({info.digest for info in ordered}) == 1:
        return replace(ordered[0], name=label or ordered[0].name)
    names = dict.fromkeys(info.name for info in ordered)
    if not label and len(names) > 1:
        raise UsageError(f"the routes are policies of several names ({', '.join(names)}): give the file a name")
    weights = {key: infos[key].weights_digest for key in sorted(infos)}
    return PolicyInfo(
        name=label or ordered[0].name,
        version=", ".join(dict.fromkeys(info.version for info in ordered)),
        weights_digest=sha256_hex(weights) if any(weights.values()) else "",
        kind=ordered[0].kind,
        **_common(ordered),
        chunk_length=max(info.chunk_length for info in ordered),
        batch_limit=min(info.batch_limit for info in ordered),
        options={"routes": {key: to_plain(infos[key]) for key in sorted(infos)}},
        checkpoint_scope=CheckpointScope.PER_SUITE,
    )


def _common(infos: list[PolicyInfo]) -> dict[str, Any]:
    """Conventions that all routes share; where they do not, the handshake of each says its own."""
    names = {"action", "cameras", "state", "history", "wants_depth"}
    values = {field.name: [getattr(info, field.name) for info in infos] for field in fields(PolicyInfo)}
    return {
        name: found[0]
        for name, found in values.items()
        if name in names and len({canonical_json(value) for value in found}) == 1
    }
