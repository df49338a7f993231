"""`vla-bench demo`: a story of three minutes, told by real episodes. The acts are in `story`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.cli.options import Db, examples
from vla_bench.spec.outcomes import ExitCode

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(epilog=examples("vla-bench demo", "vla-bench demo --record docs/assets"))
def demo(
    db: Db = "",
    workers: Annotated[int | None, typer.Option("--workers", "-w", help="Simulators at a time.")] = None,
    record: Annotated[
        Path | None, typer.Option(help="Also draw the screen and the episodes as pictures into this folder.")
    ] = None,
) -> None:
    """Tell in three minutes what vla-bench does, on real episodes.

    A scripted expert drives Meta-World through a real policy server; the server is killed on purpose and nothing is
    lost; then a clumsy twin of the expert runs the same plan. The gate says whether the twin may replace the expert,
    one of the episodes that ended otherwise is filmed side by side, and the twin's actions are replayed without it.
    """
    from vla_bench.cli.demo.story import Stage, tell_story

    if record is None:
        told = tell_story(Stage(db=db, workers=workers))
    else:
        from vla_bench.cli.demo.record import record_story

        told = record_story(record, db=db, workers=workers)
    if not all(run.is_complete for run in told.runs):
        raise typer.Exit(ExitCode.INCOMPLETE)
    if not told.is_replay_equal:
        raise typer.Exit(ExitCode.CHECK_FAILED)
