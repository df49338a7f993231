"""The board's database, for commands that work on it directly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vla_bench.results.store import Store

__all__ = ["ACTOR", "board_store"]

ACTOR = "operator"
"""Who the log names for what was done at the command line of the board's own machine."""


@contextmanager
def board_store(db: str) -> Iterator[Store]:
    """The database that `--db` or `VLA_BENCH_BOARD_DATABASE` names, for the length of the block.

    Raises:
        UsageError: what is wanted does not go; a request would have been told the same.
        StoreError: (a child) it cannot be opened.
    """
    from vla_bench.server.database import open_store
    from vla_bench.server.problems import Problem
    from vla_bench.server.settings import Settings
    from vla_bench.spec.errors import UsageError

    with open_store(Settings.from_environment(database=db or None)) as store:
        try:
            yield store
        except Problem as problem:
            raise UsageError(problem.detail) from problem
