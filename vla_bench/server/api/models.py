"""What the API answers with, where it is not a type of `boards.views` as it stands."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from vla_bench.server.boards.views import (
    AttemptLine,
    BoardHead,
    Column,
    EpisodeLine,
    EpisodePage,
    Leader,
    ReplayLine,
    Row,
    RunPage,
    StageLine,
    TaskLine,
)

__all__ = ["Boards", "EpisodeOut", "Problem", "RunOut", "ScoreChanges"]


class Problem(BaseModel):
    """An error, as in RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str


class Boards(BaseModel):
    """Boards in the order of their slugs; `next_after` gives the next page and is empty on the last one."""

    boards: tuple[BoardHead, ...]
    next_after: str


class RunOut(BaseModel):
    """A run on its board. `summary` is what `vla-bench show --json` prints, without its tasks: they are `tasks`."""

    head: BoardHead
    columns: tuple[Column, ...]
    row: Row
    summary: dict[str, Any]
    tasks: tuple[TaskLine, ...] = Field(description="in plan order, at most 500")
    n_tasks: int
    plan_hash: str
    command: str
    machines: list[tuple[dict[str, Any], int]] = Field(description="fingerprints with the attempts made on each")
    declaration: dict[str, Any]
    suite: dict[str, Any]
    policy: dict[str, Any]
    others: tuple[Leader, ...]

    @classmethod
    def of(cls, page: RunPage) -> RunOut:
        """The page in this form."""
        return cls(**_same(cls, page) | {"summary": page.summary.to_dict()})


class EpisodeOut(BaseModel):
    """One episode of a run with its recorded actions."""

    head: BoardHead
    row: Row
    line: EpisodeLine
    instruction: str
    horizon: int
    env_seed: int
    policy_seed: int
    params: dict[str, Any]
    attempts: tuple[AttemptLine, ...]
    stages: tuple[StageLine, ...]
    action_names: tuple[str, ...]
    actions: list[list[float]] | None = Field(description="one line a control step; null where no trace is stored")
    query_steps: list[int] | None
    latency_ms: list[float] | None
    previous: str
    following: str
    replays: tuple[ReplayLine, ...]

    @classmethod
    def of(cls, page: EpisodePage) -> EpisodeOut:
        """The page in this form."""
        arrays = {name: getattr(page, name) for name in ("actions", "query_steps", "latency_ms")}
        lists = {name: None if found is None else found.tolist() for name, found in arrays.items()}
        return cls(**_same(cls, page) | lists)


def _same(model: type[BaseModel], page: object) -> dict[str, Any]:
    """What the answer has of its page under the page's own names."""
    return {name: getattr(page, name) for name in model.model_fields}


class ScoreChanges(BaseModel):
    """What can move a score in one version of vla-bench, in the words of its changelog."""

    version: str
    lines: tuple[str, ...]
