"""`vla-bench leaderboard export`: the board as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.cli.options import Db, Traces, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench leaderboard export /srv/board-copy",
        "vla-bench leaderboard export /srv/board-copy --db postgresql://board@localhost/board --episodes",
    )
)
def export(
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")],
    db: Db = "",
    traces: Traces = "",
    episodes: Annotated[bool, typer.Option("--episodes", help="A page for each episode too: thousands a run.")] = False,
    most: Annotated[int, typer.Option(help="The most pages.", min=1)] = 50_000,
) -> None:
    """Write all pages and tables as files that need no service, and the data under `dump/` as CSV, Parquet and SQL.

    Made for every night: what was published stays readable when the service is gone.
    """
    from vla_bench.cli.display.console import answer
    from vla_bench.server import logs
    from vla_bench.server.app import create_app
    from vla_bench.server.database import open_store
    from vla_bench.server.exports.dump import dump_tables
    from vla_bench.server.exports.static import export_pages
    from vla_bench.server.settings import Settings

    given = {
        "database": db or None,
        "traces": traces or None,
        "runs_jobs": False,
        "request_s": 600.0,
        "log_level": "warning",
    }
    settings = Settings.from_environment(host="127.0.0.1", **given).checked()
    logs.configure(settings)
    with open_store(settings) as store:
        written = export_pages(create_app(settings, store=store), folder, with_episodes=episodes, most=most)
        counts = dump_tables(store.database, folder / "dump")
    answer().print(
        f"{folder}: {written.n_files:,} files, {written.n_bytes / 1e6:,.1f} MB; dump of {sum(counts.values()):,} rows. "
        f"Open {folder / 'index.html'}",
        soft_wrap=True,
    )
