"""How often an address without a token may read pages and exports, and what is not counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.server.submitting import Board
from vla_bench.server.accounts.limits import LIGHT, network_of
from vla_bench.server.accounts.people import revoke_token
from vla_bench.server.accounts.tokens import new_token
from vla_bench.server.app import create_app
from vla_bench.server.pages.site import static_url

FAR = "203.0.113.9"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Board]:
    made = Board(str(tmp_path / "board.db"), tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def reader(site: Board) -> Callable[[str], TestClient]:
    """A reader at an address, of a board that lets each read three times a minute."""
    settings = site.settings.model_copy(update={"reads_per_minute": 3, "runs_jobs": False})
    app = create_app(settings, store=site.store)
    return lambda address: TestClient(app, client=(address, 50_000), raise_server_exceptions=False)


def test_an_address_that_reads_too_often_is_told_when_to_come_again(reader: Callable[[str], TestClient]) -> None:
    client = reader(FAR)
    for path in ("/", "/log.json", "/api/v1/log"):
        assert client.get(path).status_code == 200, path
    for path in ("/suites", "/log.csv", "/api/v1/boards"):
        refused = client.get(path)
        assert refused.status_code == 429, path
        assert 0 < int(refused.headers["retry-after"]) <= 60
    assert reader("203.0.113.10").get("/suites").status_code == 200


@pytest.mark.parametrize("path", ["/log", "/log.json", "/api/v1/log"])
def test_what_the_reader_has_or_a_page_loads_does_not_count_as_a_read(
    reader: Callable[[str], TestClient], path: str
) -> None:
    client = reader(FAR)
    tag = client.get(path).headers["etag"]
    for _ in range(5):
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
        assert client.get(static_url("board.css")).status_code == 200
        assert client.get("/badges/no_suite/nobody.svg").status_code == 404
        assert client.get("/account").status_code == 200
    assert [client.get(path).status_code for _ in range(3)] == [200, 200, 429]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("path", ["/log", "/log.json", "/api/v1/log"])
@pytest.mark.parametrize(
    "pretext",
    [{"If-None-Match": '"made-up"'}, {"Authorization": "Bearer vlab_made-up"}, {"Authorization": "x"},
     {"Cookie": "vlab=made-up"}, {"Authorization": f"Bearer {new_token()}", "If-None-Match": '"made-up"'}],
    ids=["tag", "token", "header", "cookie", "both"],
)  # fmt: skip
def test_a_header_that_is_worth_nothing_makes_no_difference(
    reader: Callable[[str], TestClient], path: str, pretext: dict[str, str]
) -> None:
    answers = [reader(FAR).get(path, headers=pretext) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].headers["x-content-type-options"] == "nosniff"
    assert ("problem" in answers[-1].headers["content-type"]) is (path != "/log")


def test_what_a_page_loads_has_a_limit_too(reader: Callable[[str], TestClient]) -> None:
    client = reader(FAR)
    found = [client.get(static_url("board.css")).status_code for _ in range(3 * LIGHT + 1)]
    assert found == [200] * 3 * LIGHT + [429]


def test_who_has_a_token_reads_as_often_as_he_likes_and_a_revoked_one_is_a_stranger_s(
    reader: Callable[[str], TestClient], site: Board
) -> None:
    token = site.token("alice")
    client, asks = reader(FAR), {"Authorization": f"Bearer {token}"}
    assert [client.get("/log", headers=asks).status_code for _ in range(5)] == [200] * 5
    signed = client.post("/account/sign-in", data={"token": str(token)}, headers={"Sec-Fetch-Site": "same-origin"})
    assert "vlab" in client.cookies, signed
    assert [client.get("/suites").status_code for _ in range(5)] == [200] * 5
    with site.store.database.write() as connection:
        revoke_token(connection, token.id, actor="test")
    assert [client.get("/log").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_guessed_tokens_on_public_pages_are_counted_as_guesses(reader: Callable[[str], TestClient]) -> None:
    client = reader(FAR)
    for _ in range(3):
        client.get("/log", headers={"Authorization": f"Bearer {new_token()}"})
    for _ in range(2):
        assert client.get("/api/v1/account", headers={"Authorization": f"Bearer {new_token()}"}).status_code == 401
    assert client.get("/api/v1/account", headers={"Authorization": f"Bearer {new_token()}"}).status_code == 429


def test_whoever_watches_the_service_is_not_counted(site: Board) -> None:
    settings = site.settings.model_copy(update={"reads_per_minute": 1, "metrics_token": "m" * 20, "runs_jobs": False})
    client = TestClient(create_app(settings, store=site.store), client=(FAR, 50_000))
    for _ in range(3):
        assert client.get("/metrics", headers={"Authorization": f"Bearer {'m' * 20}"}).status_code == 200
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200


def test_this_machine_reads_as_often_as_it_likes(reader: Callable[[str], TestClient]) -> None:
    for address in ("127.0.0.1", "::1"):
        client = reader(address)
        assert [client.get("/log").status_code for _ in range(5)] == [200] * 5
        assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_a_proxy_on_this_machine_that_nobody_trusts_is_no_reader_of_this_machine(
    reader: Callable[[str], TestClient], header: str
) -> None:
    client, through = reader("127.0.0.1"), {header: "for=203.0.113.9"}
    assert [client.get("/log", headers=through).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert client.get("/metrics", headers=through).status_code == 403


@pytest.mark.parametrize(
    ("address", "reader"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::ffff", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_a_subscriber_of_ipv6_is_one_reader_whichever_of_his_addresses_he_takes(address: str, reader: str) -> None:
    assert network_of(address) == reader


def test_another_address_of_the_same_subscriber_is_no_new_reader(reader: Callable[[str], TestClient]) -> None:
    answers = [reader(f"2001:db8:1:2::{n}").get("/log").status_code for n in range(1, 5)]
    assert answers == [200, 200, 200, 429]
