"""`vla-bench leaderboard resume`."""

from __future__ import annotations

import typer

from vla_bench.cli.leaderboard.moderating import Reason, Submission, moderate
from vla_bench.cli.options import BoardServer, BoardToken, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        'vla-bench leaderboard resume 4k2m9x0qpa7c --reason "the worker had another MuJoCo" --server https://board.example.org'
    )
)
def resume(
    submission: Submission, reason: Reason = "", server: BoardServer = "", token_env: BoardToken = "VLA_BENCH_TOKEN"
) -> None:
    """Audit a disputed submission anew, as a maintainer who found the cause: what deviated is replayed once more.

    Also for a submission some of whose replays could not be made. What agreed stays, and the deviations stay in the
    log. Where the submission itself is at fault, leave it disputed or `withdraw` it.
    """
    moderate("resume", submission, reason, server, token_env)
