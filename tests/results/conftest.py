"""Databases for the tests of this room: every test that takes `db` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.postgres import find_programs, fresh_database, postgres_server
from vla_bench.results.store import Store


@pytest.fixture(scope="session", autouse=True)
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a PostgreSQL server, started once and before any test that wants it; empty where none does."""
    is_wanted = any(item.get_closest_marker("postgres") for item in request.session.items)
    if not is_wanted or find_programs() is None:
        yield ""
        return
    with postgres_server() as url:
        yield url


@pytest.fixture
def postgres_db(server: str) -> Iterator[str]:
    with fresh_database(server) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that does not exist yet (SQLite) or is empty (PostgreSQL)."""
    if request.param == "sqlite":
        return str(tmp_path / "results.db")
    url: str = request.getfixturevalue("postgres_db")
    return url


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """`Store.open` with the traces in the test's folder; all of them are closed at the end."""
    opened: list[Store] = []

    def open_(target: str | Path, **options: object) -> Store:
        store = Store.open(target, tmp_path / "traces", **options)  # type: ignore[arg-type]
        opened.append(store)
        return store

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(db: str, open_store: Callable[..., Store]) -> Store:
    return open_store(db)
