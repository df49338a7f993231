"""`vla-bench leaderboard retract`."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import BoardServer, BoardToken, examples
from vla_bench.spec.errors import UsageError

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        'vla-bench leaderboard retract 4k2m9x0qpa7c --reason "the gripper was set up wrongly" --server https://board.example.org'
    )
)
def retract(
    submission: Annotated[str, typer.Argument(metavar="ID", help="Id of the submission.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence; everybody can read it.")] = "",
    server: BoardServer = "",
    token_env: BoardToken = "VLA_BENCH_TOKEN",
) -> None:
    """Take back a submission of your own: its row becomes a tombstone, with your reason, and stays counted."""
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.options import board_client

    if not reason:
        raise UsageError("say why: --reason TEXT, which everybody can read")
    with board_client(server, token_env) as client:
        state = client.post(f"submissions/{submission}/retract", {"reason": reason})["state"]
    answer().print(f"submission {submission} is {state}")
