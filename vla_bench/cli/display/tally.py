"""`Tally`: what a progress display counts, fed by the run's events. No drawing here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import monotonic

from vla_bench.cli.display.words import duration, interval, percent
from vla_bench.harness.events import RunStarted
from vla_bench.results.stats import wilson
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, EpisodeResult

__all__ = ["Tally"]


@dataclass
class Tally:
    """Counts of one run.

    Attributes:
        n_planned: episodes of this part of the plan.
        n_judged, n_success: judged and successful ones, earlier commands included.
        n_to_run: episodes that this command runs.
        n_ended: of those, judged or lost for good.
        lost: kind of error → episodes lost for good by this command.
        retried: kind of error → attempts that were lost and are tried again.
        waiting: why no episode is started at present, empty where the run goes on.
    """

    n_planned: int = 0
    n_judged: int = 0
    n_success: int = 0
    n_to_run: int = 0
    n_ended: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)
    waiting: str = ""
    started_s: float = field(default_factory=monotonic)

    @classmethod
    def of(cls, started: RunStarted) -> Tally:
        """The counts at the start of a run, resumed or new."""
        return cls(started.n_planned, started.n_judged, started.n_success, started.n_to_run)

    def add_attempt(self, attempt: AttemptResult, *, is_final: bool) -> None:
        """Count a lost attempt that is tried again."""
        if not attempt.outcome.is_judged and not is_final:
            self.retried[attempt.error_kind] += 1

    def add_episode(self, result: EpisodeResult) -> None:
        """Count an ended episode."""
        self.n_ended += 1
        if result.is_judged:
            self.n_judged += 1
            self.n_success += result.outcome is Outcome.SUCCESS
        elif result.last is not None:
            self.lost[result.last.error_kind] += 1

    @property
    def elapsed_s(self) -> float:
        """Since the run started."""
        return monotonic() - self.started_s

    @property
    def per_minute(self) -> float | None:
        """Episodes ended per minute of this command; None before the first."""
        return 60 * self.n_ended / self.elapsed_s if self.n_ended and self.elapsed_s > 0 else None

    @property
    def left_s(self) -> float | None:
        """Estimated seconds to the end; None before the first episode has ended."""
        per_minute = self.per_minute
        return None if per_minute is None else 60 * (self.n_to_run - self.n_ended) / per_minute

    def success_words(self) -> str:
        """`10/11 = 90.9 % [62.3, 98.4]`, of judged episodes only."""
        if not self.n_judged:
            return "none judged yet"
        bounds = wilson(self.n_success, self.n_judged)
        return f"{self.n_success}/{self.n_judged} = {percent(self.n_success / self.n_judged)} {interval(bounds)}"

    def time_words(self) -> str:
        """`8.4 episodes/min · 0:40 left`."""
        per_minute, left = self.per_minute, self.left_s
        if per_minute is None or left is None:
            return f"{duration(self.elapsed_s)} so far"
        return f"{per_minute:.1f} episodes/min · {duration(left)} left"
