"""`vla-bench leaderboard jobs`: the board's jobs in a process of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vla_bench.cli.options import Db, Traces, examples
from vla_bench.spec.errors import UsageError

if TYPE_CHECKING:
    from vla_bench.results.store import Store
    from vla_bench.server.replays.worker import Worker

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench leaderboard jobs",
        "vla-bench leaderboard jobs --db postgresql://board@localhost/board --replays 4 --suite libero_goal",
    )
)
def jobs(
    threads: Annotated[int, typer.Option(min=1, max=32, help="Submissions checked at a time.")] = 1,
    replays: Annotated[
        int, typer.Option(min=0, max=256, help="Simulators that make replays here; 0 leaves them to workers.")
    ] = 0,
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", help="Replay this suite only; repeatable. All that run here where left out."),
    ] = None,
    db: Db = "",
    traces: Traces = "",
) -> None:
    """Check submissions and look after replays, beside services that run with VLA_BENCH_BOARD_RUNS_JOBS=false.

    Takes the settings of the service, its secret above all. With --replays it makes them too, as `worker` does, with
    the suites that are installed here. Ends with Ctrl-C; what it was at is finished first, or begun anew later.
    """
    import threading

    if suite and not replays:
        raise UsageError("--suite says which replays are made here: give --replays N too")
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
        worker = _worker(store, suite or [], replays) if replays else None
        bell = Bell(store, settings, worker)
        bell.start(threads)
        if worker is not None:
            what = ", ".join(worker.suites) if suite else f"all {len(worker.suites)} suites that run here"
            story().print(f"replays are made of {what}", soft_wrap=True)
        story().print("jobs are heard; Ctrl-C ends this")
        try:
            threading.Event().wait()
        finally:
            bell.stop()


def _worker(store: Store, suites: list[str], n_simulators: int) -> Worker:
    from vla_bench.cli.display.replay_worker import tell
    from vla_bench.envs.registry import find_suite
    from vla_bench.server.replays.own import OwnBoard
    from vla_bench.server.replays.worker import Worker, ready_suites, worker_name

    names = [find_suite(wanted).name for wanted in suites] or ready_suites()
    return Worker(client=OwnBoard(store), name=worker_name(), suites=names, workers=n_simulators, told=tell)
