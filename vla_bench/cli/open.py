"""`vla-bench open`: one's own results as a board, on this machine alone."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import Db, Traces, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(epilog=examples("vla-bench open", "vla-bench open --db results.db --no-browser"))
def open(
    db: Db = "",
    traces: Traces = "",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the browser.")] = True,
    published: Annotated[
        bool, typer.Option("--published/--mine", help="Show the cited figures of papers beside them.")
    ] = True,
) -> None:
    """Open a board of one's own results in the browser: every finished run, beside the published figures.

    Only this machine reaches it; nothing is uploaded. Ctrl-C ends it.
    """
    from vla_bench.cli.opening import open_board

    open_board(db=db, traces=traces, port=port, with_browser=browser, with_published=published)
