"""How a supervised simulator starts, or fails to."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.envs.workers import EPISODES, STILL, Start, is_gone, run
from vla_bench.envs import WorkerLimits, find_suite, open_env
from vla_bench.envs.runtime import supervisor
from vla_bench.envs.runtime.place import Place
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import EnvStartFailed, SuiteNotInstalled


def test_a_worker_of_another_version_is_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "__version__", "9.9.9")
    with pytest.raises(
        SuiteNotInstalled, match=r"holds vla-bench .*, and this is 9.9.9. Type: vla-bench env create toy_reach"
    ):
        start()


def use_interpreter(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(interpreter=path, environment=dict(os.environ), renderer={})
    monkeypatch.setattr(supervisor, "place_of", lambda family, options: place)


def script(path: Path, body: str) -> str:
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_that_is_not_there_is_a_failed_start(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_interpreter(str(tmp_path / "python"), monkeypatch)
    with pytest.raises(EnvStartFailed, match="No such file"):
        start()


def test_an_interpreter_without_vla_bench_is_a_failed_start(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_interpreter(script(tmp_path / "python", "sys.exit('No module named vla_bench')"), monkeypatch)
    with pytest.raises(EnvStartFailed, match=r"exited with status 1 during its start.*: No module named vla_bench"):
        start()


def test_a_start_that_hangs_is_a_failed_start(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    body = f"open({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    use_interpreter(script(tmp_path / "python", body), monkeypatch)
    with pytest.raises(EnvStartFailed, match="silent for 1 s during its start"):
        start(start_s=1)
    assert is_gone(int(pid.read_text()))


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 200 OK", b"\0\0\0\1\x01", b"\0\0\0\1\xc1"])
def test_garbage_from_a_worker_is_a_failed_start(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, garbage: bytes
) -> None:
    body = f"os.write(int(sys.argv[4]), {garbage!r})\ntime.sleep(600)"
    use_interpreter(script(tmp_path / "python", body), monkeypatch)
    with pytest.raises(EnvStartFailed, match="answered garbage"):
        start()


def test_a_file_in_the_current_folder_is_not_taken_for_a_module(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "queue.py").write_text("raise RuntimeError('not me')")
    monkeypatch.chdir(tmp_path)
    run(start(), EPISODES[0], 1)


def test_protocols_and_changed_suites_reach_the_worker() -> None:
    suite = find_suite("toy_reach", "no_bounds")
    short = replace(suite, tasks=tuple(replace(task, horizon=3) for task in suite.tasks))
    env = open_env(short, limits=WorkerLimits(start_s=30))
    try:
        env.reset(make_plan(short).episodes[0])
        assert env.advance(STILL).step == 3
    finally:
        env.close()


def test_a_worker_imports_only_what_a_suites_own_environment_has() -> None:
    code = """
import sys
for absent in ("psutil", "structlog", "pydantic", "fastapi", "sqlmodel", "scipy", "yaml", "rich"):
    sys.modules[absent] = None
import vla_bench.envs.runtime.worker
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
