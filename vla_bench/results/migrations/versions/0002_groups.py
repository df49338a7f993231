"""Groups of runs, and where an imported run comes from."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("origin", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "run_group",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("protocol", sa.String(length=80), nullable=False),
        sa.Column("n_runs", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_run_group"),
        sa.UniqueConstraint("name", name="uq_run_group_name"),
    )
    op.create_table(
        "group_member",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["run_group.id"], name="fk_group_member_group_id_run_group", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_group_member_run_id_run", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("group_id", "run_id", name="pk_group_member"),
    )


def downgrade() -> None:
    op.drop_table("group_member")
    op.drop_table("run_group")
    op.drop_column("run", "origin")
