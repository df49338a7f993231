"""`vla-bench video`: films of a run's episodes, made afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, Db, Traces, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)

WHICH, HOW = "Which episodes", "How films look"


@app.command(
    epilog=examples(
        "vla-bench video expert-toy_reach --episode reach_red:0",
        "vla-bench video expert-toy_reach --grid --size 128 --out films",
    )
)
def video(
    run: Annotated[
        str, typer.Argument(help="Name of the run; the newest one where left out.", show_default=False)
    ] = "",
    episode: Annotated[
        list[str] | None,
        typer.Option(
            "--episode",
            "-e",
            metavar="TASK:TRIAL",
            help="This one, a TASK, or an id; repeatable.",
            rich_help_panel=WHICH,
        ),
    ] = None,
    failures: Annotated[bool, typer.Option("--failures", help="Those that failed.", rich_help_panel=WHICH)] = False,
    beside: Annotated[
        str,
        typer.Option(
            metavar="RUN",
            help="Side by side with this run; those that ended otherwise where no episode is named.",
            rich_help_panel=WHICH,
        ),
    ] = "",
    grid: Annotated[
        bool,
        typer.Option(
            "--grid", help="One film of many; each task's first episode where none is named.", rich_help_panel=WHICH
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="So many at most; 8, or 64 in a grid.", rich_help_panel=WHICH)
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Height of a picture, pixels; 480, or 160 in a grid.", rich_help_panel=HOW)
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(
            "--camera",
            help="Show this camera; repeatable; the suite's first one where none is named.",
            rich_help_panel=HOW,
        ),
    ] = None,
    every: Annotated[
        int, typer.Option(help="Steps between two frames; 0 makes at most 300 frames.", rich_help_panel=HOW)
    ] = 0,
    fps: Annotated[int, typer.Option(help="Frames a second.", rich_help_panel=HOW)] = 25,
    renderer: Annotated[
        str, typer.Option(help="Render back end; the first one that works where empty.", rich_help_panel=HOW)
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder for the films.")] = Path("films"),
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Simulators at a time; as many as cores.")
    ] = None,
    db: Db = "",
    traces: Traces = "",
    as_json: AsJson = False,
) -> None:
    """Film episodes of a run: pictures are made by replay, at any size, with no GPU, and written as H.264.

    Instruction, step, subtask and outcome are drawn in. Exit code 1 says that a replay does not agree with the run.
    """
    from vla_bench.cli.filming import FilmOrder, film_and_print
    from vla_bench.harness.film import FilmStyle

    order = FilmOrder(
        run=run,
        episodes=tuple(episode or ()),
        failures=failures,
        beside=beside,
        is_grid=grid,
        limit=limit or (64 if grid else 8),
        style=FilmStyle(
            height=size or (160 if grid else 480), cameras=tuple(camera or ()), every=every, fps=fps, renderer=renderer
        ),
        folder=out,
        workers=workers,
    )
    raise typer.Exit(film_and_print(order, db, traces, as_json=as_json))
