"""`Photographer`: takes a picture of the screen at each event of a run."""

from __future__ import annotations

from vla_bench.cli.demo.screen import Screen
from vla_bench.cli.display.progress import Progress
from vla_bench.harness.events import Listener, ServerWait
from vla_bench.spec.result import EpisodeResult

__all__ = ["Photographer"]


class Photographer(Listener):
    """Hears a run after its display.

    Attributes:
        subject: the display whose running state stands below what was printed; set for each run.
    """

    subject: Progress | None = None

    def __init__(self, screen: Screen) -> None:
        """Take pictures of this screen."""
        self._screen = screen

    def episode_finished(self, result: EpisodeResult) -> None:
        """Take a picture."""
        self._shoot()

    def waiting_for_server(self, wait: ServerWait) -> None:
        """Take a picture."""
        self._shoot()

    def server_back(self) -> None:
        """Take a picture."""
        self._shoot()

    def shoot(self) -> None:
        """Take a picture of what was printed, with nothing below it."""
        self.subject = None
        self._shoot()

    def _shoot(self) -> None:
        self._screen.shoot(self.subject.render() if self.subject is not None else "")
