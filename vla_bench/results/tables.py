"""The SQL tables of results. Content is addressed by digest and written once; rows of a run belong to the run.

    suite ─┐
    plan ──┼─ run ── episode ── attempt ── fingerprint
    policy ┘   ├──── aggregate
               └──── group_member ── run_group

`Table` carries its own metadata, so that other SQLModel classes in the same process never reach our migrations. The
tables of the leaderboard join here: they refer to `run.id`, `policy.digest` and `plan.plan_hash`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

__all__ = [
    "AGGREGATE", "ATTEMPT", "EPISODE", "FINGERPRINT", "GROUP_MEMBER", "PLAN", "POLICY", "REVISION", "RUN", "RUN_GROUP",
    "SUITE", "AggregateRow", "AttemptRow", "EpisodeRow", "FingerprintRow", "GroupMemberRow", "PlanRow", "PolicyRow",
    "RunGroupRow", "RunRow", "SuiteRow", "Table",
]  # fmt: skip

REVISION = "0003"
"""The newest migration: what these tables are. Known here so that opening a database needs no Alembic."""


NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def _json() -> Any:
    return Field(sa_column=sa.Column(sa.JSON, nullable=False))


def _text() -> Any:
    return Field(sa_column=sa.Column(sa.Text, nullable=False))


class Table(SQLModel, registry=registry(metadata=sa.MetaData(naming_convention=NAMING))):
    """Base of all tables."""


class SuiteRow(Table, table=True):
    """A suite as it was run: tasks, tags, limits, cameras, action convention. Initial states stand in the plan."""

    __tablename__: ClassVar[Any] = "suite"

    digest: str = Field(primary_key=True, max_length=64)
    name: str = Field(max_length=200, index=True)
    protocol: str = Field(max_length=200)
    content: dict[str, Any] = _json()


class PlanRow(Table, table=True):
    """The ordered episodes of a plan, in full: a run can be repeated from its database alone."""

    __tablename__: ClassVar[Any] = "plan"

    plan_hash: str = Field(primary_key=True, max_length=64)
    suite: str = Field(max_length=200)
    protocol: str = Field(max_length=200)
    n_episodes: int
    # zlib-compressed canonical JSON: ten thousand episodes are 4 MB of text that nobody queries column by column.
    episodes: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))


class PolicyRow(Table, table=True):
    """What a policy declared in its handshake."""

    __tablename__: ClassVar[Any] = "policy"

    digest: str = Field(primary_key=True, max_length=64)
    name: str = Field(max_length=200, index=True)
    version: str = Field(max_length=200)
    kind: str = Field(max_length=20)
    weights_digest: str = Field(max_length=200)
    content: dict[str, Any] = _json()


class RunRow(Table, table=True):
    """One execution of a plan by one policy under one set of settings."""

    __tablename__: ClassVar[Any] = "run"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200, unique=True)
    suite_digest: str = Field(foreign_key="suite.digest", max_length=64, index=True)
    plan_hash: str = Field(foreign_key="plan.plan_hash", max_length=64, index=True)
    policy_digest: str = Field(foreign_key="policy.digest", max_length=64, index=True)
    eval_hash: str = Field(max_length=64)
    settings: dict[str, Any] = _json()
    command: str = _text()
    shards: list[str] = _json()
    started_at: str = Field(max_length=40)
    finished_at: str = Field(max_length=40)
    # Where an imported result or the copy of a board's run comes from; null for what was run here.
    origin: dict[str, Any] | None = Field(default=None, sa_column=sa.Column(sa.JSON(none_as_null=True), nullable=True))


class EpisodeRow(Table, table=True):
    """The final outcome of an episode of a run. An episode that was never reached has no row."""

    __tablename__: ClassVar[Any] = "episode"
    __table_args__ = (
        sa.Index("ix_episode_episode_id", "episode_id"),
        # A run's episodes page by page, in plan order.
        sa.Index("ix_episode_run_id_position", "run_id", "position"),
    )

    run_id: int = Field(sa_column=sa.Column(sa.Integer, sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True))
    episode_id: str = Field(primary_key=True, max_length=16)
    position: int
    task: str = Field(max_length=200)
    trial: int
    repeat: int
    outcome: str = Field(max_length=20)
    error_kind: str = Field(max_length=40)
    n_attempts: int
    n_steps: int
    n_clipped: int
    flags: list[str] = _json()


class AttemptRow(Table, table=True):
    """One try at an episode. Times are milliseconds."""

    __tablename__: ClassVar[Any] = "attempt"
    __table_args__ = (
        sa.ForeignKeyConstraint(["run_id", "episode_id"], ["episode.run_id", "episode.episode_id"], ondelete="CASCADE"),
    )

    run_id: int = Field(primary_key=True)
    episode_id: str = Field(primary_key=True, max_length=16)
    attempt: int = Field(primary_key=True)
    outcome: str = Field(max_length=20)
    error_kind: str = Field(max_length=40)
    error_message: str = _text()
    n_steps: int
    n_clipped: int
    stages: list[dict[str, Any]] = _json()
    flags: list[str] = _json()
    facts: dict[str, Any] = _json()
    initial_digest: str = Field(max_length=64)
    final_digest: str = Field(max_length=64)
    wall_ms: float
    policy_ms: float
    env_ms: float
    n_queries: int
    policy_p50_ms: float
    policy_p95_ms: float
    policy_max_ms: float
    # Answer times as counts per logarithmic bin: percentiles of a run are those of its answers, not of its attempts.
    policy_bins: dict[str, int] = _json()
    fingerprint: str | None = Field(sa_column=sa.Column(sa.String(16), sa.ForeignKey("fingerprint.id"), nullable=True))
    trace_digest: str = Field(max_length=64, index=True)
    started_at: str = Field(max_length=40)


class FingerprintRow(Table, table=True):
    """Machine and software that attempts ran on."""

    __tablename__: ClassVar[Any] = "fingerprint"

    id: str = Field(primary_key=True, max_length=16)
    content: dict[str, Any] = _json()


class AggregateRow(Table, table=True):
    """The stored summary of a run: pages and lists read this and never the episodes. Absent while a run goes on."""

    __tablename__: ClassVar[Any] = "aggregate"

    run_id: int = Field(sa_column=sa.Column(sa.Integer, sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True))
    form: str = Field(max_length=40)
    n_planned: int
    n_judged: int
    n_success: int
    rate: float | None
    headline: dict[str, Any] = _json()
    details: dict[str, Any] = _json()


class RunGroupRow(Table, table=True):
    """Runs of several trainings, checkpoints or evaluation seeds that are reported as one."""

    __tablename__: ClassVar[Any] = "run_group"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200, unique=True)
    kind: str = Field(max_length=40)
    # How the score is averaged, with its numbers: `top_checkpoints/3x20`. Scores of other protocols never join it.
    protocol: str = Field(max_length=80)
    n_runs: int
    created_at: str = Field(max_length=40)


class GroupMemberRow(Table, table=True):
    """A run of a group. `label` names the training or the checkpoint that was evaluated."""

    __tablename__: ClassVar[Any] = "group_member"

    group_id: int = Field(
        sa_column=sa.Column(sa.Integer, sa.ForeignKey("run_group.id", ondelete="CASCADE"), primary_key=True)
    )
    run_id: int = Field(sa_column=sa.Column(sa.Integer, sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True))
    position: int
    label: str = Field(max_length=200)


def _table(name: str) -> sa.Table:
    return Table.metadata.tables[name]


# Statements are built on these: rows by the thousand go past the object mapper.
SUITE, PLAN, POLICY = _table("suite"), _table("plan"), _table("policy")
RUN, EPISODE, ATTEMPT = _table("run"), _table("episode"), _table("attempt")
FINGERPRINT, AGGREGATE = _table("fingerprint"), _table("aggregate")
RUN_GROUP, GROUP_MEMBER = _table("run_group"), _table("group_member")
