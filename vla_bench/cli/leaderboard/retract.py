"""`vla-bench leaderboard retract`."""

from __future__ import annotations

import typer

from vla_bench.cli.leaderboard.moderating import Reason, Submission, moderate
from vla_bench.cli.options import BoardServer, BoardToken, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        'vla-bench leaderboard retract 4k2m9x0qpa7c --reason "the gripper was set up wrongly" --server https://board.example.org'
    )
)
def retract(
    submission: Submission, reason: Reason = "", server: BoardServer = "", token_env: BoardToken = "VLA_BENCH_TOKEN"
) -> None:
    """Take back a submission of your own: its row becomes a tombstone, with your reason, and stays counted."""
    moderate("retract", submission, reason, server, token_env)
