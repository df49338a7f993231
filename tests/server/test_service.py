"""The shell of the service: what every request passes, how it is set up, what it refuses to start with."""

from __future__ import annotations

import io
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from tests.docs.pages import read
from vla_bench.results.store import Store
from vla_bench.server import logs
from vla_bench.server.app import create_app
from vla_bench.server.database import BoardDatabase, open_store
from vla_bench.server.middleware import CONTENT_SECURITY_POLICY
from vla_bench.server.settings import Settings
from vla_bench.spec.errors import SchemaMismatch, StoreLocked, UsageError

SECRET = "kX9vQ2mB7rT4nW8zL1cF6hJ3dS5gP0aY"
HERE = ("127.0.0.1", 50000)
AWAY = ("203.0.113.9", 50000)


@pytest.fixture(autouse=True)
def _plain_logs(settings: Settings) -> Iterator[None]:
    """As the service logs: structlog's own default draws tracebacks with all their locals, for seconds."""
    kept, root = structlog.get_config(), logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure(settings, io.StringIO())
    yield
    structlog.configure(**kept)
    root.handlers, root.level = before


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        database=str(tmp_path / "board.db"), secret=SECRET, runs_jobs=False, shows_published=False, request_s=2.0,
        max_body_bytes=1000, metrics_token="measure",
    )  # fmt: skip


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        yield opened


@pytest.fixture
def app(settings: Settings, store: Store) -> FastAPI:
    made = create_app(settings, store=store)

    # Before the pages, which answer to whatever is left.
    @made.get("/api/test/slow")
    def slow() -> str:
        time.sleep(4)
        return "late"

    @made.get("/api/test/broken")
    def broken() -> str:
        raise RuntimeError("the secret of the house")

    @made.post("/api/test/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    return made


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, client=HERE, raise_server_exceptions=False)


def test_the_documented_table_of_settings_is_the_code(tmp_path: Path) -> None:
    text = read("leaderboard-operate.md")
    for name, default, meaning in Settings.table():
        assert f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |".replace("|  |", "| |") in text, name
    assert text.count("| `VLA_BENCH_BOARD_") == len(Settings.table())


def test_settings_come_from_the_environment_and_options_win() -> None:
    environment = {"VLA_BENCH_BOARD_PORT": "9000", "VLA_BENCH_BOARD_TITLE": "Ours", "PATH": "/bin"}
    found = Settings.from_environment(environment, port=9001, host=None)
    assert (found.port, found.title, found.host) == (9001, "Ours", "127.0.0.1")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"VLA_BENCH_BOARD_PROT": "1"}, r"VLA_BENCH_BOARD_PROT is no setting.*Did you mean VLA_BENCH_BOARD_PORT"),
        ({"VLA_BENCH_BOARD_PORT": "many"}, r"VLA_BENCH_BOARD_PORT: .*integer"),
        ({"VLA_BENCH_BOARD_PUBLIC_URL": "board.org"}, r"VLA_BENCH_BOARD_PUBLIC_URL: "),
        ({"VLA_BENCH_BOARD_TRUSTED_PROXIES": "*"}, r"VLA_BENCH_BOARD_TRUSTED_PROXIES: .*'\*' is no address"),
        ({"VLA_BENCH_BOARD_TRUSTED_PROXIES": "10.0.0.5, proxy"}, r"'proxy' is no address"),
    ],
)
def test_a_wrong_setting_is_named(environment: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Settings.from_environment(environment)


def test_a_wrong_secret_is_never_shown() -> None:
    with pytest.raises(UsageError) as caught:
        Settings(host="0.0.0.0", secret="hunter2").checked()
    assert "hunter2" not in str(caught.value) + repr(Settings(secret="hunter2"))


@pytest.mark.parametrize("secret", ["", "short", "change-me-change-me-change-me-change-me", "a" * 40])
def test_a_default_secret_does_not_start_where_others_reach_it(secret: str) -> None:
    with pytest.raises(UsageError, match="VLA_BENCH_BOARD_SECRET"):
        Settings(host="0.0.0.0", secret=secret).checked()


def test_debug_does_not_start_where_others_reach_it() -> None:
    with pytest.raises(UsageError, match="VLA_BENCH_BOARD_DEBUG"):
        Settings(host="192.0.2.1", secret=SECRET, debug=True).checked()
    assert Settings(host="::1", debug=True).checked().secret


def test_an_older_schema_does_not_start(settings: Settings, store: Store) -> None:
    with store.database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(SchemaMismatch, match=r"older schema 0001.*python -m vla_bench.results.upgrade"):
        open_store(settings)


@pytest.mark.postgres
def test_an_older_postgres_schema_does_not_start_and_its_password_is_not_told(postgres_url: str) -> None:
    from tests.postgres import fresh_database

    with fresh_database(postgres_url) as url:
        settings = Settings(database=url)
        with open_store(settings) as opened, opened.database.write() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
        with pytest.raises(SchemaMismatch, match="older schema 0001"):
            open_store(settings)


def test_every_answer_has_an_id_and_the_headers(client: TestClient) -> None:
    for path in ("/healthz", "/", "/nowhere", "/api/nowhere"):
        headers = client.get(path).headers
        assert len(headers["x-request-id"]) == 32
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert "strict-transport-security" not in headers


def test_behind_tls_browsers_are_told_to_stay_there(settings: Settings, store: Store) -> None:
    secure = settings.model_copy(update={"public_url": "https://board.example"})
    assert "max-age" in TestClient(create_app(secure, store=store)).get("/healthz").headers["strict-transport-security"]


def test_a_client_cannot_choose_the_id_of_its_request(client: TestClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "mine"}).headers["x-request-id"] != "mine"


