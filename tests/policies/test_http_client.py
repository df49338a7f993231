"""The client against servers on their worst days: real sockets, real processes, deadlines under a second."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import pytest

from tests.policies.questions import episode, observation
from tests.policies.raw_server import HEAD, RawServer, Talk, http, raw_server
from tests.policies.stubs import EchoPolicy, WillfulPolicy, server_process
from vla_bench.policies.base import Deadlines
from vla_bench.policies.codec import Form, encode_error
from vla_bench.policies.http.client import HttpSession, connect
from vla_bench.policies.http.server import BackgroundServer
from vla_bench.spec.errors import (
    BadReply,
    BadRequest,
    MessageTooLarge,
    PolicyChanged,
    PolicyError,
    PolicyRaised,
    PolicyTimeout,
    ServerUnreachable,
    SessionLost,
    StaleReply,
    Unauthorized,
    UsageError,
)
from vla_bench.spec.messages import PolicyInfo

E0 = episode("e0")
PATIENT = Deadlines(connect_s=60.0, first_act_s=60.0, act_s=60.0)
"""For answers that come: on a busy machine they take what they take."""
SHORT = Deadlines(connect_s=60.0, first_act_s=0.4, act_s=0.4)
"""For answers that never come."""


@contextlib.contextmanager
def session_with(act: Callable[[Talk], None], **options: Any) -> Iterator[tuple[HttpSession, RawServer]]:
    """A session, reset to `E0`, at a server made by hand."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(raw_server(act))
        connection = stack.enter_context(contextlib.closing(connect(server.url, **({"deadlines": PATIENT} | options))))
        session = connection.open_session()
        session.reset(E0)
        yield session, server


@contextlib.contextmanager
def hurried(session: HttpSession) -> Iterator[None]:
    """Expect no answer, and do not wait for it as long as for one that comes."""
    connection = session._connection
    patient, connection._deadlines = connection._deadlines, SHORT
    try:
        with pytest.raises(PolicyTimeout, match=r"within 0\.4 s"):
            yield
    finally:
        connection._deadlines = patient


def honest(talk: Talk) -> None:
    talk.send(http(talk.chunk()))


def ask(session: HttpSession, step: int = 0) -> float:
    """One question; the first number of its answer."""
    return float(session.act(observation(session.id, E0, step)).actions[0, 0])


def then_honest(first: Callable[[Talk], None]) -> Callable[[Talk], None]:
    """Misbehave at the first question only."""
    return lambda talk: first(talk) if talk.n == 0 else talk.send(http(talk.chunk(float(talk.n))))


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


def test_a_port_that_never_answers_is_a_timeout() -> None:
    silent = pytest.raises(PolicyTimeout, match=r"no whole answer from .* within 0\.3 s")
    with socket.create_server(("127.0.0.1", 0)) as listener, silent:
        connect(f"http://127.0.0.1:{listener.getsockname()[1]}", deadlines=replace(SHORT, connect_s=0.3))


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_wrong_token_is_refused_at_once(token: str | None) -> None:
    with BackgroundServer(EchoPolicy(), token="sesame") as server:
        with pytest.raises(Unauthorized, match="another token"):
            connect(server.url, token=token)
        with contextlib.closing(connect(server.url, token="sesame")) as connection:
            connection.open_session().reset(E0)


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


def test_a_killed_server_is_unreachable_at_once() -> None:
    with server_process() as (url, child), contextlib.closing(connect(url)) as connection:
        session = connection.open_session()
        session.reset(E0)
        ask(session)
        child.kill()
        child.wait()
        with pytest.raises(ServerUnreachable):
            ask(session, 1)


def test_a_server_killed_while_it_thinks_is_unreachable_before_the_deadline() -> None:
    with server_process("--pass-s", "60") as (url, child), contextlib.closing(connect(url)) as connection:
        session = connection.open_session()
        session.reset(E0)
        threading.Timer(0.2, child.kill).start()
        with pytest.raises(ServerUnreachable):
            ask(session)


def test_a_restarted_server_knows_no_old_session_and_opens_new_ones() -> None:
    with server_process() as (url, first), contextlib.closing(connect(url)) as connection:
        session = connection.open_session()
        session.reset(E0)
        ask(session)
        first.kill()
        first.wait()
        with server_process("--port", url.rpartition(":")[2]):
            with pytest.raises(SessionLost, match="was restarted"):
                ask(session, 1)
            again = connection.open_session()
            again.reset(E0)
            assert ask(again) == 7


def test_another_policy_behind_the_same_url_is_noticed_before_it_acts() -> None:
    with server_process() as (url, first), contextlib.closing(connect(url)) as connection:
        connection.open_session().reset(E0)
        first.kill()
        first.wait()
        impostor = server_process("--port", url.rpartition(":")[2], "--name", "impostor")
        with impostor, pytest.raises(PolicyChanged, match="name was 'echo' and is 'impostor'"):
            connection.open_session()


def test_a_digest_that_differs_is_another_policy_even_if_the_handshake_hides_it() -> None:
    with session_with(honest) as (session, server):
        shown = server.info
        server.info = replace(shown, version="9")
        with pytest.raises(PolicyChanged, match="version was '0' and is '9'"):
            session._connection.open_session()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP here")
