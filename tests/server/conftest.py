"""Databases of boards: every test that takes `database` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import find_programs, fresh_database, postgres_server
from tests.server.submitting import Board, bundle_of, make_run


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A PostgreSQL server for this session; empty where no test wants one."""
    is_wanted = any(item.get_closest_marker("postgres") for item in request.session.items)
    if not is_wanted or find_programs() is None:
        yield ""
        return
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session", autouse=True)
def _early(postgres_url: str) -> None:
    """The server starts before the first test looks for processes that were left behind."""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "board.db")
        return
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def board(database: str, tmp_path: Path) -> Iterator[Board]:
    made = Board(database, tmp_path)
    yield made
    made.store.close()


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a complete run of toy_reach named `toy`, made once."""
    return make_run(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def toy_bundle(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle; not to be changed."""
    return bundle_of(toy_run, tmp_path_factory.mktemp("bundle"))
