"""The client against replies that are lost: one retry under the same request, answered from the server's memory."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from tests.policies.http.sessions import E0, ask, honest, session_with
from tests.policies.raw_server import Talk, http
from tests.policies.stubs import EchoPolicy
from vla_bench.policies.http.client import connect
from vla_bench.policies.http.server import BackgroundServer
from vla_bench.spec.errors import ServerUnreachable


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
