"""`Saboteur`: kills the policy server in the middle of a run, to show what happens then."""

from __future__ import annotations

import os
import signal
import threading

import psutil

from vla_bench.cli.display.console import story
from vla_bench.harness.events import Listener, ServerWait
from vla_bench.spec.episode import Episode
from vla_bench.spec.result import AttemptResult, EpisodeResult

__all__ = ["Saboteur"]

SERVER_MODULE = "vla_bench.policies.child"
DELAY_S = 1.5
"""After an episode has ended: the next one has left its initial state by then."""


class Saboteur(Listener):
    """Sends SIGKILL to the child server after `after` episodes; again after the next one where nobody noticed."""

    def __init__(self, after: int) -> None:
        self._after = after
        self._n_ended = 0
        self._has_hit = False
        self._timer: threading.Timer | None = None

    def attempt_finished(self, episode: Episode, attempt: AttemptResult, *, is_final: bool) -> None:
        """Notice that the kill was noticed."""
        self._has_hit = self._has_hit or not attempt.outcome.is_judged

    def episode_finished(self, result: EpisodeResult) -> None:
        """Count, and strike where it is time."""
        self._n_ended += 1
        if self._n_ended >= self._after and not self._has_hit:
            self.stop()
            self._timer = threading.Timer(DELAY_S, _kill_server)
            self._timer.daemon = True
            self._timer.start()

    def waiting_for_server(self, wait: ServerWait) -> None:
        """Spare the server that is being started: a demo that kills it too would have none."""
        self.stop()

    def stop(self) -> None:
        """Kill nobody from now on."""
        if self._timer is not None:
            self._timer.cancel()


def _kill_server() -> None:
    for process in psutil.Process().children(recursive=True):
        try:
            if SERVER_MODULE in process.cmdline():
                story().print(
                    f"[bad]kill -9 {process.pid}[/]  [dim]on purpose: the policy server, in the middle of an episode[/]"
                )
                os.kill(process.pid, signal.SIGKILL)
        except (psutil.Error, ProcessLookupError):
            continue
