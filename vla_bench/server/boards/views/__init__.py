"""What pages and JSON API show, as plain data: one set of types for both, filled by `vla_bench.server.boards.read`.

Rates are fractions, lengths are subtasks, times are UTC in ISO 8601. A number that is not known is None, never 0; what
is missing has its reason beside it.
"""

from __future__ import annotations

from vla_bench.server.boards.marks import Mark, MarkFacts
from vla_bench.server.boards.views.others import (
    ComparePage,
    Discordant,
    LatencyLine,
    LatencyTable,
    LogEntry,
    LogPage,
    PolicyPage,
    PolicyResult,
    SubmissionPage,
    SuitePage,
    SuiteTask,
    TaskPair,
    VersionLine,
)
from vla_bench.server.boards.views.rows import (
    BoardHead,
    BoardPage,
    Cell,
    Column,
    Facet,
    Filters,
    Leader,
    Note,
    Row,
    Saturation,
    SettingChange,
)
from vla_bench.server.boards.views.runs import (
    AttemptLine,
    EpisodeLine,
    EpisodePage,
    EpisodesPage,
    ReplayLine,
    RunPage,
    StageLine,
    TaskLine,
)

__all__ = [
    "AttemptLine",
    "BoardHead",
    "BoardPage",
    "Cell",
    "Column",
    "ComparePage",
    "Discordant",
    "EpisodeLine",
    "EpisodePage",
    "EpisodesPage",
    "Facet",
    "Filters",
    "LatencyLine",
    "LatencyTable",
    "Leader",
    "LogEntry",
    "LogPage",
    "Mark",
    "MarkFacts",
    "Note",
    "PolicyPage",
    "PolicyResult",
    "ReplayLine",
    "Row",
    "RunPage",
    "Saturation",
    "SettingChange",
    "StageLine",
    "SubmissionPage",
    "SuitePage",
    "SuiteTask",
    "TaskLine",
    "TaskPair",
    "VersionLine",
]
