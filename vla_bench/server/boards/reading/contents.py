"""Suites and plans as they were stored, read once: they never change under their digest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.reading import planned_episodes
from vla_bench.results.tables import POLICY, SUITE
from vla_bench.server.boards.views import SuiteTask

__all__ = ["SuiteContent", "content_of", "planned_episode", "policy_content", "suite_content"]

_Value = TypeVar("_Value")


class _Shelf(Generic[_Value]):
    """The most recent few values by digest; safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._values: OrderedDict[str, _Value] = OrderedDict()

    def get(self, digest: str, make: Callable[[], _Value]) -> _Value:
        with self._lock:
            if digest in self._values:
                self._values.move_to_end(digest)
                return self._values[digest]
        value = make()
        with self._lock:
            self._values[digest] = value
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteContent:
    """A suite as it was run.

    Attributes:
        facts: plain content without its tasks.
        tasks: id → task, in the suite's order.
    """

    facts: Mapping[str, Any]
    tasks: Mapping[str, SuiteTask]


_SUITES: _Shelf[SuiteContent] = _Shelf(64)
# The plan of ten thousand episodes takes some 20 MB as plain values.
_PLANS: _Shelf[list[dict[str, Any]]] = _Shelf(8)


def suite_content(connection: Connection, digest: str) -> SuiteContent:
    """The suite of a digest."""
    return _SUITES.get(digest, lambda: content_of(_stored(connection, SUITE, digest)))


def content_of(content: Mapping[str, Any]) -> SuiteContent:
    """A suite's plain content in this form."""
    tasks = [
        SuiteTask(
            id=task["id"],
            instruction=task["instruction"],
            horizon=task["horizon"],
            stages=tuple(task.get("stages", ())),
            tags=task.get("tags", {}),
        )
        for task in content["tasks"]
    ]
    facts = {key: value for key, value in content.items() if key != "tasks"}
    return SuiteContent(facts=facts, tasks={task.id: task for task in tasks})


def policy_content(connection: Connection, digest: str) -> dict[str, Any]:
    """What a policy declared in its handshake."""
    return _stored(connection, POLICY, digest)


def planned_episode(connection: Connection, plan_hash: str, position: int) -> dict[str, Any]:
    """An episode of a plan, plain values."""
    return _PLANS.get(plan_hash, lambda: planned_episodes(connection, plan_hash))[position]


def _stored(connection: Connection, table: sa.Table, digest: str) -> dict[str, Any]:
    content: dict[str, Any] = connection.scalars(sa.select(table.c.content).where(table.c.digest == digest)).one()
    return content
