"""The client and a server that does as it should: sessions, errors in words, nothing left behind."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import psutil
import pytest

from tests.policies.http.sessions import E0, ask, honest, session_with
from tests.policies.questions import episode, observation
from tests.policies.raw_server import HEAD, Talk, http, raw_server
from tests.policies.stubs import EchoPolicy, WillfulPolicy
from vla_bench.policies.codec import Form, encode_error
from vla_bench.policies.http.client import connect
from vla_bench.policies.http.server import BackgroundServer
from vla_bench.spec.errors import (
    BadReply,
    BadRequest,
    PolicyError,
    PolicyRaised,
    ServerUnreachable,
    SessionLost,
    Unauthorized,
    UsageError,
)
from vla_bench.spec.messages import PolicyInfo


def test_a_rollout_over_real_http() -> None:
    with BackgroundServer(EchoPolicy()) as server, contextlib.closing(connect(server.url)) as connection:
        assert connection.info.name == "echo"
        session = connection.open_session()
        session.reset(E0)
        question = observation(session.id, E0, step=8, state={"p": np.ones(2, np.float32)})
        chunk = session.act(question)
        assert chunk.identity == question.identity
        assert chunk.actions.tolist() == [[10, 11, 12, 13], [14, 15, 16, 17]]
        session.close()
        session.close()
        assert server.host.n_sessions == 0


def test_a_connection_closes_the_sessions_that_are_left() -> None:
    with BackgroundServer(EchoPolicy()) as server:
        connection = connect(server.url)
        for _ in range(3):
            connection.open_session()
        assert server.host.n_sessions == 3
        connection.close()
        connection.close()
        assert server.host.n_sessions == 0


def test_the_environments_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with BackgroundServer(EchoPolicy()) as server, contextlib.closing(connect(server.url)) as connection:
        assert connection.info.name == "echo"


@pytest.mark.parametrize("url", ["", "127.0.0.1:80", "ftp://x", "http://", "http://[", "http://x:port"])
def test_what_is_no_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="URL"):
        connect(url)


def test_an_absent_server_is_unreachable_and_the_way_out_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ServerUnreachable, match=rf"127.0.0.1:{port}: Connection refused. `vla-bench serve"):
        connect(f"http://127.0.0.1:{port}")


def test_an_unknown_host_is_unreachable() -> None:
    with pytest.raises(ServerUnreachable, match=r"no-such-host\.invalid"):
        connect("http://no-such-host.invalid:1")


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_wrong_token_is_refused_at_once(token: str | None) -> None:
    with BackgroundServer(EchoPolicy(), token="sesame") as server:
        with pytest.raises(Unauthorized, match="another token"):
            connect(server.url, token=token)
        with contextlib.closing(connect(server.url, token="sesame")) as connection:
            connection.open_session().reset(E0)


@pytest.mark.parametrize("kind", [SessionLost, PolicyRaised, BadRequest, BadReply])
def test_an_error_of_the_server_is_raised_as_itself(kind: type[PolicyError]) -> None:
    def refuse(talk: Talk) -> None:
        body = encode_error(kind("because"), Form.JSON)
        talk.send(http(body, HEAD.replace("200 OK", "500 X").replace("msgpack", "json")))

    with session_with(refuse) as (session, _):
        with pytest.raises(kind, match="because") as caught:
            ask(session)
        assert type(caught.value) is kind


def test_an_exception_of_the_policy_is_told_in_one_line() -> None:
    def act(batch: Any) -> Any:
        raise ValueError("no weights\nat all")

    def reset(session: str, info: Any) -> None:
        if info.episode == "bad":
            raise KeyError("task")

    with BackgroundServer(WillfulPolicy(act=act, reset=reset)) as server:
        session = connect(server.url).open_session()
        with pytest.raises(PolicyRaised, match=r"^the policy raised in reset\(\): KeyError: 'task'$"):
            session.reset(episode("bad"))
        session.reset(E0)
        with pytest.raises(PolicyRaised, match=r"^the policy raised in act\(\): ValueError: no weights$"):
            ask(session)
        session.close()
        assert server.host.n_sessions == 0


def test_nan_and_infinities_reach_the_harness_bit_for_bit() -> None:
    bits = np.array([[0x7FC00001, 0xFF800000, 0x7F800000]], dtype=np.uint32).view(np.float32)

    def act(batch: Any) -> Any:
        from vla_bench.spec.messages import ActionChunk

        return [ActionChunk(actions=bits) for _ in batch]

    with BackgroundServer(WillfulPolicy(act=act)) as server, contextlib.closing(connect(server.url)) as connection:
        session = connection.open_session()
        session.reset(E0)
        assert session.act(observation(session.id, E0)).actions.tobytes() == bits.tobytes()


def test_a_session_that_expired_is_lost() -> None:
    with BackgroundServer(EchoPolicy(), session_expiry_s=2.0) as server:
        session = connect(server.url).open_session()
        session.reset(E0)
        while server.host.n_sessions:
            time.sleep(0.02)
        with pytest.raises(SessionLost):
            ask(session)
        session.close()


def test_a_full_server_is_unreachable() -> None:
    with (
        BackgroundServer(EchoPolicy(), max_sessions=1) as server,
        contextlib.closing(connect(server.url)) as connection,
    ):
        connection.open_session()
        with pytest.raises(ServerUnreachable, match="no room"):
            connection.open_session()


def test_no_socket_is_left_behind() -> None:
    process = psutil.Process()

    def talk_a_lot() -> None:
        with BackgroundServer(EchoPolicy()) as server:
            for _ in range(5):
                connection = connect(server.url)
                for _ in range(2):
                    session = connection.open_session()
                    session.reset(E0)
                    ask(session)
                with contextlib.suppress(PolicyError):
                    session.act(observation(session.id, episode("other")))
                connection.close()

    talk_a_lot()
    before = process.num_fds()
    talk_a_lot()
    assert process.num_fds() <= before


def test_threads_share_a_connection_each_with_its_session() -> None:
    with BackgroundServer(EchoPolicy()) as server, contextlib.closing(connect(server.url)) as connection:
        found: list[list[float]] = [[] for _ in range(8)]

        def rollout(index: int) -> None:
            session = connection.open_session()
            info = episode(f"e{index}", policy_seed=index)
            session.reset(info)
            for step in range(8):
                found[index].append(float(session.act(observation(session.id, info, step)).actions[0, 0]))
            session.close()

        threads = [threading.Thread(target=rollout, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [[index + step / 8 for step in range(8)] for index in range(8)]


def test_a_path_in_front_of_the_endpoints_is_kept() -> None:
    paths: list[str] = []
    with raw_server(honest) as server:
        answer = server._answer

        def behind_a_prefix(connection: socket.socket, method: str, path: str, body: bytes) -> None:
            paths.append(path)
            answer(connection, method, path.removeprefix("/lab/policy"), body)

        server._answer = behind_a_prefix  # type: ignore[method-assign]
        with contextlib.closing(connect(f"{server.url}/lab/policy")) as connection:
            session = connection.open_session()
            session.reset(E0)
            assert ask(session) == 1.0
    assert all(path.startswith("/lab/policy/v1/") for path in paths)


def test_the_handshake_is_read_once() -> None:
    reads: list[str] = []
    with raw_server(honest) as server:
        answer = server._answer

        def count(connection: socket.socket, method: str, path: str, body: bytes) -> None:
            reads.append(path)
            answer(connection, method, path, body)

        server._answer = count  # type: ignore[method-assign]
        with contextlib.closing(connect(server.url)) as connection:
            for _ in range(3):
                session = connection.open_session()
                session.reset(E0)
                ask(session)
    assert reads.count("/v1/policy") == 1


def test_the_client_needs_no_server_library() -> None:
    code = "import sys, vla_bench.policies.http.client; print(sorted({'fastapi', 'uvicorn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_raw_servers_speak_the_truth_by_default() -> None:
    """What the misbehaving servers of this file change is all that is wrong with them."""
    with session_with(honest) as (session, server):
        assert server.info == PolicyInfo(name="raw")
        assert ask(session) == 1.0
