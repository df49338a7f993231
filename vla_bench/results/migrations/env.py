"""Alembic's entry: runs revisions on the connection, inside the transaction, that `vla_bench.results.schema` gives."""

from alembic import context

from vla_bench.results.leaderboard import boards, people
from vla_bench.results.tables import Table

# One metadata: the leaderboard's tables join it when their modules are imported.
__all__ = ["boards", "people"]

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    # SQLite changes a column by copying its table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
