"""The policy server goes away, comes back, or answers what nobody asked."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.bad_days.days import QUICK, SHORT, Day, episode_of, faulty, record_day, run_day, stored
from tests.policies.raw_server import RawServer, Talk, http, raw_server
from vla_bench.policies.builtin.noop import NoopPolicy
from vla_bench.policies.http.server import BackgroundServer
from vla_bench.results.store import Store
from vla_bench.spec.errors import PolicyChanged, PolicyTimeout, ServerUnreachable, Unauthorized
from vla_bench.spec.messages import Identity

GROUP = "The policy server"
SERVE = Path(__file__).with_name("serve_switched.py")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Server:
    """A policy server in a process of its own, which the test starts, stops and kills."""

    def __init__(self, folder: Path) -> None:
        self.orders, self.marker = folder / "orders.json", folder / "struck"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._threads: list[threading.Thread] = []
        self.order()

    def order(self, **order: Any) -> None:
        """Order the next fault; none without arguments."""
        self.orders.write_text(json.dumps(order))

    def hang_in(self, trial: int) -> None:
        """Hang in the middle of that episode and create the marker."""
        self.order(fault="hang", step=2, once=str(self.marker), episodes=[episode_of(trial).id])

    def start(self, label: str = "switched") -> None:
        """Start it and wait until it listens."""
        self.process = subprocess.Popen([sys.executable, str(SERVE), str(self.port), str(self.orders), label])
        give_up_at = time.monotonic() + 30
        while time.monotonic() < give_up_at:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError("the server does not start")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def when_struck(self, then: Callable[[], None]) -> None:
        """Do something, in a thread, when the ordered fault has struck."""

        def wait() -> None:
            give_up_at = time.monotonic() + 30
            while not self.marker.exists() and time.monotonic() < give_up_at:
                time.sleep(0.01)
            then()

        thread = threading.Thread(target=wait)
        self._threads.append(thread)
        thread.start()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """Leave nothing behind."""
        for thread in self._threads:
            thread.join()
        self.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with closing(Server(tmp_path)) as process:
        process.start()
        yield process


def run_against(url: str, **changes: Any) -> Day:
    return run_day(url, **{"deadlines": QUICK, "workers": 1, **changes})


def test_an_absent_server_runs_nothing() -> None:
    day = run_against(f"http://127.0.0.1:{free_port()}")
    assert isinstance(day.error, ServerUnreachable)
    assert day.exit_code == 3
    assert day.seen.attempts == []
    assert day.took_s < 10
    with Store.open() as store:
        assert store.summaries() == []
    record_day(GROUP, "absent", day)


def test_a_server_that_refuses_the_token_runs_nothing() -> None:
    with BackgroundServer(NoopPolicy(), token="right") as server:
        day = run_against(server.url, token="wrong")
    assert isinstance(day.error, Unauthorized)
    assert day.exit_code == 3
    record_day(GROUP, "refuses the token", day)


def test_a_killed_server_that_stays_away_stops_the_run_and_the_rest_is_not_run(server: Server) -> None:
    server.hang_in(trial=1)
    server.when_struck(server.kill)
    day = run_against(server.url, trials=5)
    assert day.score == "1/1 of 5 planned, 4 lost (server_unreachable 1, not_run 3)"
    assert day.exit_code == 3
    assert isinstance(day.seen.stopped, ServerUnreachable)
    assert [wait.is_restarting for wait in day.seen.waits] == [False]
    # One attempt was lost with its server; not one was spent on a dead one.
    assert day.kinds == ["server_unreachable"]
    server.order()
    server.start()
    then = run_against(server.url, trials=5)
    assert then.score == "5/5 of 5 planned, 0 lost"
    attempts = [attempt.result for attempt in stored(episode_of(1))]
    assert [attempt.attempt for attempt in attempts] == [0, 1]
    assert attempts[0].initial_digest == attempts[1].initial_digest
    record_day(GROUP, "killed in the middle of an episode, stays away", day, then)


def test_a_killed_server_that_comes_back_is_waited_for(server: Server) -> None:
    def replace() -> None:
        server.kill()
        server.order()
        time.sleep(0.5)
        server.start()

    server.hang_in(trial=1)
    server.when_struck(replace)
    day = run_against(server.url, server_wait_s=30)
    assert day.score == "3/3 of 3 planned, 0 lost"
    assert day.exit_code == 0
    assert day.kinds == ["server_unreachable"]
    assert day.seen.n_back == 1
    record_day(GROUP, "killed in the middle of an episode, started again by its owner", day)


def test_a_server_of_ours_that_is_killed_is_started_again(tmp_path: Path) -> None:
    marker = tmp_path / "struck"

    def kill() -> None:
        give_up_at = time.monotonic() + 30
        while not marker.exists() and time.monotonic() < give_up_at:
            time.sleep(0.01)
        own_server().kill()

    killer = threading.Thread(target=kill)
    killer.start()
    day = run_day(**faulty("hang", step=2, once=str(marker)), workers=1)
    killer.join()
    assert day.score == "3/3 of 3 planned, 0 lost"
    assert day.kinds == ["server_unreachable"]
    assert day.noticed_s < SHORT.act_s
    assert [wait.is_restarting for wait in day.seen.waits] == [True]
    record_day(GROUP, "a child of ours, killed in the middle of an episode", day)


def own_server() -> psutil.Process:
    children = psutil.Process().children(recursive=True)
    return next(child for child in children if "vla_bench.policies.child" in child.cmdline())


def test_a_server_of_ours_that_dies_by_itself_is_started_again(tmp_path: Path) -> None:
    day = run_day(**faulty("segfault", step=2, once=str(tmp_path / "once")))
    assert day.score == "3/3 of 3 planned, 0 lost"
    assert set(day.kinds) <= {"server_unreachable"}
    assert 1 <= len(day.kinds) <= 2
    record_day(GROUP, "a child of ours dies by SIGSEGV", day)


def test_a_stopped_server_is_noticed_at_the_deadline_and_nothing_is_burnt(server: Server) -> None:
    server.hang_in(trial=1)
    server.when_struck(lambda: server.send(signal.SIGSTOP))
    day = run_against(server.url, trials=5)
    server.send(signal.SIGCONT)
    assert day.score == "1/1 of 5 planned, 4 lost (policy_timeout 1, not_run 3)"
    assert day.exit_code == 3
    assert isinstance(day.seen.stopped, PolicyTimeout)
    assert QUICK.act_s <= day.noticed_s < QUICK.act_s + 2
    # The process that hangs is of no use any more.
    server.kill()
    server.order()
    server.start()
    then = run_against(server.url, trials=5)
    assert then.score == "5/5 of 5 planned, 0 lost"
    record_day(GROUP, "stopped (SIGSTOP; deadline 1 s)", day, then)


def test_another_policy_behind_the_same_url_stops_the_run_before_it_acts(server: Server) -> None:
    def replace() -> None:
        server.kill()
        server.order()
        server.start(label="another")

    server.hang_in(trial=1)
    server.when_struck(replace)
    day = run_against(server.url, trials=5, server_wait_s=30)
    assert isinstance(day.seen.stopped, PolicyChanged)
    assert "another" in str(day.seen.stopped)
    assert day.score == "1/1 of 5 planned, 4 lost (server_unreachable 1, not_run 3)"
    assert day.exit_code == 3
    refused = run_against(server.url, trials=5)
    assert refused.error is not None
    assert refused.error.kind == "run_mismatch"
    assert refused.exit_code == 2
    server.kill()
    server.start()
    then = run_against(server.url, trials=5)
    assert then.score == "5/5 of 5 planned, 0 lost"
    record_day(GROUP, "another policy behind the same URL after a restart", day, then)


# Replies, byte by byte. The raw policy pushes in one direction for ever: three failures are its true score.

TRUE, FALSE = 1.0, -1.0
AT = 5


def sane(talk: Talk) -> None:
    talk.send(http(talk.chunk(TRUE)))


def garbage(server: RawServer, talk: Talk) -> None:
    talk.send(b"\x00\xff what is this\r\n\r\n")
    talk.cut()


def web_page(server: RawServer, talk: Talk) -> None:
    body = b"<html>It works!</html>"
    talk.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


def without_actions(server: RawServer, talk: Talk) -> None:
    talk.send(http(b"\x80"))


def twice(server: RawServer, talk: Talk) -> None:
    talk.send(http(talk.chunk(TRUE)) + http(talk.chunk(FALSE)))


def earlier_step(server: RawServer, talk: Talk) -> None:
    talk.send(http(talk.chunk(FALSE, step=talk.observation.identity.step - 1)))


def earlier_request(server: RawServer, talk: Talk) -> None:
    talk.send(http(talk.chunk(FALSE, request=server.requests[0])))


def other_attempt(server: RawServer, talk: Talk) -> None:
    talk.send(http(talk.chunk(FALSE, attempt=7)))


def other_server(server: RawServer, talk: Talk) -> None:
    talk.send(http(talk.chunk(FALSE, server="an impostor")))


def hang(server: RawServer, talk: Talk) -> None:
    server.stopping.wait(30)


def drip(server: RawServer, talk: Talk) -> None:
    threading.Thread(target=talk.drip, args=(http(talk.chunk(FALSE)), 0.05), daemon=True).start()
    server.stopping.wait(3)


def late(server: RawServer, talk: Talk) -> None:
    server.stopping.wait(QUICK.act_s + 0.3)
    talk.send(http(talk.chunk(FALSE)))


def cut_in_the_middle(server: RawServer, talk: Talk) -> None:
    talk.send(http(talk.chunk(FALSE))[:-20])
    talk.cut()


REPLIES: list[tuple[Callable[[RawServer, Talk], None], str, set[str]]] = [
    (garbage, "answers garbage", {"bad_reply", "server_unreachable"}),
    (web_page, "answers a web page", {"bad_reply"}),
    (without_actions, "a reply without actions", {"bad_reply"}),
    (twice, "a duplicate reply", set()),
    (earlier_step, "a reply to an earlier step", {"stale_reply"}),
    (earlier_request, "a reply to an earlier request", {"stale_reply"}),
    (other_attempt, "a reply to another attempt", {"stale_reply"}),
    (other_server, "a reply of another server process", {"stale_reply"}),
    (hang, "hangs on one request (deadline 1 s)", {"policy_timeout"}),
    (drip, "drips bytes (deadline 1 s)", {"policy_timeout"}),
    (late, "answers after the deadline (1 s)", {"policy_timeout"}),
    (cut_in_the_middle, "cuts the connection in the middle of a reply", {"bad_reply", "server_unreachable"}),
]


@pytest.mark.parametrize(("reply", "what", "kinds"), REPLIES, ids=[reply[0].__name__ for reply in REPLIES])
def test_a_reply_that_is_not_the_answer_is_never_an_action(
    reply: Callable[[RawServer, Talk], None], what: str, kinds: set[str]
) -> None:
    struck: Identity | None = None

    def act(talk: Talk) -> None:
        nonlocal struck
        # A lost reply may be asked for once more under the same id: the fault stays with its request.
        if (talk.n >= AT and struck is None) or talk.observation.identity == struck:
            struck = talk.observation.identity
            reply(server, talk)
        else:
            sane(talk)

    with raw_server(act) as server:
        day = run_against(server.url)
    assert day.score == "0/3 of 3 planned, 0 lost"
    assert day.exit_code == 0
    assert len(day.lost) == (1 if kinds else 0)
    assert set(day.kinds) <= kinds
    for trial in range(3):
        attempts = stored(episode_of(trial))
        assert len({attempt.result.initial_digest for attempt in attempts}) == 1
        with Store.open() as store:
            for attempt in attempts:
                assert np.all(store.trace(attempt.trace_digest).actions == TRUE)
    if kinds & {"policy_timeout"}:
        assert QUICK.act_s <= day.noticed_s < QUICK.act_s + 2
    record_day(GROUP, what, day, said="none: the second one is dropped")


def test_a_server_that_breaks_at_every_question_does_not_burn_through_the_plan() -> None:
    with raw_server(lambda talk: talk.cut()) as server:
        day = run_against(server.url, trials=10, max_restarts=2)
    assert day.score == "0/0 of 10 planned, 10 lost (server_unreachable 4, not_run 6)"
    assert day.exit_code == 3
    record_day(GROUP, "breaks the connection at every question", day)
