"""`vla-bench leaderboard withdraw`."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import BoardServer, BoardToken, examples
from vla_bench.spec.errors import UsageError

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        'vla-bench leaderboard withdraw 4k2m9x0qpa7c --reason "trained on the initial states" --server https://board.example.org'
    )
)
def withdraw(
    submission: Annotated[str, typer.Argument(metavar="ID", help="Id of the submission.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence; everybody can read it.")] = "",
    server: BoardServer = "",
    token_env: BoardToken = "VLA_BENCH_TOKEN",
) -> None:
    """Take a submission off its board, as a maintainer: its row becomes a tombstone with a public reason."""
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.options import board_client

    if not reason:
        raise UsageError("say why: --reason TEXT, which everybody can read")
    with board_client(server, token_env) as client:
        state = client.post(f"submissions/{submission}/withdraw", {"reason": reason})["state"]
    answer().print(f"submission {submission} is {state}")
