"""What a run shows while it goes on: a live display on a terminal, plain lines elsewhere. Both on stderr."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vla_bench.cli.display.console import is_interactive, story
from vla_bench.cli.display.tally import Tally
from vla_bench.cli.display.words import counts, duration, plural, short_path
from vla_bench.harness.events import Listener, RunStarted, ServerWait
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import VlaBenchError
from vla_bench.spec.messages import PolicyKind
from vla_bench.spec.result import AttemptResult, EpisodeResult

if TYPE_CHECKING:
    from vla_bench.results.runs import RunSummary

__all__ = ["LiveProgress", "PlainProgress", "Progress", "progress_display"]

PLAIN_EVERY_S = 5.0
"""A plain line at most this often; what happens in between is in the next one."""


def progress_display() -> Progress:
    """The display that suits stderr."""
    return LiveProgress() if is_interactive() else PlainProgress()


class Progress(Listener):
    """The lines that both displays print as things happen; subclasses add the running state.

    Use as a context manager, so that the terminal is given back whatever happens.
    """

    def __init__(self) -> None:
        self.tally = Tally()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the screen as it is and draw no more."""

    def refresh(self) -> None:
        """Draw the running state."""

    def render(self) -> Any:
        """The running state as a Rich renderable."""
        return ""

    def run_started(self, started: RunStarted) -> None:
        """Say what is run, under which name, and where it goes on."""
        self.tally = Tally.of(started)
        suite, policy = started.suite, started.policy
        oracle = " (oracle)" if policy.kind is PolicyKind.ORACLE else ""
        part = f", shard {started.shard}" if started.shard else ""
        self.say(
            f"[name]{escape(policy.name)}[/]{oracle} on [name]{suite.name}[/] {suite.protocol.id}: "
            f"{plural(started.n_planned, 'episode')}{part}, plan {started.plan.plan_hash[:12]}"
        )
        self.say(f"[dim]run {escape(started.name)} in {escape(short_path(started.database))}[/]")
        for notice in started.notices:
            self.say(f"[lost]note:[/] {escape(notice)}")
        if not started.n_to_run:
            self.say("[good]complete before:[/] nothing is run. `--fresh` runs it anew under another name.")
        elif started.is_resumed:
            self.say(f"going on: {started.n_judged} of {started.n_planned} judged before, {started.n_to_run} to run")

    def attempt_finished(self, episode: Episode, attempt: AttemptResult, *, is_final: bool) -> None:
        """Tell a lost attempt and what is done about it."""
        self.tally.add_attempt(attempt, is_final=is_final)
        if not attempt.outcome.is_judged:
            after = "lost for good: the run stays incomplete" if is_final else "it is run again with the same seeds"
            self.say(
                f"[lost]lost[/] {_name(episode)}, attempt {attempt.attempt + 1}, at step {attempt.n_steps}: "
                f"[lost]{attempt.error_kind}[/]: {escape(attempt.error_message)} → {after}"
            )
        elif attempt.attempt:
            self.say(f"[good]back[/] {_name(episode)}: {attempt.outcome} in attempt {attempt.attempt + 1}")
        self.refresh()

    def episode_finished(self, result: EpisodeResult) -> None:
        """Count it."""
        self.tally.add_episode(result)
        self.refresh()

    def waiting_for_server(self, wait: ServerWait) -> None:
        """Tell that no episode is started, and until when."""
        if wait.is_restarting:
            self.tally.waiting = "starting a new policy server"
        else:
            self.tally.waiting = f"waiting up to {duration(wait.wait_s)} for the policy server"
        route = f" of route {escape(wait.route)}" if wait.route else ""
        self.say(f"[lost]the policy server{route} is gone[/]: {self.tally.waiting}")
        self.refresh()

    def server_back(self) -> None:
        """Tell that the run goes on."""
        self.tally.waiting = ""
        self.say("[good]the policy server answers again[/]")
        self.refresh()

    def run_stopped(self, error: VlaBenchError) -> None:
        """Tell why the run ends before its plan."""
        self.tally.waiting = ""
        self.stop()
        self.say(f"[bad]stopped[/]: {escape(str(error))}")

    def run_finished(self, summary: RunSummary) -> None:
        """Clear the running state; the result is the answer, on stdout."""
        self.stop()
        if self.tally.n_to_run:
            self.say(f"[dim]{plural(self.tally.n_ended, 'episode')} in {duration(self.tally.elapsed_s)}[/]")

    def say(self, line: str) -> None:
        """Print one line of the story (Rich markup)."""
        story().print(line, soft_wrap=True)


class PlainProgress(Progress):
    """For pipes and log files: a line at events, and one every few seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at_s = monotonic()

    def refresh(self) -> None:
        """Print the running state where the last line is old, or the last episode has ended."""
        is_last = self.tally.n_ended == self.tally.n_to_run
        if is_last or monotonic() - self._said_at_s >= PLAIN_EVERY_S:
            self._said_at_s = monotonic()
            self.say(" · ".join(self._parts()))

    def _parts(self) -> list[str]:
        tally = self.tally
        parts = [f"{tally.n_ended}/{tally.n_to_run} episodes", tally.success_words() + " succeeded", tally.time_words()]
        parts += [f"{counts(tally.lost)} lost"] if tally.lost else []
        return [*parts, tally.waiting] if tally.waiting else parts


class LiveProgress(Progress):
    """For terminals: a bar and three lines that redraw in place, events scrolling above."""

    def __init__(self) -> None:
        super().__init__()
        self._live: Live | None = None

    def run_started(self, started: RunStarted) -> None:
        """Begin to draw."""
        super().run_started(started)
        if started.n_to_run:
            self._live = Live(console=story(), get_renderable=self.render, refresh_per_second=4, transient=True)
            self._live.start()

    def stop(self) -> None:
        """Remove what is drawn."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def render(self) -> Any:
        """The running state as a Rich renderable."""
        tally = self.tally
        line = Table.grid(padding=(0, 1))
        line.add_row(
            ProgressBar(total=max(1, tally.n_to_run), completed=tally.n_ended, width=32, complete_style="cyan"),
            f"[name]{tally.n_ended}/{tally.n_to_run}[/] episodes",
            f"[dim]{duration(tally.elapsed_s)}[/] · {tally.time_words()}" if tally.n_ended else tally.time_words(),
        )
        rows: list[Any] = [line, Text.from_markup(f"successes so far [number]{tally.success_words()}[/]")]
        trouble = [f"lost: {counts(tally.lost)}"] if tally.lost else []
        trouble += [f"run again: {counts(tally.retried)}"] if tally.retried else []
        trouble += [tally.waiting] if tally.waiting else []
        if trouble:
            rows.append(Text.from_markup("[lost]" + escape(" · ".join(trouble)) + "[/]"))
        return Group(*rows)


def _name(episode: Episode) -> str:
    again = f" repeat {episode.repeat}" if episode.repeat else ""
    return f"[name]{escape(episode.task)}[/] trial {episode.trial}{again}"
