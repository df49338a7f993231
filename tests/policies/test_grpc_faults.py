"""The gRPC transport on bad days, in real processes where one has to die."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.policies.faulty_policies import FaultyPolicy
from tests.policies.questions import episode, observation
from vla_bench.policies.base import Deadlines
from vla_bench.policies.grpc.client import connect
from vla_bench.policies.grpc.server import BackgroundServer
from vla_bench.spec.errors import BadReply, PolicyChanged, PolicyRaised, PolicyTimeout, ServerUnreachable, SessionLost

FAULTY = f"{Path(__file__).with_name('faulty_policies.py')}:FaultyPolicy"
QUICK = Deadlines(connect_s=10.0, first_act_s=10.0, act_s=10.0)


IMPATIENT = Deadlines(connect_s=10.0, first_act_s=1.0, act_s=1.0)
SERVE = """
import json, sys
from vla_bench.policies.serving import serve_policy
serve_policy(
    sys.argv[1], json.loads(sys.argv[2]), transport="grpc", port=int(sys.argv[3]),
    on_ready=lambda url, info: print("ready", url, info.name, flush=True),
)
"""


class Server:
    """`serve_policy(…, transport="grpc")` in a process of its own."""

    def __init__(self, spec: str, options: str = "{}", port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, spec, options, str(port)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = next(line.split()[1] for line in self.process.stdout if line.startswith("ready"))
        self.port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def close(self) -> None:
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)
        self.process.communicate(timeout=20)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.close()


def once_reachable(call: Callable[[], object]) -> None:
    """A channel waits a moment, at most a second, before it looks for a lost server again."""
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at:
        with contextlib.suppress(ServerUnreachable):
            call()
            return
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("raise_in_act", PolicyRaised, r"raised in act\(\): RuntimeError: faulty on purpose: act"),
        ("no_answer", BadReply, "returned 0 answers to 1 observations"),
    ],
)
def test_what_the_policy_does_wrong_arrives_as_its_own_error(fault: str, error: type, words: str) -> None:
    with BackgroundServer(FaultyPolicy(fault=fault, step=1)) as server:
        line = connect(server.url, deadlines=QUICK)
        session = line.open_session()
        session.reset(episode())
        session.act(observation(session.id, episode()))
        with pytest.raises(error, match=words):
            session.act(observation(session.id, episode(), 1))
        line.close()


def test_an_exception_in_reset_arrives_as_its_own_error_and_a_later_reset_passes(tmp_path: Path) -> None:
    with BackgroundServer(FaultyPolicy(fault="raise_in_reset", once=str(tmp_path / "once"))) as server:
        line = connect(server.url, deadlines=QUICK)
        session = line.open_session()
        with pytest.raises(PolicyRaised, match=r"raised in reset\(\)"):
            session.reset(episode())
        session.reset(episode())
        assert session.act(observation(session.id, episode())).actions.shape == (1, 4)
        line.close()


@pytest.mark.parametrize("fault", ["nan", "inf"])
def test_numbers_are_not_judged_by_the_transport(fault: str) -> None:
    with BackgroundServer(FaultyPolicy(fault=fault)) as server:
        line = connect(server.url, deadlines=QUICK)
        session = line.open_session()
        session.reset(episode())
        assert not np.isfinite(session.act(observation(session.id, episode())).actions).all()
        line.close()


def test_garbage_behind_the_url_is_no_policy_server() -> None:
    def answer(_: bytes, __: Any) -> bytes:
        return b"\xc1 garbage"

    server = grpc.server(ThreadPoolExecutor(1))
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("vla_bench.Policy", {"Info": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(BadReply, match="not a message in application/msgpack"):
            connect(f"grpc://127.0.0.1:{port}", deadlines=QUICK)
    finally:
        server.stop(0).wait()


def test_a_program_that_accepts_and_says_nothing_meets_the_deadline() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(PolicyTimeout, match=r"did not answer Info within 0\.5 s"),
    ):
        connect(f"grpc://127.0.0.1:{listener.getsockname()[1]}", deadlines=Deadlines(connect_s=0.5))


def test_a_server_without_this_service_is_no_policy_server() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(BadReply, match="gRPC says UNIMPLEMENTED"):
            connect(f"grpc://127.0.0.1:{port}", deadlines=QUICK)
    finally:
        server.stop(0).wait()


def test_a_server_killed_in_mid_episode_is_unreachable_and_after_a_restart_the_session_is_lost() -> None:
    with Server("random") as server:
        line = connect(server.url, deadlines=QUICK)
        session = line.open_session()
        session.reset(episode())
        first = session.act(observation(session.id, episode())).actions
        server.kill()
        with pytest.raises(ServerUnreachable):
            session.act(observation(session.id, episode(), 1))
        with Server("random", port=server.port):
            with pytest.raises(SessionLost):
                once_reachable(lambda: session.act(observation(session.id, episode(), 1)))
            again = line.open_session()
            again.reset(episode())
            assert again.act(observation(again.id, episode())).actions.tobytes() == first.tobytes()
            line.close()


def test_another_policy_behind_the_same_port_is_refused() -> None:
    with Server("random") as server:
        line = connect(server.url, deadlines=QUICK)
        server.kill()
        with Server("random", '{"chunk": 2}', port=server.port):
            with pytest.raises(PolicyChanged, match="chunk_length was 1 and is 2"):
                once_reachable(line.open_session)
            line.close()


def test_a_policy_that_hangs_meets_its_deadline_and_the_server_can_be_stopped() -> None:
    with Server(FAULTY, '{"fault": "hang", "step": 1}') as server:
        line = connect(server.url, deadlines=IMPATIENT)
        session = line.open_session()
        session.reset(episode())
        session.act(observation(session.id, episode()))
        with pytest.raises(PolicyTimeout, match=r"did not answer Act within 1 s"):
            session.act(observation(session.id, episode(), 1))
        line.close()


def test_a_stopped_server_meets_the_deadline() -> None:
    with Server("random") as server:
        line = connect(server.url, deadlines=IMPATIENT)
        session = line.open_session()
        session.reset(episode())
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(PolicyTimeout):
            session.act(observation(session.id, episode()))
        os.kill(server.process.pid, signal.SIGCONT)
        line.close()


def test_the_first_answer_has_the_longer_deadline() -> None:
    patient = Deadlines(connect_s=10.0, first_act_s=30.0, act_s=0.5)
    with BackgroundServer(FaultyPolicy(fault="slow", seconds=1.0)) as server:
        line = connect(server.url, deadlines=patient)
        session = line.open_session()
        session.reset(episode())
        assert session.act(observation(session.id, episode())).actions.shape == (1, 4)
        with pytest.raises(PolicyTimeout, match=r"within 0\.5 s"):
            session.act(observation(session.id, episode(), 1))
        line.close()
