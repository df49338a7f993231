"""What a report shows, as plain data: the same for the HTML page and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vla_bench.results.comparison.table import SuiteTable
from vla_bench.results.runs import RunSummary
from vla_bench.spec.result import Fingerprint

__all__ = ["CrossTable", "Efficiency", "LostEpisode", "Report", "Section", "Still", "Subject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """What a run cost. None where nothing was measured.

    Attributes:
        latencies_ms: percentile (50, 90, 95, 99) → time of an answer, within 1 %.
        longest_ms: the longest answer.
        n_queries, n_steps: answers, and executed actions.
        actions_per_s: executed actions for each second in which the run waited for the policy.
        steps_per_s: the same for each second of wall time, of one worker.
        env_ms: simulator and renderer, mean of a step.
        n_parameters, memory_bytes: as the policy declares them.
    """

    latencies_ms: Mapping[int, float | None]
    longest_ms: float | None
    n_queries: int
    n_steps: int
    actions_per_s: float | None
    steps_per_s: float | None
    env_ms: float | None
    n_parameters: int | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossTable:
    """Successes by the values of two tags.

    Attributes:
        rows, columns: the two tags.
        values: of the columns.
        cells: value of the row → `(successes, judged)` for each column, None where no task has both values.
    """

    rows: str
    columns: str
    values: tuple[str, ...]
    cells: Mapping[str, tuple[tuple[int, int] | None, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LostEpisode:
    """A planned episode without a judged outcome, that was tried."""

    task: str
    trial: int
    repeat: int
    kind: str
    message: str
    n_attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """A failure in a few pictures, made by replay.

    Attributes:
        run, task, trial, repeat: which episode.
        instruction: of its last stage that began.
        n_steps: at its end.
        agreement: of the replay with the recording: `bit` or `outcome`.
        frames: step and JPEG bytes, in order.
    """

    run: str
    task: str
    trial: int
    repeat: int
    instruction: str
    n_steps: int
    agreement: str
    frames: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One run of a report.

    Attributes:
        summary: of the run.
        suite, policy: plain content, as stored.
        machines: fingerprints with their numbers of attempts.
        efficiency: see there.
        cross: by the two first tags that the suite reports by; None where there are not two.
        lost: at most `MOST_LOST` of the lost ones, those never reached left out.
    """

    summary: RunSummary
    suite: Mapping[str, Any]
    policy: Mapping[str, Any]
    machines: tuple[tuple[Fingerprint, int], ...]
    efficiency: Efficiency
    cross: CrossTable | None
    lost: tuple[LostEpisode, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """The runs on one suite and protocol.

    Attributes:
        suite, protocol: of all of them.
        subjects: in the order of the command.
        comparison: differences from the first of them; None for one run, or where they cannot be paired.
        no_comparison: why not; empty where there is one, or for one run.
    """

    suite: str
    protocol: str
    subjects: tuple[Subject, ...]
    comparison: SuiteTable | None = None
    no_comparison: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report.

    Attributes:
        title: names of the runs.
        made_at: UTC, ISO 8601.
        version: of vla-bench.
        sections: one for each suite and protocol.
        stills: failures in pictures.
        no_stills: why there are none; empty where there are, or nothing failed.
    """

    title: str
    made_at: str
    version: str
    sections: tuple[Section, ...]
    stills: tuple[Still, ...] = ()
    no_stills: str = ""
    notes: tuple[str, ...] = field(default=())
