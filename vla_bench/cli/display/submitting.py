"""`SubmitProgress`: how far a submission is, on stderr; and what became of it, on stdout."""

from __future__ import annotations

from dataclasses import asdict
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from vla_bench.cli.display.console import answer, is_interactive, print_json, story
from vla_bench.cli.display.progress import PLAIN_EVERY_S

if TYPE_CHECKING:
    from vla_bench.server.submissions.send import Progress as Stage
    from vla_bench.server.submissions.send import Submitted

__all__ = ["SubmitProgress", "print_submitted"]

_WORDS = {"bundle": "bundling", "upload": "sending", "check": "the board checks it"}
_NEXT = {
    "sealed": "the board will check it",
    "checking": "the board checks it",
    "listed": "listed",
    "auditing": "listed; episodes that the board has drawn wait for their replay",
}


class SubmitProgress:
    """Use as a context manager, so that the terminal is given back whatever happens."""

    def __init__(self) -> None:
        self._stage, self._said_at_s = "", monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=story(), transient=True) if is_interactive() else None
        self._task = self._bar.add_task(_WORDS["bundle"], total=None) if self._bar else None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, at: Stage) -> None:
        """It has come so far."""
        if self._bar is not None and self._task is not None:
            total = at.total_bytes or None
            self._bar.update(self._task, description=_WORDS[at.stage], completed=at.done_bytes, total=total)
            return
        is_new = at.stage != self._stage
        if is_new or monotonic() - self._said_at_s >= PLAIN_EVERY_S:
            self._stage, self._said_at_s = at.stage, monotonic()
            share = f" · {at.done_bytes}/{at.total_bytes} bytes" if at.total_bytes else ""
            story().print(f"{_WORDS[at.stage]}{share}", soft_wrap=True)


def print_submitted(sent: Submitted, *, as_json: bool) -> None:
    """Print what became of a submission."""
    if as_json:
        print_json(asdict(sent))
        return
    kept = f", {sent.n_kept} parts were there" if sent.n_kept else ""
    answer().print(f"submitted {escape(sent.run)}: {sent.score_line}", soft_wrap=True)
    answer().print(f"[dim]{sent.bundle_bytes} bytes, SHA-256 {sent.bundle_digest[:16]}{kept}[/]", soft_wrap=True)
    answer().print(f"{_NEXT.get(sent.state, sent.state)}: {escape(sent.url)}", soft_wrap=True)
