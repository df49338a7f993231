"""Child servers in real processes: they answer, they die with their parent, and they say why they did not start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.policies.questions import episode, observation
from vla_bench.policies.base import Deadlines
from vla_bench.policies.launch import ChildServer
from vla_bench.policies.served import ServedPolicy, connect_url
from vla_bench.spec.errors import (
    MissingExtra,
    PolicyChanged,
    PolicyRaised,
    PolicyTimeout,
    ServerUnreachable,
    Unauthorized,
    UsageError,
)

GONE_S = 10.0
DEADLINES = Deadlines(connect_s=10.0, first_act_s=30.0, act_s=10.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Policies that start badly, each in a file of its own."""
    sources = {
        "raises": """
            class P:
                def __init__(self):
                    raise RuntimeError("no weights\\nhere")
        """,
        "exits": "import os, sys\nprint('the last word')\nos._exit(7)",
        "killed": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "imports": "import not_a_module_of_anybody",
        "extra": """
            from vla_bench.spec.errors import MissingExtra
            class P:
                def __init__(self):
                    raise MissingExtra("this policy", "models")
        """,
        "sleeps": "import time\ntime.sleep(3600)",
        "grandchild": """
            import subprocess
            from pathlib import Path
            from vla_bench.policies.builtin.noop import NoopPolicy
            class P(NoopPolicy):
                def __init__(self, note):
                    super().__init__()
                    helper = subprocess.Popen(["sleep", "3600"])
                    Path(note).write_text(str(helper.pid))
        """,
        "holds": """
            import ctypes
            from vla_bench.policies.builtin.noop import NoopPolicy
            class P(NoopPolicy):
                def act(self, batch):
                    ctypes.PyDLL(None).sleep(3600)  # PyDLL keeps the interpreter lock
        """,
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
    return tmp_path


@pytest.fixture
def served() -> Iterator[ServedPolicy]:
    with ServedPolicy(target="random", options={"chunk": 2}, deadlines=DEADLINES) as policy:
        yield policy


def group_of(pid: int) -> list[int]:
    return [process.pid for process in psutil.process_iter() if _group(process.pid) == pid]


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


def assert_gone(*pids: int) -> None:
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(processes, timeout=GONE_S)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_a_name_becomes_a_server_that_answers_and_is_gone_after_close(served: ServedPolicy) -> None:
    assert served.info.name == "random"
    assert served.info.options == {"chunk": 2}
    session = served.open_session()
    session.reset(episode())
    assert session.act(observation(session.id, episode())).actions.shape == (2, 4)
    session.close()
    members = group_of(served.pid or -1)
    assert len(members) == 2
    served.close()
    assert_gone(*members)
    with pytest.raises(ServerUnreachable):
        served.open_session()


def test_the_server_listens_on_loopback_only_and_asks_for_its_token(served: ServedPolicy) -> None:
    addresses = [c.laddr.ip for c in psutil.Process(served.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert addresses == ["127.0.0.1"]
    with pytest.raises(Unauthorized):
        connect_url(served.url, token="wrong")
    with pytest.raises(Unauthorized):
        connect_url(served.url)


def test_the_token_is_in_no_command_line_or_environment(served: ServedPolicy) -> None:
    process = psutil.Process(served.pid)
    shown = " ".join([*process.cmdline(), *process.environ().values()])
    assert served.token
    assert served.token not in shown


def test_a_killed_server_is_replaced_and_the_new_one_is_the_same_policy(served: ServedPolicy) -> None:
    session = served.open_session()
    session.reset(episode())
    first = session.act(observation(session.id, episode())).actions
    old = served.pid
    os.kill(old, signal.SIGKILL)
    with pytest.raises(ServerUnreachable, match="of this run is gone: it was killed by SIGKILL"):
        session.act(observation(session.id, episode(), 1))
    assert "SIGKILL" in served.last_words()
    assert not served.is_alive
    served.restart(served.generation)
    assert served.generation == 1
    assert served.is_alive
    assert served.pid != old
    assert_gone(*group_of(old))
    again = served.open_session()
    again.reset(episode())
    assert again.act(observation(again.id, episode())).actions.tobytes() == first.tobytes()


def test_of_many_threads_that_saw_one_death_only_the_first_restarts(served: ServedPolicy) -> None:
    os.kill(served.pid, signal.SIGKILL)
    threads = [threading.Thread(target=served.restart, args=(0,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served.generation == 1
    assert served.open_session().id


def test_a_stopped_server_is_replaced_too(served: ServedPolicy) -> None:
    old, session = served.pid, served.open_session()
    os.kill(old, signal.SIGSTOP)
    served.restart()
    assert_gone(old)
    # It was we who killed it: nobody is to look for a crash.
    with pytest.raises(ServerUnreachable, match="is gone: it was replaced, since it did not answer"):
        session.reset(episode())
    assert served.open_session().id


def test_a_closed_line_does_not_start_again(served: ServedPolicy) -> None:
    served.close()
    served.restart()
    assert served.pid is None


def test_another_policy_after_a_restart_is_refused_and_stopped(tmp_path: Path) -> None:
    source = """
        from dataclasses import replace
        from pathlib import Path
        from vla_bench.policies.builtin.noop import NoopPolicy
        class P(NoopPolicy):
            def info(self):
                return replace(super().info(), version=Path({!r}).read_text())
    """
    version = tmp_path / "version"
    version.write_text("1")
    (tmp_path / "moody.py").write_text(textwrap.dedent(source).format(str(version)))
    with ServedPolicy(target=f"{tmp_path / 'moody.py'}:P", deadlines=DEADLINES) as served:
        version.write_text("2")
        with pytest.raises(PolicyChanged, match="version was '1' and is '2'"):
            served.restart()
        assert served.pid is None
        version.write_text("1")
        served.restart()
        assert served.open_session().id


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_and_what_it_started_end_with_their_parent(folder: Path, tmp_path: Path, way: signal.Signals) -> None:
    note = tmp_path / "note"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, f"{folder / 'grandchild.py'}:P", str(note)], stdout=-1)
    assert parent.stdout is not None
    with parent.stdout:
        server = int(parent.stdout.readline().split()[0])
        family = {*group_of(server), int(note.read_text())}
        assert len(family) == 3
        parent.send_signal(way)
        parent.wait(GONE_S)
    assert_gone(*family)


PARENT = """
import logging, sys, time
import structlog
from vla_bench.policies.launch import ChildServer
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
options = {"note": sys.argv[2]} if len(sys.argv) > 2 else {}
child = ChildServer(sys.argv[1], options, start_s=30.0)
print(child.pid, child.url, child.token, flush=True)
time.sleep(3600)
"""


def test_a_policy_that_holds_the_interpreter_lock_ends_with_its_parent(folder: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, f"{folder / 'holds.py'}:P"], stdout=-1, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid, url, token = parent.stdout.readline().split()
    line = connect_url(url, token=token, deadlines=Deadlines(first_act_s=0.5, act_s=0.5))
    session = line.open_session()
    session.reset(episode())
    with pytest.raises(PolicyTimeout):
        session.act(observation(session.id, episode()))
    line.close()
    family = group_of(int(pid))
    parent.kill()
    parent.wait()
    assert_gone(*family)


def test_a_policy_that_holds_the_interpreter_lock_can_be_stopped(folder: Path) -> None:
    deadlines = Deadlines(first_act_s=30.0)
    with ServedPolicy(target=f"{folder / 'holds.py'}:P", deadlines=deadlines) as served:
        pid = served.pid
        line = connect_url(served.url, token=served.token, deadlines=Deadlines(first_act_s=0.5, act_s=0.5))
        session = line.open_session()
        session.reset(episode())
        with pytest.raises(PolicyTimeout):
            session.act(observation(session.id, episode()))
        line.close()
    assert_gone(pid)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("raises", PolicyRaised, r"raised while it was built: RuntimeError: no weights here \(raises\.py:4\)"),
        ("exits", ServerUnreachable, "did not start: it ended with status 7; its last line: the last word"),
        ("killed", ServerUnreachable, "did not start: it was killed by SIGKILL"),
        ("imports", UsageError, "cannot be imported: ModuleNotFoundError: .*not_a_module_of_anybody"),
        ("extra", MissingExtra, r"pip install 'vla-bench\[models\]'"),
    ],
)
def test_a_server_that_does_not_start_says_why_in_one_line(
    folder: Path, name: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        ChildServer(f"{folder / name}.py:P", {}, start_s=30.0)
    assert "\n" not in str(caught.value)
    assert caught.type is error


def test_a_server_that_does_not_start_in_time_is_killed(folder: Path) -> None:
    with pytest.raises(PolicyTimeout, match=r"did not start within 0\.5 s"):
        ChildServer(f"{folder / 'sleeps.py'}:P", {}, start_s=0.5)


def test_wrong_options_are_a_usage_error_that_names_the_near_ones() -> None:
    with pytest.raises(UsageError, match=r"has no option 'nois'\. Did you mean 'noise'\? Its options: noise, chunk"):
        ChildServer("expert", {"nois": 1.0}, start_s=30.0)


def test_files_in_the_users_folder_do_not_stand_for_the_standard_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('this is not the random you want')\n")
    monkeypatch.chdir(tmp_path)
    ChildServer("noop", {}, start_s=30.0).stop()


def test_what_a_policy_prints_does_not_disturb_its_server(tmp_path: Path) -> None:
    source = """
        from vla_bench.policies.builtin.noop import NoopPolicy
        print("hello" * 100_000)
        class P(NoopPolicy):
            def act(self, batch):
                print("x" * 1_000_000)
                return super().act(batch)
    """
    (tmp_path / "chatty.py").write_text(textwrap.dedent(source))
    with ServedPolicy(target=f"{tmp_path / 'chatty.py'}:P", deadlines=DEADLINES) as served:
        session = served.open_session()
        session.reset(episode())
        assert session.act(observation(session.id, episode())).actions.shape == (1, 4)


def test_the_users_name_for_a_policy_is_part_of_its_identity() -> None:
    with ServedPolicy(target="noop", label="my baseline", deadlines=DEADLINES) as served:
        assert served.info.name == "my baseline"
        served.restart()
        assert served.open_session().id
