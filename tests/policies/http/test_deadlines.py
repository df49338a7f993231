"""The client against servers that are stopped, hang, drip or answer late: deadlines hold, late answers are dropped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from dataclasses import replace

import pytest

from tests.policies.http.sessions import E0, PATIENT, SHORT, ask, honest, hurried, session_with, then_honest
from tests.policies.raw_server import Talk, http, raw_server
from tests.policies.stubs import server_process
from vla_bench.policies.http.client import connect
from vla_bench.spec.errors import PolicyTimeout


def test_a_port_that_never_answers_is_a_timeout() -> None:
    silent = pytest.raises(PolicyTimeout, match=r"no whole answer from .* within 0\.3 s")
    with socket.create_server(("127.0.0.1", 0)) as listener, silent:
        connect(f"http://127.0.0.1:{listener.getsockname()[1]}", deadlines=replace(SHORT, connect_s=0.3))


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


def test_the_first_answer_of_a_server_process_may_take_longer() -> None:
    def slow(talk: Talk) -> None:
        time.sleep(0.4)
        talk.send(http(talk.chunk(float(talk.n))))

    with session_with(slow, deadlines=replace(PATIENT, act_s=0.1)) as (session, _):
        assert ask(session) == 0.0
        with pytest.raises(PolicyTimeout, match=r"within 0\.1 s"):
            ask(session, 1)


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
