"""`vla-bench leaderboard restore`: a backup into a new database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.cli.options import Db, Traces, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench leaderboard restore /backups/2026-11-21 --db restored.db",
        "vla-bench leaderboard restore /backups/2026-11-21 --db postgresql://board@localhost/board",
    )
)
def restore(
    folder: Annotated[Path, typer.Argument(help="Of `vla-bench leaderboard backup`.")],
    db: Db = "",
    traces: Traces = "",
) -> None:
    """Fill an empty database and the traces from a backup; SQLite and PostgreSQL take each other's.

    Everything is checked on the way: the digest of the tables, their numbers of rows, the digest of every trace.
    """
    from vla_bench.cli.display.console import answer
    from vla_bench.server.backup import restore as restore_backup
    from vla_bench.server.settings import Settings

    settings = Settings.from_environment(database=db or None, traces=traces or None)
    manifest = restore_backup(folder, settings.database, traces=settings.traces)
    answer().print(f"{sum(manifest.rows.values()):,} rows and {len(manifest.traces):,} traces of {manifest.made_at}")
