"""`vla-bench leaderboard`: the service; its subcommands are the modules beside this one."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from vla_bench.cli.options import Db, Traces, examples

__all__ = ["SUBCOMMANDS", "app"]

SUBCOMMANDS = (
    "fetch", "attest", "account", "token", "jobs", "worker", "challenge", "resume", "withdraw", "retract", "freeze",
    "backup", "restore", "export",
)  # fmt: skip
"""Modules of this folder, each with an `app`: of one command, or of several as a group."""

app = typer.Typer(add_completion=False, invoke_without_command=True)


@app.callback(
    epilog=examples(
        "vla-bench leaderboard", "vla-bench leaderboard --db postgresql://board@localhost/board --host 127.0.0.1"
    )
)
def leaderboard(
    ctx: typer.Context,
    db: Db = "",
    traces: Traces = "",
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback unless you say so.")] = None,
    port: Annotated[int | None, typer.Option(help="Port, 8700 where not given; 0 takes a free one.")] = None,
) -> None:
    """Serve the leaderboard: boards, runs, comparisons and submissions, as pages and as JSON.

    Prints the URL on stdout once the service answers. Further settings are environment variables, VLA_BENCH_BOARD_…;
    options win over them.
    """
    if ctx.invoked_subcommand is None:
        from vla_bench.cli.leaderboard.serving import serve_board

        serve_board(db=db, traces=traces, host=host, port=port)


def _add(name: str) -> None:
    commands: typer.Typer = import_module(f"{__name__}.{name}").app
    if len(commands.registered_commands) == 1 and commands.registered_callback is None:
        (command,) = commands.registered_commands
        command.name = name
        app.registered_commands.append(command)
    else:
        app.add_typer(commands, name=name)


for _name in SUBCOMMANDS:
    _add(_name)
