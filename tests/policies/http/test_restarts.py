"""The client against servers that are killed, come back, or are another policy."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace

import pytest

from tests.policies.http.sessions import E0, ask, honest, session_with
from tests.policies.stubs import server_process
from vla_bench.policies.http.client import connect
from vla_bench.spec.errors import PolicyChanged, ServerUnreachable, SessionLost


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
