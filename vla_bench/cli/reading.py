"""Opening the database for commands that only read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vla_bench.spec.errors import SchemaMismatch, UsageError

if TYPE_CHECKING:
    from vla_bench.results.store import Store

__all__ = ["exists", "open_results", "tell_notices"]


def exists(db: str) -> bool:
    """Whether there is something to read: a file, or a server's URL."""
    from vla_bench.results.database import locate

    path = locate(db).path
    return path is None or path.exists()


def open_results(db: str) -> Store:
    """Open an existing database; nothing is made and nobody is disturbed.

    Raises:
        UsageError: there is none yet.
        StoreError: (a child) it cannot be read.
    """
    from vla_bench.results.store import Store

    if not exists(db):
        where = f" at {db}" if db else ""
        raise UsageError(f"the database{where} has no runs. Type: vla-bench run --policy expert --suite toy_reach")
    try:
        store = Store.open(db, read_only=True)
    except SchemaMismatch:
        # An older schema is upgraded, after a copy was put beside the file; a newer one is refused here too.
        store = Store.open(db)
    tell_notices(store.notices)
    return store


def tell_notices(notices: list[str]) -> None:
    """Tell what the store wants the user to know."""
    if notices:
        from rich.markup import escape

        from vla_bench.cli.display.console import story

        for notice in notices:
            story().print(f"[lost]note:[/] {escape(notice)}", soft_wrap=True)
