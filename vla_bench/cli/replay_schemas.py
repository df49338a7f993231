"""The shapes of `--json` of the commands that check and show runs again; see `vla_bench.cli.schemas`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = [
    "AgainstModel",
    "DiffModel",
    "DifferenceModel",
    "FileModel",
    "FilmModel",
    "FindingModel",
    "ReplayModel",
    "ReportModel",
    "TraitModel",
    "VerifyModel",
    "VideoModel",
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FindingModel(_Model):
    """Something that is not as it should be; `about` says of what, `episode` is an id or empty."""

    about: str
    message: str
    episode: str


class ReplayModel(_Model):
    """One replayed episode. `agreement` is `bit`, `outcome`, `differs`, `unreadable` or `lost`.

    `replayed` is null where nothing was replayed, and `not_run` where the actions did not come to the episode's end.
    """

    episode: str
    task: str
    trial: int
    repeat: int
    agreement: str
    recorded: str
    replayed: str | None
    reasons: list[str]
    differs_from_step: int | None
    is_same_machine: bool | None
    n_steps: int


class DifferenceModel(_Model):
    """The first number in which two environments differ; `step` counts from the rollout's start."""

    rollout: str
    step: int
    what: str
    ours: float
    theirs: float


class AgainstModel(_Model):
    """`vla-bench verify --against-calvin-env PATH --json`. Exit code 0 where `is_equal`, else 1.

    `stand_ins` are packages of upstream's that are not installed and were made up; `difference` is null where all is
    equal, bit for bit.
    """

    checkout: str
    commit: str
    versions: dict[str, str]
    stand_ins: list[str]
    rollouts: list[str]
    n_steps: int
    n_answers: int
    n_pictures: int
    difference: DifferenceModel | None
    is_equal: bool


class VerifyModel(_Model):
    """`vla-bench verify --json`. `verdict` is `equal`, `differs` or `incomplete`: exit codes 0, 1 and 3.

    `deviating_at_most` is the share of successes that may differ though none of the sample does (95 % confidence).
    """

    run: str
    suite: str
    protocol: str
    verdict: str
    n_planned: int
    n_judged: int
    n_replayed: int
    n_success_replayed: int
    n_failure_replayed: int
    seed: int | None
    deviating_at_most: float | None
    agreements: dict[str, int]
    findings: list[FindingModel]
    episodes: list[ReplayModel]


class FilmModel(_Model):
    """One film. `path` is null where a replay could not be made; `episodes` are those that it shows."""

    path: str | None
    n_frames: int
    seconds: float
    episodes: list[ReplayModel]


class VideoModel(_Model):
    """`vla-bench video --json`."""

    films: list[FilmModel]


class FileModel(_Model):
    """A file that was written."""

    path: str
    n_bytes: int


class ReportModel(_Model):
    """`vla-bench report --json`. `n_pictured` is the number of failures that are shown in pictures."""

    runs: list[str]
    files: list[FileModel]
    n_pictured: int


class TraitModel(_Model):
    """One difference of two runs. `effect` is `score` (decides it), `may` (move single episodes) or `none`."""

    about: str
    effect: str
    path: str
    first: Any
    second: Any
    words: str


class OutcomeDiffModel(_Model):
    """The episodes that both runs judged: with equal initial states, equal to the bit, and judged otherwise."""

    n_shared: int
    n_same_start: int
    n_same_end: int
    n_gained: int
    n_lost: int
    n_flipped: int


class DiffModel(_Model):
    """`vla-bench diff --json`. `is_equal` is exit code 0; `obstacles` say why the runs cannot be paired.

    `n_findings` counts contradictions within each run's rows, which `vla-bench verify` names.
    """

    first: str
    second: str
    is_equal: bool
    is_comparable: bool
    obstacles: list[str]
    traits: list[TraitModel]
    outcomes: OutcomeDiffModel
    n_findings: tuple[int, int]