def test_errors_of_the_api_are_problem_documents(client: TestClient) -> None:
    answer = client.get("/api/nowhere")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/problems/not-found", "title": "Not found", "status": 404, "detail": "Not Found",
        "instance": "/api/nowhere", "request_id": answer.headers["x-request-id"],
    }  # fmt: skip
    assert client.get("/nowhere", headers={"accept": "text/html"}).headers["content-type"].startswith("text/html")


def test_a_fault_of_ours_tells_nothing_but_its_id(client: TestClient) -> None:
    answer = client.get("/api/test/broken")
    assert answer.status_code == 500
    assert "secret of the house" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_debug_tells_the_exception(settings: Settings, store: Store) -> None:
    made = create_app(settings.model_copy(update={"debug": True}), store=store)

    @made.get("/api/test/broken")
    def broken() -> str:
        raise RuntimeError("on purpose")

    answer = TestClient(made, raise_server_exceptions=False).get("/api/test/broken")
    assert answer.json()["detail"] == "RuntimeError: on purpose"


@pytest.mark.slow
def test_an_answer_that_takes_too_long_is_given_up(client: TestClient) -> None:
    answer = client.get("/api/test/slow")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/time-limit")
    assert answer.headers["retry-after"]
    assert client.get("/healthz").status_code == 200


def test_a_long_body_is_refused_with_and_without_its_length(client: TestClient) -> None:
    assert client.post("/api/test/body", content=b"x" * 1000).json() == 1000
    assert client.post("/api/test/body", content=b"x" * 1001).status_code == 413
    pieces = client.post("/api/test/body", content=iter([b"x" * 600, b"x" * 600]))
    assert (pieces.status_code, pieces.json()["type"]) == (413, "/problems/body-too-long")


def test_ready_says_what_is_broken(client: TestClient, store: Store) -> None:
    assert client.get("/readyz").json() == {"status": "ok", "database": "ok", "traces": "ok", "queue": "ok"}
    with store.database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "schema 0001, this version wants 0003"
    assert client.get("/healthz").json() == {"status": "ok"}


def test_metrics_want_their_token(client: TestClient, settings: Settings, store: Store) -> None:
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    client.get("/runs/12345")
    text = client.get("/metrics", headers={"Authorization": "Bearer measure"}).text
    assert 'vla_bench_board_request_seconds_count{method="GET",route="/runs/{' in text
    assert "12345" not in text
    for name in ("queue_depth", "oldest_replay_seconds", "replay_deviations", "database_up"):
        assert f"vla_bench_board_{name} " in text


def test_wrong_tokens_of_metrics_are_limited(client: TestClient) -> None:
    answers = [client.get("/metrics", headers={"Authorization": f"Bearer {n}"}).status_code for n in range(7)]
    assert answers == [401] * 5 + [429] * 2


def test_metrics_without_a_token_are_for_this_machine(settings: Settings, store: Store) -> None:
    made = create_app(settings.model_copy(update={"metrics_token": ""}), store=store)
    assert TestClient(made, client=HERE).get("/metrics").status_code == 200
    assert TestClient(made, client=AWAY).get("/metrics").status_code == 403


def test_logs_are_json_with_the_request_and_without_secrets(client: TestClient, settings: Settings) -> None:
    stream = io.StringIO()
    logs.configure(settings, stream)
    token = "vlab_abcdefgh" + "Z" * 43
    answer = client.get("/healthz?token=hunter2", headers={"Authorization": f"Bearer {token}"})
    structlog.get_logger("x").info("event", token=token, note=f"sent {token}", url="postgresql://a:hunter2@h/d")
    logging.getLogger("sqlalchemy").warning("postgresql://a:hunter2@h/d")
    client.get("/api/test/broken")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    asked = next(line for line in lines if line["event"] == "request")
    assert asked["request_id"] == answer.headers["x-request-id"]
    assert (asked["path"], asked["route"], asked["status"]) == ("/healthz", "/healthz", 200)
    assert any("Traceback" in line.get("exception", "") for line in lines)
    assert "hunter2" not in stream.getvalue()
    assert "ZZZ" not in stream.getvalue()


def test_a_statement_without_end_is_ended(tmp_path: Path) -> None:
    from vla_bench.results.database import locate

    database = BoardDatabase(locate(tmp_path / "b.db"), statement_s=0.2)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(StoreLocked, match=r"longer than 0.2 s"), database.read() as connection:
        connection.exec_driver_sql(endless).scalar()
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    database.close()


@pytest.mark.postgres
def test_a_postgres_statement_without_end_is_ended(postgres_url: str) -> None:
    from vla_bench.results.database import locate

    database = BoardDatabase(locate(postgres_url), statement_s=0.2)
    with pytest.raises(StoreLocked, match=r"longer than 0.2 s"), database.read() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(30)")
    database.close()


@pytest.mark.slow
def test_the_command_serves_until_a_signal(tmp_path: Path) -> None:
    import urllib.request

    program = Path(sys.executable).parent / "vla-bench"
    command = [program, "leaderboard", "--db", str(tmp_path / "b.db"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        url = service.stdout.readline().strip()
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=60) as answer:
                assert json.load(answer)["database"] == "ok"
        finally:
            service.send_signal(signal.SIGTERM)
            _, said = service.communicate(timeout=60)
    assert service.returncode == 0
    assert all(json.loads(line) for line in said.splitlines() if line.startswith("{"))
    assert '"event": "leaderboard_ready"' in said
