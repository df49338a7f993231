"""`vla-bench leaderboard jobs`: the board's jobs in a process of their own."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import Db, Traces, examples
from vla_bench.spec.errors import UsageError

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples("vla-bench leaderboard jobs", "vla-bench leaderboard jobs --db postgresql://board@localhost/board")
)
def jobs(
    threads: Annotated[int, typer.Option(min=1, max=32, help="Submissions checked at a time.")] = 1,
    db: Db = "",
    traces: Traces = "",
) -> None:
    """Check submissions and look after replays, beside services that run with VLA_BENCH_BOARD_RUNS_JOBS=false.

    Takes the settings of the service, its secret above all. Ends with Ctrl-C; what it was at is finished first.
    """
    import threading

    from vla_bench.cli.display.console import story
    from vla_bench.server import logs
    from vla_bench.server.database import open_store
    from vla_bench.server.jobs import Bell
    from vla_bench.server.settings import Settings

    settings = Settings.from_environment(database=db or None, traces=traces or None)
    if not settings.secret:
        raise UsageError("set VLA_BENCH_BOARD_SECRET to the secret of the service: its messages are signed with it")
    settings = settings.checked()
    logs.configure(settings)
    with open_store(settings) as store:
        bell = Bell(store, settings)
        bell.start(threads)
        story().print("jobs are heard; Ctrl-C ends this")
        try:
            threading.Event().wait()
        finally:
            bell.stop()
