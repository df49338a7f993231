"""The gRPC transport: the same answers and the same errors as over HTTP."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from tests.policies.questions import ask, episode, observation
from vla_bench.policies.base import Deadlines, Policy
from vla_bench.policies.builtin.noop import NoopPolicy
from vla_bench.policies.builtin.random import RandomPolicy
from vla_bench.policies.grpc.client import GrpcConnection, connect
from vla_bench.policies.grpc.server import BackgroundServer
from vla_bench.policies.served import ServedPolicy
from vla_bench.spec.errors import (
    BadRequest,
    MessageTooLarge,
    MissingExtra,
    ServerUnreachable,
    SessionLost,
    StaleReply,
    Unauthorized,
    UsageError,
)
from vla_bench.spec.messages import Observation
from vla_bench.testing.policy import check_policy

QUICK = Deadlines(connect_s=10.0, first_act_s=10.0, act_s=10.0)


@pytest.fixture
def server() -> Iterator[BackgroundServer]:
    with BackgroundServer(RandomPolicy(chunk=3)) as running:
        yield running


@pytest.fixture
def line(server: BackgroundServer) -> Iterator[GrpcConnection]:
    connection = connect(server.url, deadlines=QUICK)
    yield connection
    connection.close()


def test_the_handshake_and_the_answers_are_those_of_the_policy(server: BackgroundServer, line: GrpcConnection) -> None:
    assert line.info == RandomPolicy(chunk=3).info()
    session = line.open_session()
    session.reset(episode())
    wanted = ask(RandomPolicy(chunk=3), episode(), 3)
    for step in range(3):
        question = observation(session.id, episode(), step)
        chunk = session.act(question)
        assert chunk.actions.tobytes() == wanted[step].tobytes()
        assert (chunk.identity, chunk.server) == (question.identity, server.host.server_id)
        assert chunk.server_ms > 0
    session.close()
    session.close()
    assert server.host.n_sessions == 0


@pytest.mark.parametrize("policy", [RandomPolicy(chunk=4), NoopPolicy()])
def test_the_conformance_kit_passes_over_grpc(policy: Policy) -> None:
    with BackgroundServer(policy, token="right") as server:
        assert len(check_policy(server.url, token="right", deadlines=QUICK)) > 8


def test_pictures_and_states_arrive_bit_for_bit() -> None:
    seen: list[Observation] = []

    class Watching(NoopPolicy):
        def act(self, batch: Any) -> Any:
            seen.extend(batch)
            return super().act(batch)

    generator = np.random.default_rng(0)
    pictures = {name: generator.integers(0, 256, (256, 256, 3), np.uint8) for name in ("front", "wrist")}
    state = {"joints": generator.normal(size=8).astype(np.float32)}
    with BackgroundServer(Watching()) as server:
        line = connect(server.url, deadlines=QUICK)
        session = line.open_session()
        session.reset(episode())
        session.act(observation(session.id, episode(), images=pictures, state=state, history={-4: pictures}))
        line.close()
    assert all(np.array_equal(seen[0].images[name], pictures[name]) for name in pictures)
    assert all(np.array_equal(seen[0].history[-4][name], pictures[name]) for name in pictures)
    assert np.array_equal(seen[0].state["joints"], state["joints"])


def test_a_repeated_request_is_answered_from_memory(server: BackgroundServer, line: GrpcConnection) -> None:
    session = line.open_session()
    session.reset(episode())
    question = observation(session.id, episode())
    assert session.act(question).actions.tobytes() == session.act(question).actions.tobytes()
    assert server.host.metrics.n_repeats == 1


def test_sessions_of_many_threads_share_forward_passes_and_get_unbatched_answers(line: GrpcConnection) -> None:
    n_sessions, n_steps = 6, 20
    answers: dict[int, list[bytes]] = {}

    def drive(index: int) -> None:
        session = line.open_session()
        info = episode(f"e{index}", policy_seed=index)
        session.reset(info)
        answers[index] = [session.act(observation(session.id, info, step)).actions.tobytes() for step in range(n_steps)]
        session.close()

    threads = [threading.Thread(target=drive, args=(index,)) for index in range(n_sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in range(n_sessions):
        alone = ask(RandomPolicy(chunk=3), episode(f"e{index}", policy_seed=index), n_steps)
        assert answers[index] == [actions.tobytes() for actions in alone]


def test_a_batch_joins_the_sessions_that_ask_at_once(server: BackgroundServer, line: GrpcConnection) -> None:
    sessions = [line.open_session() for _ in range(4)]
    for session in sessions:
        session.reset(episode())
    for step in range(30):
        threads = [
            threading.Thread(target=session.act, args=(observation(session.id, episode(), step),))
            for session in sessions
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if max(server.host.metrics.batch_sizes) > 1:
            return
    pytest.fail("30 rounds of four questions at once, and never two in one pass")


@pytest.mark.parametrize("shown", [None, "wrong", ""])
def test_a_wrong_token_is_refused(shown: str | None) -> None:
    with BackgroundServer(NoopPolicy(), token="right") as server:
        with pytest.raises(Unauthorized, match="wants another token"):
            connect(server.url, token=shown, deadlines=QUICK)
        line = connect(server.url, token="right", deadlines=QUICK)
        assert line.open_session().id
        line.close()


def test_health_wants_no_token() -> None:
    with BackgroundServer(NoopPolicy(), token="right") as server:
        channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        assert channel.unary_unary("/vla_bench.Policy/Health")(b"", timeout=10) == b""
        channel.close()


def test_a_request_or_an_answer_over_the_limit_is_refused() -> None:
    with BackgroundServer(NoopPolicy(chunk=2000), max_bytes=20_000) as server:
        picture = {"front": np.zeros((100, 100, 3), np.uint8)}
        for limit, words in ((10_000, "the request to grpc.* bytes, the limit is 10000"), (10**6, "larger than")):
            line = connect(server.url, deadlines=QUICK, max_bytes=limit)
            session = line.open_session()
            session.reset(episode())
            with pytest.raises(MessageTooLarge, match=words):
                session.act(observation(session.id, episode(), images=picture))
            with pytest.raises(MessageTooLarge, match="the answer has"):
                session.act(observation(session.id, episode()))
            line.close()
    with BackgroundServer(NoopPolicy(chunk=2000)) as server:
        line = connect(server.url, deadlines=QUICK, max_bytes=10_000)
        session = line.open_session()
        session.reset(episode())
        with pytest.raises(MessageTooLarge):
            session.act(observation(session.id, episode()))
        line.close()


def test_a_question_out_of_order_is_refused(line: GrpcConnection) -> None:
    session = line.open_session()
    with pytest.raises(BadRequest):
        session.act(observation(session.id, episode()))
    session.reset(episode())
    with pytest.raises(BadRequest):
        session.act(observation(session.id, episode(attempt=1)))


def test_a_reply_of_another_server_process_is_never_used(line: GrpcConnection) -> None:
    session = line.open_session()
    session._server = "somebody else"
    with pytest.raises(StaleReply, match="somebody else"):
        session.reset(episode())


def test_a_closed_session_is_lost_and_a_closed_line_unreachable(line: GrpcConnection) -> None:
    session, other = line.open_session(), line.open_session()
    session.close()
    with pytest.raises(SessionLost):
        session.reset(episode())
    line.close()
    line.close()
    other.close()
    with pytest.raises(ServerUnreachable, match="is closed"):
        line.open_session()


def test_nobody_there_is_unreachable_at_once(server: BackgroundServer) -> None:
    server.stop()
    # Past the deadline it would be a PolicyTimeout.
    with pytest.raises(ServerUnreachable, match=server.url):
        connect(server.url, deadlines=Deadlines(connect_s=60.0))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "grpc://", "grpc://127.0.0.1:1/path"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="grpc://HOST:PORT"):
        connect(url)


def test_without_grpcio_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(MissingExtra, match=r"pip install 'vla-bench\[grpc\]'"):
        connect("grpc://127.0.0.1:1")
    with pytest.raises(MissingExtra):
        BackgroundServer(NoopPolicy())


def test_two_servers_never_share_a_port(server: BackgroundServer) -> None:
    with pytest.raises(UsageError, match="is the port in use"):
        BackgroundServer(NoopPolicy(), port=server.port)


def test_a_run_reaches_a_grpc_server_by_its_url(server: BackgroundServer) -> None:
    with ServedPolicy(url=server.url, label="mine", deadlines=QUICK) as served:
        assert (served.info.name, served.pid, served.is_alive) == ("mine", None, True)
        session = served.open_session()
        session.reset(episode())
        served.restart(0)
        assert served.generation == 1
        assert session.act(observation(session.id, episode())).actions.shape == (3, 4)
