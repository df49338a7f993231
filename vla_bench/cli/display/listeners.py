"""`Listeners`: several listeners that hear the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vla_bench.harness.events import Listener, RunStarted, ServerWait
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import VlaBenchError
from vla_bench.spec.result import AttemptResult, EpisodeResult

if TYPE_CHECKING:
    from vla_bench.results.runs import RunSummary

__all__ = ["Listeners"]


class Listeners(Listener):
    """Passes every event on to each of its members, in order."""

    def __init__(self, *members: Listener) -> None:
        self._members = members

    def run_started(self, started: RunStarted) -> None:
        """Pass it on."""
        for member in self._members:
            member.run_started(started)

    def attempt_finished(self, episode: Episode, attempt: AttemptResult, *, is_final: bool) -> None:
        """Pass it on."""
        for member in self._members:
            member.attempt_finished(episode, attempt, is_final=is_final)

    def episode_finished(self, result: EpisodeResult) -> None:
        """Pass it on."""
        for member in self._members:
            member.episode_finished(result)

    def waiting_for_server(self, wait: ServerWait) -> None:
        """Pass it on."""
        for member in self._members:
            member.waiting_for_server(wait)

    def server_back(self) -> None:
        """Pass it on."""
        for member in self._members:
            member.server_back()

    def run_stopped(self, error: VlaBenchError) -> None:
        """Pass it on."""
        for member in self._members:
            member.run_stopped(error)

    def run_finished(self, summary: RunSummary) -> None:
        """Pass it on."""
        for member in self._members:
            member.run_finished(summary)
