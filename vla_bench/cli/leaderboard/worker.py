"""`vla-bench leaderboard worker`: replay what a board has drawn."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import BoardServer, BoardToken, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench leaderboard worker --server https://board.example.org",
        "vla-bench leaderboard worker --server http://127.0.0.1:8700 --suite toy_reach --until-idle",
    )
)
def worker(
    server: BoardServer = "",
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", help="Replay this suite only; repeatable. All that run here where left out."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of this worker, for the log; the host's where empty.")] = "",
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Simulators at a time; as many as cores.")
    ] = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when nothing is left to replay.")] = False,
    token_env: BoardToken = "VLA_BENCH_TOKEN",
) -> None:
    """Claim replays from a leaderboard over HTTP, make them in supervised simulators, and report.

    Needs a token with the scope replay, and no access to the database. Stop it with Ctrl-C: what it has not replayed
    goes back. Killed, its leases end by themselves and others go on.
    """
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.display.replay_worker import tell
    from vla_bench.cli.options import board_client
    from vla_bench.envs.registry import find_suite
    from vla_bench.server.replays.worker import Worker, ready_suites, worker_name

    suites = [find_suite(wanted).name for wanted in suite or ()] or ready_suites()
    with board_client(server, token_env) as client:
        made = Worker(client=client, name=worker_name(name), suites=suites, workers=workers, told=tell)
        n_done = made.run(until_idle=until_idle)
    answer().print(f"{n_done} replays reported")
