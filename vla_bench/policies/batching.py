"""Dynamic batching: the questions of all live sessions joined into one forward pass, without waiting for nobody.

A pass starts as soon as every session that is waited for has asked, the batch limit is reached, or the longest wait has
passed since the first question could have been answered. Questions that come during a pass gather for the next one.
Waited for is a session that has had an answer and is due again within the wait, judged by how long it took the last
time; one that let a wait pass, is being reset or closed is not, until it asks again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vla_bench.policies.answers import Answer
from vla_bench.spec.errors import BadRequest
from vla_bench.spec.messages import Observation

__all__ = ["Batcher", "ForwardPass"]

ForwardPass = Callable[[Sequence[Observation], Callable[[list[Answer]], None]], None]
"""Starts a forward pass and has its answers, one per row, delivered later on the event loop."""


class _Row(NamedTuple):
    observation: Observation
    arrived: float
    deliver: Callable[[Answer], None]


class _Seat:
    """What is known of a session's pace."""

    __slots__ = ("answered_at", "due", "think_s")

    def __init__(self) -> None:
        self.answered_at: float | None = None
        self.think_s = 0.0
        self.due = math.inf


class Batcher:
    """Gathers questions and starts forward passes, one at a time. All methods belong to the event loop's thread."""

    def __init__(self, start_pass: ForwardPass, *, batch_limit: int, max_wait_s: float) -> None:
        """Start with no sessions.

        Args:
            start_pass: runs the policy elsewhere; must not block.
            batch_limit: the most rows of a pass, at least 1.
            max_wait_s: the longest wait for sessions that have not asked, seconds.
        """
        self._loop = asyncio.get_running_loop()
        self._start_pass = start_pass
        self._batch_limit = batch_limit
        self._max_wait_s = max_wait_s
        self._seats: dict[str, _Seat] = {}
        self._pending: dict[str, _Row] = {}
        self._n_holds = 0
        self._free_since = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, observation: Observation, deliver: Callable[[Answer], None]) -> None:
        """Put a question; `deliver` is called once, on the event loop. A session has at most one question at a time."""
        session, now = observation.identity.session, self._loop.time()
        seat = self._seats.setdefault(session, _Seat())
        if seat.answered_at is not None:
            seat.think_s = now - seat.answered_at
        seat.due = math.inf
        self._pending[session] = _Row(observation, now, deliver)
        self._consider()

    def forget(self, session: str) -> None:
        """Stop waiting for a session; a question of it that no pass has taken yet is answered with an error."""
        self._seats.pop(session, None)
        row = self._pending.pop(session, None)
        if row is not None:
            row.deliver(BadRequest(f"session {session!r} was reset or closed before its question was answered"))
        self._consider()

    def hold(self) -> None:
        """Start no pass, since the policy is busy: questions gather. Each hold wants its `release`."""
        self._n_holds += 1

    def release(self) -> None:
        """The policy is free again."""
        self._n_holds -= 1
        if not self._n_holds:
            self._free_since = self._loop.time()
        self._consider()

    def _consider(self) -> None:
        """Start a pass now, or set the clock for it."""
        if self._n_holds or not self._pending:
            return
        if len(self._pending) >= self._batch_limit:
            self._fire()
            return
        # Dictionaries keep their order: the first row has waited longest.
        first = next(iter(self._pending.values()))
        latest = max(first.arrived, self._free_since) + self._max_wait_s
        if not any(seat.due <= latest for seat in self._seats.values()):
            self._fire()
        elif self._timer is None:
            self._timer = self._loop.call_at(latest, self._wait_is_over, latest)

    def _wait_is_over(self, latest: float) -> None:
        self._timer = None
        for seat in self._seats.values():
            if seat.due <= latest:
                seat.due = math.inf
        self._consider()

    def _fire(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rows = [self._pending.pop(session) for session in list(self._pending)[: self._batch_limit]]
        self.hold()
        self._start_pass([row.observation for row in rows], lambda answers: self._finish(rows, answers))

    def _finish(self, rows: Sequence[_Row], answers: Sequence[Answer]) -> None:
        now = self._loop.time()
        for row, answer in zip(rows, answers, strict=True):
            seat = self._seats.get(row.observation.identity.session)
            if seat is not None:
                seat.answered_at = now
                seat.due = now + seat.think_s
            row.deliver(answer)
        self.release()
