"""How often an address without a token may read pages and exports, and what is not counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from vla_bench.server.app import create_app
from vla_bench.server.database import open_store
from vla_bench.server.pages.site import static_url
from vla_bench.server.settings import Settings

FAR = "203.0.113.9"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Callable[[str], TestClient]]:
    """A reader at an address, of a board that lets each read three times a minute."""
    settings = Settings(
        database=str(tmp_path / "board.db"), runs_jobs=False, shows_published=False, reads_per_minute=3
    ).checked()
    with open_store(settings) as store:
        app = create_app(settings, store=store)
        yield lambda address: TestClient(app, client=(address, 50_000), raise_server_exceptions=False)


def test_an_address_that_reads_too_often_is_told_when_to_come_again(reader: Callable[[str], TestClient]) -> None:
    client = reader(FAR)
    for path in ("/", "/log.json", "/api/v1/log"):
        assert client.get(path).status_code == 200, path
    for path in ("/suites", "/log.csv", "/api/v1/boards"):
        refused = client.get(path)
        assert refused.status_code == 429, path
        assert 0 < int(refused.headers["retry-after"]) <= 60
    assert reader("203.0.113.10").get("/suites").status_code == 200


def test_what_is_kept_by_the_browser_or_loaded_by_a_page_is_not_counted(reader: Callable[[str], TestClient]) -> None:
    client = reader(FAR)
    tag = client.get("/log").headers["etag"]
    for _ in range(5):
        assert client.get("/log", headers={"If-None-Match": tag}).status_code == 304
        assert client.get(static_url("board.css")).status_code == 200
        assert client.get("/badges/no_suite/nobody.svg").status_code == 404
        assert client.get("/account").status_code == 200
    assert client.get("/log").status_code == 200
    assert client.get("/log").status_code == 200
    assert client.get("/log").status_code == 429


def test_this_machine_reads_as_often_as_it_likes(reader: Callable[[str], TestClient]) -> None:
    for address in ("127.0.0.1", "::1"):
        client = reader(address)
        assert [client.get("/log").status_code for _ in range(5)] == [200] * 5
