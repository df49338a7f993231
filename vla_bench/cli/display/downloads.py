"""How far a download, an unpacking or a check is: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from vla_bench.cli.display.console import story

__all__ = ["transfer_display"]

LINE_EVERY_S = 30.0

Report = Callable[[str, int, int], None]


@contextmanager
def transfer_display() -> Iterator[Report]:
    """Give a function to be called with what is done, bytes done and bytes in all (0 where unknown)."""
    if not story().is_terminal:
        yield _lines()
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=story(), transient=True) as bars:
        shown: dict[str, int] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in shown:
                for earlier in shown.values():
                    bars.remove_task(earlier)
                shown.clear()
                shown[what] = bars.add_task(what, total=None)
            bars.update(shown[what], completed=done, total=total or None)

        yield report


def _lines() -> Report:
    from rich.filesize import decimal

    last: dict[str, float] = {}

    def report(what: str, done: int, total: int) -> None:
        if monotonic() - last.get(what, -LINE_EVERY_S) < LINE_EVERY_S:
            return
        last[what] = monotonic()
        amount = f": {decimal(done)} of {decimal(total)}" if total else ""
        story().print(f"[dim]{what}{amount}[/]")

    return report
