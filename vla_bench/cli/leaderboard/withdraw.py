"""`vla-bench leaderboard withdraw`."""

from __future__ import annotations

import typer

from vla_bench.cli.leaderboard.moderating import Reason, Submission, moderate
from vla_bench.cli.options import BoardServer, BoardToken, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        'vla-bench leaderboard withdraw 4k2m9x0qpa7c --reason "trained on the initial states" --server https://board.example.org'
    )
)
def withdraw(
    submission: Submission, reason: Reason = "", server: BoardServer = "", token_env: BoardToken = "VLA_BENCH_TOKEN"
) -> None:
    """Take a submission off its board, as a maintainer: its row becomes a tombstone with a public reason."""
    moderate("withdraw", submission, reason, server, token_env)
