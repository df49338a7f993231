"""`vla-bench leaderboard backup`: the database and its traces as one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.cli.options import Db, Traces, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench leaderboard backup /backups/2026-11-21",
        "vla-bench leaderboard backup /backups/today --db postgresql://board@localhost/board --list-traces",
    )
)
def backup(
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")],
    db: Db = "",
    traces: Traces = "",
    list_traces: Annotated[
        bool, typer.Option("--list-traces", help="Keep the list of the traces only, where a store keeps them itself.")
    ] = False,
) -> None:
    """Copy a board's database, as of one moment, and its traces into a folder; it may be in use."""
    from vla_bench.cli.display.console import answer
    from vla_bench.server.backup import back_up
    from vla_bench.server.settings import Settings

    settings = Settings.from_environment(database=db or None, traces=traces or None)
    manifest = back_up(settings.database, folder, traces=settings.traces, with_traces=not list_traces)
    n_rows, n_bytes = sum(manifest.rows.values()), sum(manifest.traces.values())
    kept = "listed" if list_traces else "copied"
    answer().print(
        f"{folder}: {n_rows:,} rows of schema {manifest.schema}, {len(manifest.traces):,} traces {kept} "
        f"({n_bytes / 1e6:,.1f} MB)"
    )
