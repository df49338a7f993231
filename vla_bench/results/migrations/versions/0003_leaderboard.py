"""The leaderboard: accounts, submissions, replays, challenges and the log; boards, their rows, pairs and tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SQLITE = [
    f"""
    CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
    """
    for verb in ("UPDATE", "DELETE")
]
POSTGRES = [
    """
    CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the log is append-only'; END $$
    """,
    """
    CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()
    """,
]


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.String(length=40), nullable=False),
        sa.Column("disabled_at", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("name", name="uq_account_name"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(length=40), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject_kind", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_subject_kind_subject_id", "audit", ["subject_kind", "subject", "id"], unique=False)
    op.create_table(
        "board",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=500), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("suite", sa.String(length=200), nullable=False),
        sa.Column("protocol", sa.String(length=200), nullable=False),
        sa.Column("plan_hash", sa.String(length=64), nullable=False),
        sa.Column("n_planned", sa.Integer(), nullable=False),
        sa.Column("renderer_class", sa.String(length=20), nullable=False),
        sa.Column("assets", sa.String(length=20), nullable=False),
        sa.Column("form", sa.String(length=20), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("frozen", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_board"),
        sa.UniqueConstraint("slug", name="uq_board_slug"),
    )
    op.create_index("ix_board_suite_protocol", "board", ["suite", "protocol"], unique=False)
    op.create_table(
        "draw_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("secret", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.String(length=40), nullable=False),
        sa.Column("retired_at", sa.String(length=40), nullable=True),
        sa.Column("revealed_at", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_draw_key"),
        sa.UniqueConstraint("commitment", name="uq_draw_key_commitment"),
    )
    op.create_table(
        "token",
        sa.Column("id", sa.String(length=8), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.String(length=40), nullable=False),
        sa.Column("expires_at", sa.String(length=40), nullable=True),
        sa.Column("last_used_at", sa.String(length=40), nullable=True),
        sa.Column("revoked_at", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_token_account_id_account"),
        sa.PrimaryKeyConstraint("id", name="pk_token"),
    )
    op.create_index("ix_token_account_id", "token", ["account_id"], unique=False)
    op.create_table(
        "board_row",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("board_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("submission_id", sa.String(length=40), nullable=False),
        sa.Column("published_key", sa.String(length=300), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=False),
        sa.Column("mark", sa.String(length=20), nullable=False),
        sa.Column("rank_class", sa.String(length=20), nullable=False),
        sa.Column("unranked", sa.Text(), nullable=False),
        sa.Column("family", sa.String(length=200), nullable=False),
        sa.Column("policy", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("weights_digest", sa.String(length=200), nullable=False),
        sa.Column("policy_digest", sa.String(length=64), nullable=False),
        sa.Column("eval_hash", sa.String(length=64), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("bound_low", sa.Float(), nullable=True),
        sa.Column("bound_high", sa.Float(), nullable=True),
        sa.Column("n_success", sa.Integer(), nullable=True),
        sa.Column("n_judged", sa.Integer(), nullable=True),
        sa.Column("n_planned", sa.Integer(), nullable=True),
        sa.Column("rank_best", sa.Integer(), nullable=True),
        sa.Column("rank_worst", sa.Integer(), nullable=True),
        sa.Column("letters", sa.String(length=200), nullable=False),
        sa.Column("trained_on", sa.String(length=200), nullable=False),
        sa.Column("checkpoint_scope", sa.String(length=40), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=True),
        sa.Column("open_weights", sa.Boolean(), nullable=True),
        sa.Column("n_runs", sa.Integer(), nullable=False),
        sa.Column("date", sa.String(length=40), nullable=False),
        sa.Column("harness", sa.String(length=80), nullable=False),
        sa.Column("entered_at", sa.String(length=40), nullable=False),
        sa.Column("cells", sa.JSON(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("efficiency", sa.JSON(), nullable=False),
        sa.Column("source", sa.JSON(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["board_id"], ["board.id"], name="fk_board_row_board_id_board"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_board_row_run_id_run"),
        sa.PrimaryKeyConstraint("id", name="pk_board_row"),
        sa.UniqueConstraint("board_id", "run_id", name="uq_board_row_board_id_run_id"),
        sa.UniqueConstraint("published_key", name="uq_board_row_published_key"),
    )
    op.create_index("ix_board_row_board_id_rank_class", "board_row", ["board_id", "rank_class"], unique=False)
    op.create_index("ix_board_row_family_date", "board_row", ["family", "date"], unique=False)
    op.create_index("ix_board_row_policy_digest", "board_row", ["policy_digest"], unique=False)
    op.create_index("ix_board_row_run_id", "board_row", ["run_id"], unique=False)
    op.create_table(
        "submission",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("run_name", sa.String(length=200), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("board_id", sa.Integer(), nullable=True),
        sa.Column("policy_digest", sa.String(length=64), nullable=False),
        sa.Column("plan_hash", sa.String(length=64), nullable=False),
        sa.Column("eval_hash", sa.String(length=64), nullable=False),
        sa.Column("bundle_digest", sa.String(length=64), nullable=False),
        sa.Column("bundle_size", sa.BigInteger(), nullable=False),
        sa.Column("declaration", sa.JSON(), nullable=False),
        sa.Column("draw_key_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.String(length=40), nullable=False),
        sa.Column("sealed_at", sa.String(length=40), nullable=True),
        sa.Column("updated_at", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_submission_account_id_account"),
        sa.ForeignKeyConstraint(["board_id"], ["board.id"], name="fk_submission_board_id_board"),
        sa.ForeignKeyConstraint(["draw_key_id"], ["draw_key.id"], name="fk_submission_draw_key_id_draw_key"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_submission_run_id_run"),
        sa.PrimaryKeyConstraint("id", name="pk_submission"),
    )
    op.create_index("ix_submission_account_id", "submission", ["account_id"], unique=False)
    op.create_index("ix_submission_board_id", "submission", ["board_id"], unique=False)
    op.create_index("ix_submission_bundle_digest", "submission", ["bundle_digest"], unique=False)
    op.create_index("ix_submission_policy_digest_plan_hash", "submission", ["policy_digest", "plan_hash"], unique=False)
    op.create_index("ix_submission_run_id", "submission", ["run_id"], unique=False)
    op.create_index("ix_submission_state_updated_at", "submission", ["state", "updated_at"], unique=False)
    op.create_table(
        "board_pair",
        sa.Column("board_id", sa.Integer(), nullable=False),
        sa.Column("row_a", sa.Integer(), nullable=False),
        sa.Column("row_b", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("b_count", sa.Integer(), nullable=False),
        sa.Column("c_count", sa.Integer(), nullable=False),
        sa.Column("difference", sa.Float(), nullable=False),
        sa.Column("p", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["board_id"], ["board.id"], name="fk_board_pair_board_id_board", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["row_a"], ["board_row.id"], name="fk_board_pair_row_a_board_row", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["row_b"], ["board_row.id"], name="fk_board_pair_row_b_board_row", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("board_id", "row_a", "row_b", name="pk_board_pair"),
    )
    op.create_table(
        "challenge",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("submission_id", sa.String(length=40), nullable=False),
        sa.Column("policy_digest", sa.String(length=64), nullable=False),
        sa.Column("image_digest", sa.String(length=200), nullable=False),
        sa.Column("plan_hash", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("issued_by", sa.String(length=200), nullable=False),
        sa.Column("issued_at", sa.String(length=40), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("closed_at", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_challenge_run_id_run"),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name="fk_challenge_submission_id_submission"),
        sa.PrimaryKeyConstraint("id", name="pk_challenge"),
    )
    op.create_index("ix_challenge_run_id", "challenge", ["run_id"], unique=False)
    op.create_index("ix_challenge_submission_id", "challenge", ["submission_id"], unique=False)
    op.create_table(
        "replay",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("submission_id", sa.String(length=40), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("episode_id", sa.String(length=16), nullable=False),
        sa.Column("draw", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.String(length=40), nullable=True),
        sa.Column("worker", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=16), nullable=False),
        sa.Column("agreement", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("reported_at", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_replay_run_id_run"),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name="fk_replay_submission_id_submission"),
        sa.PrimaryKeyConstraint("id", name="pk_replay"),
        sa.UniqueConstraint("submission_id", "episode_id", "draw", name="uq_replay_submission_id_episode_id_draw"),
    )
    op.create_index("ix_replay_run_id", "replay", ["run_id"], unique=False)
    op.create_index("ix_replay_state_lease_until", "replay", ["state", "lease_until"], unique=False)
    op.create_table(
        "task_cell",
        sa.Column("row_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(length=200), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("k", sa.Integer(), nullable=False),
        sa.Column("steps", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["row_id"], ["board_row.id"], name="fk_task_cell_row_id_board_row", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("row_id", "position", name="pk_task_cell"),
    )
    op.create_table(
        "upload_part",
        sa.Column("submission_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submission.id"], name="fk_upload_part_submission_id_submission", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("submission_id", "number", name="pk_upload_part"),
    )
    op.create_index("ix_episode_run_id_position", "episode", ["run_id", "position"], unique=False)
    for statement in POSTGRES if op.get_bind().dialect.name == "postgresql" else SQLITE:
        op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER audit_no_change ON audit")
        op.execute("DROP FUNCTION audit_append_only()")
    op.drop_index("ix_episode_run_id_position", table_name="episode")
    op.drop_table("upload_part")
    op.drop_table("task_cell")
    op.drop_table("replay")
    op.drop_table("challenge")
    op.drop_table("board_pair")
    op.drop_table("submission")
    op.drop_table("board_row")
    op.drop_table("token")
    op.drop_table("draw_key")
    op.drop_table("board")
    op.drop_table("audit")
    op.drop_table("account")
