"""The board's database, for commands that work on it directly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vla_bench.results.store import Store

__all__ = ["ACTOR", "board_store"]

ACTOR = "operator"
"""Who the log names for what was done at the command line of the board's own machine."""


def board_store(db: str) -> Store:
    """Open the database that `--db` or `VLA_BENCH_BOARD_DATABASE` names.

    Raises:
        UsageError, StoreError: it cannot be opened.
    """
    from vla_bench.server.database import open_store
    from vla_bench.server.settings import Settings

    return open_store(Settings.from_environment(database=db or None))
