"""Every question that a page asks finds its rows by an index, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from tests.server.boards.making import SLUG, chains, enter, fill, replay, store_run, submit
from vla_bench.results.store import Store
from vla_bench.server.accounts.people import list_tokens
from vla_bench.server.boards import read
from vla_bench.server.pages.account import newest_submissions

ALLOWED = {"board", "alembic_version"}
"""Tables of one line a board: the list of boards reads them whole."""

PAGES: dict[str, Callable[[Store], Any]] = {
    "etag": lambda s: read.etag(s.database),
    "boards": lambda s: read.boards(s.database),
    "board_page": lambda s: read.board_page(s.database, SLUG),
    "board_page by task": lambda s: read.board_page(s.database, SLUG, sort="task:t1", descending=True),
    "row": lambda s: read.row(s.database, 1),
    "policy_page": lambda s: read.policy_page(s.database, "p0"),
    "run_page": lambda s: read.run_page(s.database, 1),
    "episodes_page": lambda s: read.episodes_page(s.database, 1),
    "episodes_page of a task": lambda s: read.episodes_page(s.database, 1, task="t1", outcome="failure"),
    "episode_page": lambda s: read.episode_page(
        s.database, s.traces, 3, read.episodes_page(s.database, 3).lines[1].episode_id
    ),
    "compare_page": lambda s: read.compare_page(s.database, 1, 2),
    "suite_page": lambda s: read.suite_page(s.database, "made_up"),
    "submission_page": lambda s: read.submission_page(s.database, "s1"),
    "log_page": lambda s: read.log_page(s.database),
    "log_page of a subject": lambda s: read.log_page(s.database, subject_kind="board", subject=SLUG),
    "log_page of a kind": lambda s: read.log_page(s.database, subject_kind="board"),
    "latency_tables": lambda s: read.latency_tables(s.database),
}


def _account_page(store: Store) -> None:
    with store.database.read() as connection:
        newest_submissions(connection, 1)
        list_tokens(connection, 1)


@contextmanager
def recorded(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are sent inside the block."""
    found: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            found.append((statement, parameters))

    engine = store.database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def scanned(store: Store, statement: str, parameters: Any) -> set[str]:
    """The tables that a statement reads from end to end."""
    with store.database.read() as connection:
        if connection.dialect.name == "sqlite":
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            # In the order of its key and up to a limit, a table is not read from end to end.
            is_limited = "LIMIT" in statement and not any("TEMP B-TREE" in line for line in plan)
            return {line.split()[1] for line in plan if line.startswith("SCAN") and not is_limited}
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)]
        return {line.split(" on ")[1].split()[0] for line in plan if "Seq Scan on" in line}


@pytest.fixture
def filled(store: Store) -> Store:
    fill(store, [0.9, 0.5])
    store_run(store, "a", [True] * 30)
    submit(store, "a")
    replay(store, 3, ["agreed"] * 5)
    store_run(store, "c", [5] * 60, of=chains())
    enter(store, "c")
    return store


def test_no_page_reads_a_table_from_end_to_end(filled: Store) -> None:
    found: dict[str, set[str]] = {}
    for name, page in {**PAGES, "account": _account_page}.items():
        with recorded(filled) as statements:
            page(filled)
        assert statements, name
        tables = {table for statement, parameters in statements for table in scanned(filled, statement, parameters)}
        found[name] = tables - ALLOWED
    assert {name: tables for name, tables in found.items() if tables} == {}


def test_every_function_that_reads_is_looked_at() -> None:
    assert {name.partition(" ")[0] for name in PAGES} == set(read.__all__)


def test_no_page_but_the_lists_of_episodes_reads_episodes(filled: Store) -> None:
    allowed = ("episode", "compare_page")
    for name, page in PAGES.items():
        with recorded(filled) as statements:
            page(filled)
        readers = [s for s, _ in statements if "FROM episode" in s.replace("\n", "") or "FROM attempt" in s]
        assert not readers or name.startswith(allowed), (name, readers)
