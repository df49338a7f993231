"""`ReplayProgress`: how far replays are: a bar on a terminal, a line now and then elsewhere. On stderr."""

from __future__ import annotations

from collections import Counter
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from vla_bench.cli.display.console import is_interactive, story
from vla_bench.cli.display.progress import PLAIN_EVERY_S
from vla_bench.cli.display.words import counts, duration

if TYPE_CHECKING:
    from vla_bench.harness.replay import ReplayResult

__all__ = ["ReplayProgress"]


class ReplayProgress:
    """Use as a context manager, so that the terminal is given back whatever happens."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._total = self._n_done = 0
        self._agreements: Counter[str] = Counter()
        self._begun_s = self._said_at_s = monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, n_replays: int) -> None:
        """So many replays will be made."""
        self._total = n_replays
        if is_interactive() and n_replays:
            self._live = Live(console=story(), get_renderable=self._render, refresh_per_second=4, transient=True)
            self._live.start()

    def add(self, result: ReplayResult) -> None:
        """One replay has ended."""
        self._n_done += 1
        self._agreements[str(result.agreement)] += 1
        if self._live is None and (monotonic() - self._said_at_s >= PLAIN_EVERY_S or self._n_done == self._total):
            self._said_at_s = monotonic()
            story().print(f"{self._n_done}/{self._total} replays · {self._words()}", soft_wrap=True)

    def _words(self) -> str:
        took_s = monotonic() - self._begun_s
        left = f" · {duration(took_s / self._n_done * (self._total - self._n_done))} left" if self._n_done else ""
        return f"{counts(self._agreements) or 'none ended yet'} · {duration(took_s)}{left}"

    def _render(self) -> Any:
        line = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(1, self._total), completed=self._n_done, width=32, complete_style="cyan")
        line.add_row(bar, f"[name]{self._n_done}/{self._total}[/] replays", self._words())
        return line
