"""Who gets in: tokens, cookies, forms of other sites, limits. Over ASGI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.server.submitting import DECLARATION, SECRET, Board
from vla_bench.server.accounts.people import Role, Scope
from vla_bench.server.accounts.tokens import new_token
from vla_bench.server.app import create_app
from vla_bench.server.boards.place import registered_plan
from vla_bench.server.settings import Settings

HERE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Board]:
    made = Board(str(tmp_path / "board.db"), tmp_path)
    yield made
    made.store.close()


def client_of(site: Board, **changes: object) -> TestClient:
    settings = Settings(database=site.settings.database, secret=SECRET, runs_jobs=False, **changes)
    return TestClient(create_app(settings, store=site.store), base_url="http://board.test", follow_redirects=False)


@pytest.fixture
def client(site: Board) -> TestClient:
    return client_of(site)


def bearer(token: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


WRITES = [
    ("POST", "/api/v1/submissions"),
    ("PUT", "/api/v1/submissions/abcdefghijkl/parts/1"),
    ("POST", "/api/v1/submissions/abcdefghijkl/seal"),
    ("POST", "/api/v1/submissions/abcdefghijkl/retract"),
    ("POST", "/api/v1/submissions/abcdefghijkl/withdraw"),
    ("POST", "/api/v1/submissions/abcdefghijkl/resume"),
    ("POST", "/api/v1/replays/claim"),
    ("POST", "/api/v1/replays/1/renew"),
    ("POST", "/api/v1/replays/1/release"),
    ("POST", "/api/v1/replays/1/report"),
    ("GET", "/api/v1/replays/1/trace?lease=x"),
    ("GET", "/api/v1/account"),
    ("POST", "/api/v1/account/tokens"),
    ("DELETE", "/api/v1/account/tokens/abcdefgh"),
]


@pytest.mark.parametrize(("method", "path"), WRITES, ids=lambda item: item)
def test_nothing_is_written_without_a_token(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path, json={})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_expired_and_a_foreign_token_get_the_same_answer(site: Board, client: TestClient) -> None:
    answers = [
        client.get("/api/v1/account", headers=bearer(token))
        for token in (site.token("alice", days=-1), new_token(), "vlab_short")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.json()["detail"] for answer in answers}) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/submissions/abcdefghijkl/withdraw",
        "/api/v1/submissions/abcdefghijkl/resume",
        "/api/v1/replays/claim",
        "/api/v1/replays/1/report",
    ],
)
def test_a_submitter_cannot_act_as_a_maintainer(site: Board, client: TestClient, path: str) -> None:
    body = {"reason": "because I say so", "worker": "w", "suites": ["toy_reach"]}
    answer = client.post(path, headers=bearer(site.token("alice")), json=body)
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/missing-scope"


def test_a_token_makes_none_stronger_than_itself(site: Board, client: TestClient) -> None:
    weak = site.token("keeper", Scope.SUBMIT, role=Role.MAINTAINER)
    answer = client.post("/api/v1/account/tokens", headers=bearer(weak), json={"scopes": ["admin"]})
    assert answer.status_code == 403
    made = client.post("/api/v1/account/tokens", headers=bearer(weak), json={"label": "ci"})
    assert made.status_code == 201
    assert client.get("/api/v1/account", headers=bearer(made.json()["token"])).json()["scopes"] == ["submit"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [({}, None), ({"days": "0"}, 422), ({"days": "366"}, 422), ({"days": "x"}, 422), ({"label": "x" * 201}, 422),
     ({"label": "a\0b"}, 422),
     ({"scopes": []}, 422), ({"scopes": ["all"]}, 422), ({"scopes": ["admin"]}, 403)],
    ids=str,
)  # fmt: skip
def test_the_form_for_a_token_keeps_the_rules_of_the_api(
    site: Board, client: TestClient, changes: dict[str, object], status: int | None
) -> None:
    token = site.token("alice")
    asked = {"scopes": ["submit"], "label": "mine", "days": "30"} | changes
    by_api = client.post("/api/v1/account/tokens", json=asked, headers=bearer(token))
    assert status or by_api.headers["cache-control"] == "no-store"
    client.post("/account/sign-in", data={"token": str(token)}, headers=HERE)
    form = {"scope": asked["scopes"], "label": asked["label"], "days": asked["days"]}
    by_form = client.post("/account/tokens", data=form, headers=HERE)
    assert (by_api.status_code, by_form.status_code) == ((status, status) if status else (201, 200))
    assert ("vlab_" in by_form.text) is (status is None)


def test_one_revokes_one_s_own_tokens_only(site: Board, client: TestClient) -> None:
    mine, theirs = site.token("alice"), site.token("bob")
    path = "/api/v1/account/tokens"
    assert client.delete(f"{path}/{theirs.id}", headers=bearer(mine)).status_code >= 400
    assert client.get("/api/v1/account", headers=bearer(theirs)).status_code == 200
    assert client.delete(f"{path}/{mine.id}", headers=bearer(mine)).status_code == 204
    assert client.get("/api/v1/account", headers=bearer(mine)).status_code == 401


def sign_in(client: TestClient, token: object, headers: dict[str, str] = HERE, **form: str) -> object:
    return client.post("/account/sign-in", data={"token": str(token), **form}, headers=headers)


def test_a_token_is_exchanged_for_a_cookie_that_scripts_and_other_sites_do_not_get(site: Board) -> None:
    token = site.token("alice")
    client = client_of(site, public_url="https://board.test")
    answer = sign_in(client, token, HERE, next="/submit")
    assert (answer.status_code, answer.headers["location"]) == (303, "/submit")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-vlab=")
    for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert part in cookie
    assert token.secret not in cookie


def test_a_session_ends_with_its_token(site: Board, client: TestClient) -> None:
    from vla_bench.server.accounts.people import revoke_token

    token = site.token("alice")
    sign_in(client, token)
    assert client.get("/api/v1/account").json()["name"] == "alice"
    with site.store.database.write() as connection:
        revoke_token(connection, token.id, actor="test")
    assert client.get("/api/v1/account").status_code == 401


def test_a_cookie_that_was_changed_or_signed_by_another_is_nobody_s(site: Board, client: TestClient) -> None:
    sign_in(client, site.token("alice"))
    good = client.cookies["vlab"]
    other = client_of(site)
    other.app.state.settings = other.app.state.settings.model_copy(update={"secret": "x" * 40})
    for cookie in (good[:-2] + "xx", "x" + good, ""):
        client.cookies.clear()
        client.cookies.set("vlab", cookie)
        assert client.get("/api/v1/account").status_code == 401
    other.cookies.set("vlab", good)
    assert other.get("/api/v1/account").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {},
    ],
    ids=str,
)
def test_a_form_of_another_site_changes_nothing(site: Board, client: TestClient, headers: dict[str, str]) -> None:
    assert sign_in(client, site.token("mallory"), headers).status_code == 403
    sign_in(client, site.token("alice"))
    answer = client.post("/api/v1/account/tokens", json={}, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/cross-site"
    assert client.post("/account/sign-out", headers=headers).status_code == 403


@pytest.mark.parametrize("headers", [HERE, {"Sec-Fetch-Site": "none"}, {"Origin": "http://board.test"}], ids=str)
def test_a_form_of_this_site_works(site: Board, client: TestClient, headers: dict[str, str]) -> None:
    sign_in(client, site.token("alice"))
    assert client.post("/api/v1/account/tokens", json={}, headers=headers).status_code == 201


ELSEWHERE = (
    "https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "", "/x\r\nA: b",
)  # fmt: skip


@pytest.mark.parametrize("target", ELSEWHERE)
def test_signing_in_leads_nowhere_else(site: Board, client: TestClient, target: str) -> None:
    assert sign_in(client, site.token("alice"), HERE, next=target).headers["location"] == "/account"


@pytest.mark.parametrize("path", ["/api/v1/account", "/account"])
def test_wrong_tokens_are_limited_and_the_answer_says_when_to_come_again(site: Board, path: str) -> None:
    client = client_of(site, failed_tokens_per_minute=3)
    codes = [client.get(path, headers=bearer(new_token())).status_code for _ in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    last = client.get(path, headers=bearer(site.token("alice")))
    assert last.status_code == 429
    assert 1 <= int(last.headers["retry-after"]) <= 60


def test_the_password_of_a_proxy_before_the_board_is_no_guess_of_a_token(site: Board, client: TestClient) -> None:
    basic = {"Authorization": "Basic YW5uOmh1bnRlcjI="}
    for _ in range(7):
        assert client.get("/api/v1/account", headers=basic).status_code == 401
    signed = client.post("/account/sign-in", data={"token": str(site.token("alice"))}, headers=basic | HERE)
    assert signed.status_code == 303
    assert client.get("/api/v1/account", headers=basic).json()["name"] == "alice"


def test_submissions_are_limited_by_account_and_not_by_address(site: Board) -> None:
    client = client_of(site, submissions_per_hour=2)
    alice, bob = bearer(site.token("alice")), bearer(site.token("bob"))
    plan = registered_plan("toy_reach", "standard/1")
    announced = {
        "run_name": "r", "suite": "toy_reach", "protocol": "standard/1", "plan_hash": plan, "policy_digest": "0" * 64,
        "eval_hash": "0" * 64, "bundle_size": 10, "declaration": DECLARATION.model_dump(),
    }  # fmt: skip

    def send(number: int, headers: dict[str, str]) -> int:
        body = announced | {"bundle_digest": f"{number:064x}"}
        return client.post("/api/v1/submissions", json=body, headers=headers).status_code

    assert [send(number, alice) for number in range(3)] == [201, 201, 429]
    # Going on with an upload is no new one.
    assert send(1, alice) == 201
    assert send(9, bob) == 201


def test_the_last_use_of_a_token_is_noted(site: Board, client: TestClient) -> None:
    token = site.token("alice")
    client.get("/api/v1/account", headers=bearer(token))
    found = client.get("/api/v1/account/tokens", headers=bearer(token)).json()["tokens"]
    assert found[0]["last_used_at"]
    assert "secret" not in str(found)
