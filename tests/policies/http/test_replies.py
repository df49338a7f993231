"""The client against replies that are garbage, stale, doubled or too long."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.policies.http.sessions import E0, ask, honest, session_with, then_honest
from tests.policies.questions import observation
from tests.policies.raw_server import HEAD, Talk, http, raw_server
from tests.policies.stubs import EchoPolicy
from vla_bench.policies.codec import encode_error
from vla_bench.policies.http.client import connect
from vla_bench.policies.http.server import BackgroundServer
from vla_bench.spec.errors import (
    BadReply,
    MessageTooLarge,
    PolicyError,
    PolicyRaised,
    ServerUnreachable,
    StaleReply,
    Unauthorized,
)


def test_a_web_page_is_no_policy_server() -> None:
    with raw_server(honest) as server:
        server.info = None  # type: ignore[assignment]
        page = b"<html>hello</html>"
        reply = http(page, HEAD.replace("application/msgpack", "text/html"))
        server._answer = lambda connection, *_: connection.sendall(reply)  # type: ignore[method-assign]
        with pytest.raises(BadReply, match="'text/html': not a policy server"):
            connect(server.url)


@pytest.mark.parametrize(
    ("status", "error"),
    [("404 Not Found", BadReply), ("403 Forbidden", Unauthorized), ("502 Bad Gateway", ServerUnreachable),
     ("413 Too Large", MessageTooLarge), ("500 Oops", BadReply), ("302 Found", BadReply)],
)  # fmt: skip
def test_a_status_without_our_words_is_understood(status: str, error: type[PolicyError]) -> None:
    def refuse(talk: Talk) -> None:
        talk.send(http(b"nope", HEAD.replace("200 OK", status).replace("application/msgpack", "text/plain")))

    with session_with(refuse) as (session, _), pytest.raises(error, match=status[:3]):
        ask(session)


_TWO_LENGTHS = HEAD.replace("\r\n\r\n", "\r\ncontent-length: 1\r\n\r\n")


GARBAGE: list[tuple[str, Callable[[Talk], bytes], type[PolicyError]]] = [
    ("not HTTP", lambda talk: b"\x00\x01\x02garbage\r\n\r\n", BadReply),
    ("a web page", lambda talk: http(b"<html>", HEAD.replace("application/msgpack", "text/html")), BadReply),
    ("garbage in msgpack", lambda talk: http(b"\xc1\xff\x00"), BadReply),
    ("an empty body", lambda talk: http(b""), BadReply),
    ("an empty map", lambda talk: http(b"\x80"), BadReply),
    ("a list", lambda talk: http(b"\x90"), BadReply),
    ("no actions", lambda talk: http(talk.chunk().replace(b"\xa7actions", b"\xa7octopus")), BadReply),
    ("an error with status 200", lambda talk: http(encode_error(PolicyRaised("x"))), BadReply),
    ("half a chunk, called whole", lambda talk: http(talk.chunk()[:-5]), BadReply),
    ("a status line that never was", lambda talk: b"HTTP/1.1 xyz\r\n\r\n", BadReply),
    ("two lengths", lambda talk: http(talk.chunk(), _TWO_LENGTHS), BadReply),
    ("another step", lambda talk: http(talk.chunk(step=41)), StaleReply),
    ("another stage", lambda talk: http(talk.chunk(stage=1)), StaleReply),
    ("another attempt", lambda talk: http(talk.chunk(attempt=1)), StaleReply),
    ("another episode", lambda talk: http(talk.chunk(episode="e1")), StaleReply),
    ("another session", lambda talk: http(talk.chunk(session="t")), StaleReply),
    ("an earlier request", lambda talk: http(talk.chunk(request="r-before")), StaleReply),
    ("another server process", lambda talk: http(talk.chunk(server="other")), StaleReply),
]


@pytest.mark.parametrize(("what", "reply", "error"), GARBAGE, ids=[what for what, _, _ in GARBAGE])
def test_a_reply_that_is_not_the_answer_is_an_error_and_the_next_one_is_good(
    what: str, reply: Callable[[Talk], bytes], error: type[PolicyError]
) -> None:
    with session_with(then_honest(lambda talk: talk.send(reply(talk)))) as (session, server):
        with pytest.raises(error):
            ask(session)
        n_connections = server.n_connections
        assert ask(session, 1) == 1.0
        assert server.n_connections == n_connections + 1  # the connection of the bad reply is not used again


def test_a_stale_reply_names_what_differs() -> None:
    stale = session_with(lambda talk: talk.send(http(talk.chunk(step=0))))
    with stale as (session, _), pytest.raises(StaleReply, match="step 3 asked, 0 answered"):
        ask(session, 3)


def test_a_duplicate_reply_is_dropped_with_its_connection() -> None:
    with session_with(lambda talk: talk.send(http(talk.chunk(float(talk.n))) * 2)) as (session, server):
        assert [ask(session, step) for step in range(3)] == [0.0, 1.0, 2.0]
        assert server.n_connections == 4


def test_a_duplicate_reply_that_comes_later_is_dropped_too() -> None:
    again = threading.Event()

    def twice(talk: Talk) -> None:
        talk.send(http(talk.chunk(float(talk.n))))
        if talk.n == 0:
            again.wait(60)
            talk.send(http(talk.chunk(99.0)))
            sent.set()

    sent = threading.Event()
    with session_with(twice) as (session, _):
        assert ask(session) == 0.0
        again.set()
        sent.wait(60)
        time.sleep(0.05)  # bytes sent are not yet bytes received
        assert [ask(session, step) for step in (1, 2)] == [1.0, 2.0]


def test_bytes_after_a_reply_cost_the_connection_and_nothing_else() -> None:
    with session_with(lambda talk: talk.send(http(talk.chunk(float(talk.n))) + b"\r\n")) as (session, server):
        assert [ask(session, step) for step in range(3)] == [0.0, 1.0, 2.0]
        assert server.n_connections == 4


def test_a_kept_connection_is_used_again() -> None:
    with session_with(honest) as (session, server):
        for step in range(5):
            ask(session, step)
        assert server.n_connections == 2  # of the handshake and of the session


def test_a_server_that_closes_after_every_reply_is_served_too() -> None:
    def answer_and_close(talk: Talk) -> None:
        talk.send(http(talk.chunk(float(talk.n)), HEAD.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")))
        talk.connection.shutdown(socket.SHUT_RDWR)

    with session_with(answer_and_close) as (session, _):
        assert [ask(session, step) for step in range(3)] == [0.0, 1.0, 2.0]


def test_a_chunked_reply_is_understood() -> None:
    def chunked(talk: Talk) -> None:
        body = talk.chunk(float(talk.n))
        head = HEAD.replace("content-length: {}", "transfer-encoding: chunked").encode()
        talk.send(head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")

    with session_with(chunked) as (session, _):
        assert [ask(session, step) for step in range(3)] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("is_told", [True, False])
def test_too_long_a_reply_is_refused_before_it_is_all_here(is_told: bool) -> None:
    sent: list[int] = []

    def flood(talk: Talk) -> None:
        if is_told:
            talk.send(HEAD.format(10**9).encode())
        else:
            talk.send(HEAD.replace("content-length: {}", "transfer-encoding: chunked").encode())
            with contextlib.suppress(OSError):
                for _ in range(10_000):
                    talk.connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                    sent.append(65536)

    with session_with(then_honest(flood), max_bytes=100_000) as (session, _):
        with pytest.raises(MessageTooLarge, match="longer than 100000 bytes"):
            ask(session)
        assert ask(session, 1) == 1.0
    assert sum(sent) < 50_000_000


def test_a_head_without_end_is_refused() -> None:
    def endless(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 500_000)

    with session_with(then_honest(endless)) as (session, _):
        with pytest.raises(BadReply):
            ask(session)
        assert ask(session, 1) == 1.0


def test_too_long_a_request_is_refused_on_either_side() -> None:
    picture = {"front": np.zeros((64, 64, 3), np.uint8)}
    with BackgroundServer(EchoPolicy(), max_bytes=5000) as server:
        for options in ({}, {"max_bytes": 5000}):
            with contextlib.closing(connect(server.url, **options)) as connection:
                session = connection.open_session()
                session.reset(E0)
                with pytest.raises(MessageTooLarge):
                    session.act(observation(session.id, E0, images=picture))
                assert ask(session) == 7
