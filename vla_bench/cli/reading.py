"""Opening the database for commands that only read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vla_bench.spec.errors import SchemaMismatch, UsageError

if TYPE_CHECKING:
    from vla_bench.results.store import Store

__all__ = ["exists", "find_run", "open_results", "tell_notices"]


def exists(db: str) -> bool:
    """Whether there is something to read: a file, or a server's URL."""
    from vla_bench.results.database import locate

    path = locate(db).path
    return path is None or path.exists()


def open_results(db: str, traces: str = "") -> Store:
    """Open an existing database, and the traces beside it or elsewhere; nothing is made and nobody is disturbed.

    Raises:
        UsageError: there is none yet.
        StoreError: (a child) it cannot be read.
    """
    from vla_bench.results.store import Store

    if not exists(db):
        where = f" at {db}" if db else ""
        raise UsageError(f"the database{where} has no runs. Type: vla-bench run --policy expert --suite toy_reach")
    try:
        store = Store.open(db, traces, read_only=True)
    except SchemaMismatch:
        # An older schema is upgraded, after a copy was put beside the file; a newer one is refused here too.
        store = Store.open(db, traces)
    tell_notices(store.notices)
    return store


def find_run(store: Store, name: str) -> str:
    """The run of that name in any spelling; the newest one for an empty name.

    Raises:
        UsageError: the database has no runs at all. A name that is not known is the store's to refuse.
    """
    from vla_bench.results.reading import run_names
    from vla_bench.spec.names import match_name

    with store.database.read() as connection:
        known = run_names(connection)
    if not known:
        raise UsageError("the database has no runs. Type: vla-bench run --policy expert --suite toy_reach")
    return (match_name(name, known) or name) if name else known[-1]


def tell_notices(notices: list[str]) -> None:
    """Tell what the store wants the user to know."""
    if notices:
        from rich.markup import escape

        from vla_bench.cli.display.console import story

        for notice in notices:
            story().print(f"[lost]note:[/] {escape(notice)}", soft_wrap=True)