def test_a_stopped_server_is_noticed_within_the_deadline_and_forgiven_afterwards() -> None:
    with server_process() as (url, child), contextlib.closing(connect(url, deadlines=PATIENT)) as connection:
        session = connection.open_session()
        session.reset(E0)
        ask(session)
        os.kill(child.pid, signal.SIGSTOP)
        try:
            with hurried(session):
                ask(session, 1)
            with pytest.raises(PolicyTimeout):  # the port still accepts: opening has its own deadline
                connect(url, deadlines=replace(SHORT, connect_s=0.3))
        finally:
            os.kill(child.pid, signal.SIGCONT)
        assert ask(session, 2) == 7.25


def test_a_question_that_hangs_does_not_spoil_the_next() -> None:
    hung = threading.Event()

    def hang(talk: Talk) -> None:
        hung.wait(60)

    with session_with(then_honest(hang)) as (session, server):
        with hurried(session):
            ask(session)
        assert ask(session, 1) == 1.0
        assert server.n_connections == 3  # handshake, session, and another after the timeout
        hung.set()


def test_an_answer_after_the_deadline_is_never_used() -> None:
    late = threading.Event()

    def answer_late(talk: Talk) -> None:
        late.wait(60)
        talk.send(http(talk.chunk(99.0)))

    with session_with(then_honest(answer_late)) as (session, _):
        with hurried(session):
            ask(session)
        late.set()
        assert [ask(session, step) for step in (1, 2, 3)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("what", ["head", "body", "all"])
def test_bytes_that_drip_do_not_stretch_the_deadline(what: str) -> None:
    def drip(talk: Talk) -> None:
        reply = http(talk.chunk())
        n_head = reply.index(b"\r\n\r\n") + 4
        if what == "body":
            talk.send(reply[:n_head])
            reply = reply[n_head:]
        elif what == "head":
            reply = reply[:n_head]
        talk.drip(reply, 0.02)

    # Every byte comes in time, and the whole only after seconds: a deadline for each byte would let it pass.
    with session_with(then_honest(drip)) as (session, _):
        with hurried(session):
            ask(session)
        assert ask(session, 1) == 1.0


def test_a_reply_in_pieces_within_the_deadline_is_whole() -> None:
    with session_with(lambda talk: talk.drip(http(talk.chunk(5.0)), 0.0002)) as (session, _):
        assert ask(session) == 5.0


def test_a_handshake_that_drips_is_a_timeout() -> None:
    with raw_server(honest) as server:
        server._answer = lambda connection, *_: Talk(connection, None, 0).drip(b"HTTP/1.1 200 OK\r\n" * 99, 0.05)  # type: ignore[method-assign, arg-type]
        with pytest.raises(PolicyTimeout):
            connect(server.url, deadlines=replace(SHORT, connect_s=0.3))


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


def test_a_lost_reply_on_a_kept_connection_is_asked_for_once_more_under_the_same_id() -> None:
    def lose_the_second(talk: Talk) -> None:
        if talk.n == 1:
            talk.cut()
        else:
            talk.send(http(talk.chunk(float(talk.n))))

    with session_with(lose_the_second) as (session, server):
        assert ask(session) == 0.0
        assert ask(session, 1) == 2.0
        assert server.requests[1] == server.requests[2]


@pytest.mark.parametrize("at", [0, 20, -3])
def test_replies_that_are_always_lost_are_unreachable_after_one_retry(at: int) -> None:
    def cut_short(talk: Talk) -> None:
        if talk.n == 0:
            honest(talk)
            return
        talk.send(http(talk.chunk())[:at])
        talk.connection.shutdown(socket.SHUT_RDWR)

    with session_with(cut_short) as (session, server):
        ask(session)
        with pytest.raises(ServerUnreachable, match="broke before its answer was whole"):
            ask(session, 1)
        assert len(server.requests) == 3


def test_a_retry_after_a_lost_reply_is_answered_from_the_servers_memory() -> None:
    """A relay in front of a real server swallows a reply: the policy infers once, the client gets its answer."""
    policy = EchoPolicy()
    with BackgroundServer(policy) as server, _Relay(server.port) as relay:
        with contextlib.closing(connect(relay.url)) as connection:
            session = connection.open_session()
            session.reset(E0)
            ask(session)
            relay.swallow_next = True
            assert ask(session, 1) == 7.125
        assert len(policy.batches) == 2
        assert server.host.metrics.n_repeats == 1


class _Relay:
    """A TCP relay that can lose a reply together with its connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.swallow_next = False

    def __enter__(self) -> _Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [near, far]
                threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_reply and self.swallow_next:
                    self.swallow_next = False
                    break
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


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


def test_the_first_answer_of_a_server_process_may_take_longer() -> None:
    def slow(talk: Talk) -> None:
        time.sleep(0.4)
        talk.send(http(talk.chunk(float(talk.n))))

    with session_with(slow, deadlines=replace(PATIENT, act_s=0.1)) as (session, _):
        assert ask(session) == 0.0
        with pytest.raises(PolicyTimeout, match=r"within 0\.1 s"):
            ask(session, 1)


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


def test_closing_a_session_of_a_dead_server_neither_raises_nor_waits() -> None:
    with raw_server(lambda talk: None) as server:
        connection = connect(server.url, deadlines=PATIENT)
        session = connection.open_session()
        with hurried(session):
            ask(session)
    closing = threading.Thread(target=connection.close, daemon=True)
    closing.start()
    # Far less than the deadline that waiting for an answer would take.
    closing.join(PATIENT.act_s / 2)
    assert not closing.is_alive()


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
