"""What a file of another harness says, in our words: tasks, episodes, and what it claims over all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vla_bench.spec.outcomes import Outcome

__all__ = ["ImportedEpisode", "ImportedResult", "ImportedTask"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedEpisode:
    """One episode of a file.

    Attributes:
        index: its number in the other harness, which there names the initial state.
        outcome: in our terms; an error of theirs is lost, never failed.
        error_kind, error_message: of ours, and theirs word for word.
        n_steps: control steps, 0 where not said.
        wall_s: seconds, 0 where not said.
        seed: of the simulator; None where not said.
        n_stages_done: finished subtasks of a chain; None where it is no chain.
    """

    index: int
    outcome: Outcome
    error_kind: str = ""
    error_message: str = ""
    n_steps: int = 0
    wall_s: float = 0.0
    seed: int | None = None
    n_stages_done: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedTask:
    """A task with its episodes, each index once. `n_planned` is how many there should be."""

    name: str
    episodes: tuple[ImportedEpisode, ...]
    n_planned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedResult:
    """One benchmark of a file (or of several that are its shards).

    Attributes:
        tool, tool_version: who wrote it: `vla-eval`, `lerobot-eval`.
        benchmark: what it calls the suite.
        tasks: at least one, each with at least one planned episode.
        claimed_rate: success rate that the file itself states; None where it states none.
        created_at: as the file says, empty where it does not.
        settings: what the file records of its configuration, plain JSON values.
        notes: what a reader should know.
    """

    tool: str
    tool_version: str
    benchmark: str
    tasks: tuple[ImportedTask, ...]
    claimed_rate: float | None
    created_at: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_seeded(self) -> bool:
        """Whether every episode names its simulator's seed: without, no two files begin from surely equal states."""
        return all(episode.seed is not None for task in self.tasks for episode in task.episodes)
