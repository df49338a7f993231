"""`vla-bench report`: runs as one file that stands alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, Db, Traces, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench report expert-toy_reach", "vla-bench report expert-toy_reach --out report.html --out report.md"
    )
)
def report(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN…", help="Runs; differences are from the first.", show_default=False)
    ],
    out: Annotated[
        list[Path] | None,
        typer.Option(help="File to write, .html or .md; repeatable; report.html where none is given."),
    ] = None,
    title: Annotated[str, typer.Option(help="Of the report; the names of the runs where empty.")] = "",
    gallery: Annotated[
        int, typer.Option(min=0, help="Failures of each run in pictures, made by replay; 0 for none.")
    ] = 8,
    theme: Annotated[str, typer.Option(help="light or dark; the page follows the reader where empty.")] = "",
    renderer: Annotated[str, typer.Option(help="Render back end; the first one that works where empty.")] = "",
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Simulators at a time; as many as cores.")
    ] = None,
    db: Db = "",
    traces: Traces = "",
    as_json: AsJson = False,
) -> None:
    """Write a report: tables, intervals, plots, failures in pictures, protocol, provenance, efficiency.

    One HTML file that needs nothing else, readable on any screen, on paper and aloud; and Markdown without pictures.
    """
    from vla_bench.cli.reporting import ReportOrder, write_report

    order = ReportOrder(
        runs=tuple(runs),
        out=tuple(out or (Path("report.html"),)),
        title=title,
        n_stills=gallery,
        theme=theme,
        renderer=renderer,
        workers=workers,
    )
    write_report(order, db, traces, as_json=as_json)
