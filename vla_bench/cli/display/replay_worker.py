"""What a replay worker tells: a line for each replay, on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from vla_bench.cli.display.console import story

if TYPE_CHECKING:
    from vla_bench.server.replays.worker import WorkDone

__all__ = ["tell"]

_STYLES = {"agreed": "good", "deviated": "bad", "queued": "lost", "failed": "lost", "lost": "lost"}


def tell(done: WorkDone) -> None:
    """One replay was reported."""
    episode = done.result.episode
    why = f": {'; '.join(done.result.reasons)}" if done.result.reasons and done.state != "agreed" else ""
    style = _STYLES.get(done.state, "dim")
    place = f"{done.submission} {episode.task} trial {episode.trial}"
    story().print(f"{escape(place)} [{style}]{done.state}[/] ({done.result.agreement}){escape(why)}", soft_wrap=True)
