"""Sessions at servers that are made by hand, for the tests of this folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.policies.questions import episode, observation
from tests.policies.raw_server import RawServer, Talk, http, raw_server
from vla_bench.policies.base import Deadlines
from vla_bench.policies.http.client import HttpSession, connect
from vla_bench.spec.errors import PolicyTimeout

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
