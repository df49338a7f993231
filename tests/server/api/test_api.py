"""The JSON API: every operation answers, with an ETag, page by page; what is wrong is a problem document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.server.boards.making import SLUG, fill, store_run, submit
from vla_bench.results.store import Store
from vla_bench.server import api, problems
from vla_bench.server.boards import read
from vla_bench.server.settings import Settings

BOARD = f"/api/v1/boards/{SLUG}"


def client_of(store: Store) -> TestClient:
    app = FastAPI()
    app.state.settings = Settings()
    problems.add_handlers(app)
    app.include_router(api.router)
    app.state.store = store
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def client(database: str, tmp_path: Path) -> Iterator[TestClient]:
    with Store.open(database, tmp_path / "traces") as store:
        fill(store, [0.9, 0.5, 0.1])
        store_run(store, "a", [True] * 30)
        submit(store, "a")
        yield client_of(store)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """On SQLite, made once, for what only reads."""
    folder = tmp_path_factory.mktemp("api")
    with Store.open(folder / "x.db", folder / "traces") as store:
        fill(store, [0.9, 0.5, 0.1])
        yield client_of(store)


def paths(client: TestClient) -> list[str]:
    episode = client.get("/api/v1/runs/1/episodes").json()["lines"][0]["episode_id"]
    return [
        "/api/v1/boards", BOARD, f"{BOARD}/rows", "/api/v1/rows/1", "/api/v1/policies/p0", "/api/v1/runs/1",
        "/api/v1/runs/1/episodes", f"/api/v1/runs/1/episodes/{episode}", "/api/v1/compare?a=1&b=2",
        "/api/v1/suites/made_up", "/api/v1/log", "/api/v1/latency",
        "/api/v1/scores",
    ]  # fmt: skip


def test_every_operation_answers_and_is_not_sent_twice(client: TestClient) -> None:
    for path in paths(client):
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["cache-control"] == "no-cache"
        again = client.get(path, headers={"If-None-Match": f'"other", W/{answer.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b""), path
        assert again.headers["etag"] == answer.headers["etag"]


def test_the_tag_changes_with_the_board(database: str, tmp_path: Path) -> None:
    with Store.open(database, tmp_path / "traces") as store:
        fill(store, [0.9])
        client = client_of(store)
        wanted = ("/api/v1/boards", BOARD, f"{BOARD}/rows", "/api/v1/policies/p0", "/api/v1/runs/1", "/api/v1/log")
        before = {path: client.get(path).headers["etag"] for path in wanted}
        store_run(store, "new", [True] * 30)
        submit(store, "new")
        for path, tag in before.items():
            assert client.get(path, headers={"If-None-Match": tag}).status_code == 200, path


def test_every_operation_is_described_with_its_answers(one: TestClient) -> None:
    document = one.get("/openapi.json").json()
    described = {path: operations["get"] for path, operations in document["paths"].items()}
    assert len(described) == len(paths(one))
    for path, operation in described.items():
        assert operation["summary"], path
        assert operation["description"], path
        assert "$ref" in str(operation["responses"]["200"]["content"]["application/json"]["schema"]), path
        assert {"304", "404", "422", "429", "503"} <= set(operation["responses"])
        assert "application/problem+json" in operation["responses"]["404"]["content"]


@pytest.mark.parametrize(
    ("path", "key"), [(f"{BOARD}/rows", "rows"), ("/api/v1/runs/1/episodes", "lines"), ("/api/v1/log", "entries")]
)
def test_a_list_goes_on_where_its_page_ended(client: TestClient, path: str, key: str) -> None:
    whole = client.get(path, params={"size": 100}).json()[key]
    seen, after = [], ""
    while True:
        page = client.get(path, params={"size": 2, "after": after}).json()
        seen += page[key]
        after = page["next_after"]
        if not after:
            break
    assert seen == whole
    assert len(seen) >= 4


def test_boards_are_listed_page_by_page_and_by_suite(one: TestClient) -> None:
    first = one.get("/api/v1/boards", params={"size": 1}).json()
    assert [board["slug"] for board in first["boards"]] == [SLUG]
    assert one.get("/api/v1/boards", params={"after": SLUG}).json()["boards"] == []
    assert one.get("/api/v1/boards", params={"suite": "other"}).json()["boards"] == []


def test_rows_are_filtered_and_sorted(one: TestClient) -> None:
    found = one.get(f"{BOARD}/rows", params={"sort": "policy", "descending": True, "family": "p1"}).json()
    assert [row["policy"] for row in found["rows"]] == ["p1"]
    assert one.get(f"{BOARD}/rows", params={"mark": ["replayed", "re-run"]}).json()["n_total"] == 0
    assert one.get(f"{BOARD}/rows", params={"mark": "gold"}).status_code == 422


def test_numbers_are_those_of_the_pages(one: TestClient) -> None:
    store = one.app.state.store  # type: ignore[attr-defined]
    rows = one.get(f"{BOARD}/rows").json()["rows"]
    page = read.board_page(store.database, SLUG)
    assert [(row["id"], row["score"], row["rank_best"], row["rank_worst"]) for row in rows] == [
        (row.id, row.score, row.rank_best, row.rank_worst) for row in page.rows
    ]
    run = one.get("/api/v1/runs/1").json()
    assert run["summary"]["score_line"] == store.summary("p0").score_line


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/boards/a/b/c/d", 404),
        ("/api/v1/boards/a/b/c/d/rows", 404),
        ("/api/v1/rows/99", 404),
        ("/api/v1/policies/nobody", 404),
        ("/api/v1/runs/99", 404),
        ("/api/v1/runs/1/episodes/ffff", 404),
        ("/api/v1/suites/nothing", 404),
        ("/api/v1/rows/99999999999", 422),
        ("/api/v1/runs/x", 422),
        ("/api/v1/compare?a=1&b=1", 422),
        ("/api/v1/compare?a=1", 422),
        ("/api/v1/log?after=zz", 422),
        ("/api/v1/log?subject=%00", 422),
        ("/api/v1/policies/%00", 422),
        (f"{BOARD}/rows?sort=%27;--", 422),
        (f"{BOARD}/rows?since=yesterday", 422),
        (f"{BOARD}/rows?size=1000", 422),
    ],
)
def test_what_is_wrong_is_a_problem_document(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert set(problem) >= {"type", "title", "instance"}


ANY = st.text(max_size=40)
PARAMETERS = ("after", "sort", "family", "task", "outcome", "subject", "subject_kind", "size", "since", "suite")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from([
        f"{BOARD}/rows", "/api/v1/runs/1/episodes", "/api/v1/log", "/api/v1/suites/made_up", "/api/v1/boards",
        "/api/v1/compare?a=1&b=2",
    ]),
    parameters=st.dictionaries(
        st.sampled_from(PARAMETERS), ANY, max_size=4,
    ),
)  # fmt: skip
def test_no_parameter_is_a_fault_of_ours(one: TestClient, path: str, parameters: dict[str, str]) -> None:
    answer = one.get(path, params=parameters)
    assert answer.status_code in (200, 422), (answer.status_code, answer.text)
