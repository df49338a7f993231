"""`vla-bench leaderboard freeze`."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.leaderboard.moderating import check_reason
from vla_bench.cli.options import Db, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        'vla-bench leaderboard freeze libero_goal/openpi-1/gpu/original --reason "openpi/2 fixes the step limit"'
    )
)
def freeze(
    board: Annotated[
        str, typer.Argument(metavar="BOARD", help="Address of the board, SUITE/PROTOCOL/RENDERER/ASSETS.")
    ],
    reason: Annotated[str, typer.Option(help="Why, in a sentence; a banner shows it to everybody.")] = "",
    db: Db = "",
) -> None:
    """Close a board for good: no further runs, its rows as they are, and a banner that leads to its suite.

    A fixed protocol is a new version and a new board; old rows are never rescored.
    """
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.leaderboard.database import ACTOR, board_store
    from vla_bench.server.boards.change import freeze_board

    check_reason(reason)
    with board_store(db) as store, store.database.write() as connection:
        freeze_board(connection, board.strip("/"), reason, actor=ACTOR)
    answer().print(f"board {board} is frozen", soft_wrap=True)
