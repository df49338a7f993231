"""The tables of runs, episodes, attempts and their content."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fingerprint",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fingerprint"),
    )
    op.create_table(
        "plan",
        sa.Column("plan_hash", sa.String(length=64), nullable=False),
        sa.Column("suite", sa.String(length=200), nullable=False),
        sa.Column("protocol", sa.String(length=200), nullable=False),
        sa.Column("n_episodes", sa.Integer(), nullable=False),
        sa.Column("episodes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("plan_hash", name="pk_plan"),
    )
    op.create_table(
        "policy",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("weights_digest", sa.String(length=200), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_policy"),
    )
    op.create_index("ix_policy_name", "policy", ["name"], unique=False)
    op.create_table(
        "suite",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("protocol", sa.String(length=200), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_suite"),
    )
    op.create_index("ix_suite_name", "suite", ["name"], unique=False)
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("suite_digest", sa.String(length=64), nullable=False),
        sa.Column("plan_hash", sa.String(length=64), nullable=False),
        sa.Column("policy_digest", sa.String(length=64), nullable=False),
        sa.Column("eval_hash", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("shards", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.String(length=40), nullable=False),
        sa.Column("finished_at", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["plan_hash"], ["plan.plan_hash"], name="fk_run_plan_hash_plan"),
        sa.ForeignKeyConstraint(["policy_digest"], ["policy.digest"], name="fk_run_policy_digest_policy"),
        sa.ForeignKeyConstraint(["suite_digest"], ["suite.digest"], name="fk_run_suite_digest_suite"),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.UniqueConstraint("name", name="uq_run_name"),
    )
    op.create_index("ix_run_plan_hash", "run", ["plan_hash"], unique=False)
    op.create_index("ix_run_policy_digest", "run", ["policy_digest"], unique=False)
    op.create_index("ix_run_suite_digest", "run", ["suite_digest"], unique=False)
    op.create_table(
        "aggregate",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("form", sa.String(length=40), nullable=False),
        sa.Column("n_planned", sa.Integer(), nullable=False),
        sa.Column("n_judged", sa.Integer(), nullable=False),
        sa.Column("n_success", sa.Integer(), nullable=False),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("headline", sa.JSON(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_aggregate_run_id_run", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name="pk_aggregate"),
    )
    op.create_table(
        "episode",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("episode_id", sa.String(length=16), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(length=200), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("error_kind", sa.String(length=40), nullable=False),
        sa.Column("n_attempts", sa.Integer(), nullable=False),
        sa.Column("n_steps", sa.Integer(), nullable=False),
        sa.Column("n_clipped", sa.Integer(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_episode_run_id_run", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "episode_id", name="pk_episode"),
    )
    op.create_index("ix_episode_episode_id", "episode", ["episode_id"], unique=False)
    op.create_table(
        "attempt",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("episode_id", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("error_kind", sa.String(length=40), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.Column("n_steps", sa.Integer(), nullable=False),
        sa.Column("n_clipped", sa.Integer(), nullable=False),
        sa.Column("stages", sa.JSON(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("initial_digest", sa.String(length=64), nullable=False),
        sa.Column("final_digest", sa.String(length=64), nullable=False),
        sa.Column("wall_ms", sa.Float(), nullable=False),
        sa.Column("policy_ms", sa.Float(), nullable=False),
        sa.Column("env_ms", sa.Float(), nullable=False),
        sa.Column("n_queries", sa.Integer(), nullable=False),
        sa.Column("policy_p50_ms", sa.Float(), nullable=False),
        sa.Column("policy_p95_ms", sa.Float(), nullable=False),
        sa.Column("policy_max_ms", sa.Float(), nullable=False),
        sa.Column("policy_bins", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.String(length=16), nullable=True),
        sa.Column("trace_digest", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["fingerprint"], ["fingerprint.id"], name="fk_attempt_fingerprint_fingerprint"),
        sa.ForeignKeyConstraint(
            ["run_id", "episode_id"],
            ["episode.run_id", "episode.episode_id"],
            name="fk_attempt_run_id_episode_id_episode",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "episode_id", "attempt", name="pk_attempt"),
    )
    op.create_index("ix_attempt_trace_digest", "attempt", ["trace_digest"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_attempt_trace_digest", table_name="attempt")
    op.drop_table("attempt")
    op.drop_index("ix_episode_episode_id", table_name="episode")
    op.drop_table("episode")
    op.drop_table("aggregate")
    op.drop_index("ix_run_suite_digest", table_name="run")
    op.drop_index("ix_run_policy_digest", table_name="run")
    op.drop_index("ix_run_plan_hash", table_name="run")
    op.drop_table("run")
    op.drop_index("ix_suite_name", table_name="suite")
    op.drop_table("suite")
    op.drop_index("ix_policy_name", table_name="policy")
    op.drop_table("policy")
    op.drop_table("plan")
    op.drop_table("fingerprint")
