from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator

import httpx2
import numpy as np
import pytest
import structlog

from tests.policies.questions import episode, observation
from tests.policies.stubs import EchoPolicy, server_process
from vla_bench.policies import codec
from vla_bench.policies.base import PolicySession
from vla_bench.policies.codec import Form
from vla_bench.policies.http.client import connect
from vla_bench.policies.http.server import BackgroundServer, serve
from vla_bench.policies.listening import warn_if_open
from vla_bench.spec.errors import PolicyError, UsageError

E0 = episode("e0")
MSGPACK = {"content-type": Form.MSGPACK.value}


@pytest.fixture
def server() -> Iterator[BackgroundServer]:
    with BackgroundServer(EchoPolicy(), max_bytes=10_000) as running:
        yield running


@pytest.fixture
def client(server: BackgroundServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, trust_env=False) as running:
        yield running


def told(reply: httpx2.Response) -> tuple[int, str]:
    """Status and kind of an error."""
    form = Form(reply.headers["content-type"])
    error = codec.decode_error(reply.content, form)
    assert error is not None, reply.content
    return reply.status_code, error.kind


def raw(url: str, request: bytes) -> bytes:
    """Send bytes, read until the server closes or is silent for a moment."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as line:
        line.sendall(request)
        reply = line.recv(65536)
        line.settimeout(0.1)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while more := line.recv(65536):
                reply += more
        return reply


def test_the_whole_table_can_be_walked_with_json_by_hand(client: httpx2.Client) -> None:
    handshake = client.get("/v1/policy").json()
    assert handshake["policy"]["name"] == "echo"
    opening = client.post("/v1/sessions").json()
    assert (opening["digest"], opening["server"]) == (handshake["digest"], handshake["server"])
    session = f"/v1/sessions/{opening['session']}"
    info = {"episode": "e0", "policy_seed": 3}
    receipt = client.post(f"{session}/reset", json={"request": "r0", "episode": info}).json()
    identity = {"session": opening["session"], "episode": "e0", "attempt": 0, "stage": 0, "step": 0, "request": "r0"}
    assert receipt == {"identity": identity, "server": opening["server"]}
    question = {"identity": identity | {"request": "r1"}, "state": {"p": [1, 2]}}
    reply = client.post(f"{session}/act", json=question)
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["identity"] == question["identity"]
    assert codec.decode_chunk(reply.content, Form.JSON).actions[0].tolist() == [6, 7, 8, 9]
    assert client.delete(session).status_code == 204
    assert told(client.delete(session)) == (404, "session_lost")
    assert client.get("/healthz").json() == {"status": "ok"}
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "vla_bench_policy_latency_seconds_count 1" in metrics.text


def test_the_table_documents_itself(client: httpx2.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/healthz",
        "/metrics",
        "/v1/policy",
        "/v1/sessions",
        "/v1/sessions/{session}",
        "/v1/sessions/{session}/act",
        "/v1/sessions/{session}/reset",
    }


@pytest.mark.parametrize("accept", [*Form, None])
@pytest.mark.parametrize("form", Form)
def test_the_reply_is_in_the_form_that_is_accepted_or_that_was_sent(
    client: httpx2.Client, form: Form, accept: Form | None
) -> None:
    session = client.post("/v1/sessions").json()["session"]
    headers = {"content-type": form.value} | ({"accept": accept.value} if accept else {})
    reply = client.post(f"/v1/sessions/{session}/reset", content=codec.encode_reset(E0, "r", form), headers=headers)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == (accept or form).value
    reply = client.post(
        f"/v1/sessions/{session}/act",
        content=codec.encode_observation(observation(session, E0), form),
        headers=headers,
    )
    assert reply.headers["content-type"] == (accept or form).value
    assert codec.decode_chunk(reply.content, accept or form).actions.shape == (2, 4)


@pytest.mark.parametrize("method", ["act", "reset"])
def test_what_cannot_be_read_is_422_and_says_why(client: httpx2.Client, method: str) -> None:
    session = client.post("/v1/sessions").json()["session"]
    url = f"/v1/sessions/{session}/{method}"
    for headers, body in (
        (MSGPACK, b"garbage"),
        (MSGPACK, b""),
        ({"content-type": "application/json"}, b"{"),
        ({"content-type": "text/plain"}, b"{}"),
        ({}, b"{}"),
    ):
        assert told(client.post(url, content=body, headers=headers)) == (422, "bad_request")


def test_a_question_at_another_sessions_url_is_refused(client: httpx2.Client) -> None:
    one, two = (client.post("/v1/sessions").json()["session"] for _ in range(2))
    body = codec.encode_observation(observation(one, E0))
    assert told(client.post(f"/v1/sessions/{two}/act", content=body, headers=MSGPACK)) == (422, "bad_request")


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("PUT", "/v1/policy"), ("GET", "/v1/sessions/x/act")])
def test_an_unknown_endpoint_is_told_like_every_error(client: httpx2.Client, method: str, path: str) -> None:
    status, kind = told(client.request(method, path))
    assert status in (404, 405)
    assert kind == "bad_request"


def test_too_long_a_request_is_refused_by_its_announced_length(server: BackgroundServer) -> None:
    head = b"POST /v1/sessions/x/act HTTP/1.1\r\nhost: x\r\ncontent-type: application/msgpack\r\n"
    reply = raw(server.url, head + b"content-length: 99999\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"message_too_large" in reply


def test_too_long_a_request_without_a_length_is_refused_while_it_comes(server: BackgroundServer) -> None:
    head = b"POST /v1/sessions/x/act HTTP/1.1\r\nhost: x\r\ncontent-type: application/msgpack\r\n"
    chunk = b"fa0\r\n" + b"x" * 4000 + b"\r\n"
    reply = raw(server.url, head + b"transfer-encoding: chunked\r\n\r\n" + chunk * 3)
    assert reply.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_leaves_in_the_middle_of_its_request_harms_nobody(
    server: BackgroundServer, client: httpx2.Client
) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(b"POST /v1/sessions/x/act HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\nhalf")
    assert client.get("/healthz").status_code == 200


def test_everything_but_health_asks_for_the_token() -> None:
    with BackgroundServer(EchoPolicy(), token="sesame") as running, httpx2.Client(base_url=running.url) as client:
        assert client.get("/healthz").status_code == 200
        for method, path in (
            ("GET", "/v1/policy"),
            ("POST", "/v1/sessions"),
            ("POST", "/v1/sessions/x/act"),
            ("POST", "/v1/sessions/x/reset"),
            ("DELETE", "/v1/sessions/x"),
            ("GET", "/metrics"),
            ("GET", "/openapi.json"),
        ):
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "sesame"}):
                reply = client.request(method, path, headers=headers)
                assert told(reply) == (401, "unauthorized")
                assert reply.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/policy", headers={"authorization": "Bearer sesame"}).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_the_sessions_and_ends_the_process_in_peace(number: signal.Signals) -> None:
    with server_process() as (url, child):
        connection = connect(url)
        connection.open_session().reset(E0)
        child.send_signal(number)
        assert child.wait(10) == 0
        assert child.stdout is not None
        assert "closed 1" in child.stdout.read()
        connection.close()


def test_a_signal_ends_a_process_whose_policy_hangs() -> None:
    with server_process("--pass-s", "3600") as (url, child):
        session = connect(url).open_session()
        session.reset(E0)
        asking = threading.Thread(target=_ask, args=(session,))
        asking.start()
        while _n_batches(url) == 0:
            time.sleep(0.01)
        child.terminate()
        assert child.wait(15) == 0
        asking.join()


def _ask(session: PolicySession) -> None:
    with contextlib.suppress(PolicyError):
        session.act(observation(session.id, E0))


def _n_batches(url: str) -> int:
    text = httpx2.get(f"{url}/metrics", trust_env=False).text
    return sum(line.startswith("vla_bench_policy_batches_total{") for line in text.splitlines())


def test_a_port_in_use_is_a_usage_error(server: BackgroundServer) -> None:
    with pytest.raises(UsageError, match=rf"cannot listen on 127.0.0.1 port {server.port}"):
        serve(EchoPolicy(), port=server.port)
    with pytest.raises(UsageError, match="cannot listen"):
        BackgroundServer(EchoPolicy(), port=server.port)


@pytest.mark.parametrize(
    ("host", "token", "is_warned"),
    [("127.0.0.1", None, False), ("localhost", None, False), ("0.0.0.0", None, True), ("0.0.0.0", "t", False)],
)
def test_listening_to_the_network_without_a_token_is_warned_of(host: str, token: str | None, is_warned: bool) -> None:
    with structlog.testing.capture_logs() as events:
        warn_if_open(host, token)
    assert any(event["event"] == "policy_server_open_to_the_network" for event in events) is is_warned


def test_a_server_listens_on_loopback_unless_told_otherwise(server: BackgroundServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert serve.__kwdefaults__["host"] == "127.0.0.1"


def test_background_servers_leave_no_thread() -> None:
    before = threading.active_count()
    for _ in range(3):
        with BackgroundServer(EchoPolicy()) as running:
            assert httpx2.get(f"{running.url}/healthz").status_code == 200
    assert threading.active_count() <= before


def test_pictures_arrive_bit_for_bit_in_both_forms(client: httpx2.Client) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    answers = []
    for form in Form:
        session = client.post("/v1/sessions").json()["session"]
        headers = {"content-type": form.value}
        client.post(f"/v1/sessions/{session}/reset", content=codec.encode_reset(E0, "r", form), headers=headers)
        question = observation(session, E0, images={"front": picture})
        body = codec.encode_observation(question, form)
        reply = client.post(f"/v1/sessions/{session}/act", content=body, headers=headers)
        answers.append(codec.decode_chunk(reply.content, form).actions)
    assert answers[0].tobytes() == answers[1].tobytes()
    assert answers[0][0, 0] == np.float32(7 + float(picture.mean()))


def test_health_answers_while_the_policy_thinks() -> None:
    gate, entered = threading.Event(), threading.Event()

    class Thinker(EchoPolicy):
        def act(self, batch: object) -> list[object]:  # type: ignore[override]
            entered.set()
            gate.wait(10)
            return []

    with BackgroundServer(Thinker()) as running:
        session = connect(running.url).open_session()
        session.reset(E0)
        asking = threading.Thread(target=_ask, args=(session,))
        asking.start()
        entered.wait(10)
        assert json.loads(httpx2.get(f"{running.url}/healthz", timeout=5).content) == {"status": "ok"}
        gate.set()
        asking.join()
        session.close()
