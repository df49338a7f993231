"""`open`, and the leaderboard's `backup`, `restore` and `export`, as they are typed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vla_bench.harness.evaluate import evaluate

PROGRAM = Path(sys.executable).parent / "vla-bench"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "mine.db"
    evaluate("random", "toy_reach", trials=1, name="mine", db=str(path), executor="inline")
    return path


@pytest.mark.slow
def test_open_shows_one_s_own_runs_until_it_is_stopped(results: Path) -> None:
    command = [PROGRAM, "open", "--db", str(results), "--no-browser", "--mine"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as board:
        assert board.stdout is not None
        url = board.stdout.readline().strip()
        try:
            assert url.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(f"{url}/boards/toy_reach", timeout=60) as answer:
                assert "random" in answer.read().decode()
        finally:
            board.send_signal(signal.SIGINT)
            board.wait(60)
    assert board.returncode == 0


def test_open_without_results_says_how_to_get_some(vla_bench: Run, tmp_path: Path) -> None:
    done = vla_bench("open", "--db", str(tmp_path / "none.db"), "--no-browser")
    assert done.returncode == 2
    assert "vla-bench run --policy expert --suite toy_reach" in done.stderr


@pytest.mark.slow
def test_a_board_is_backed_up_restored_and_written_as_files(vla_bench: Run, results: Path, tmp_path: Path) -> None:
    made = vla_bench("leaderboard", "backup", str(tmp_path / "backup"), "--db", str(results))
    assert made.returncode == 0, made.stderr
    assert re.search(r"rows of schema \d+, 5 traces copied", made.stdout)
    restored = str(tmp_path / "restored.db")
    assert vla_bench("leaderboard", "restore", str(tmp_path / "backup"), "--db", restored).returncode == 0
    assert "mine" in vla_bench("runs", "--db", restored).stdout
    again = vla_bench("leaderboard", "restore", str(tmp_path / "backup"), "--db", restored)
    assert again.returncode == 2
    assert "is not empty" in again.stderr
    written = vla_bench("leaderboard", "export", str(tmp_path / "copy"), "--db", restored)
    assert written.returncode == 0, written.stderr
    assert (tmp_path / "copy" / "index.html").is_file()
    assert (tmp_path / "copy" / "dump" / "board.sql").is_file()


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("VLA_BENCH_BOARD_DEBUG", "true", "VLA_BENCH_BOARD_DEBUG shows tracebacks"),
        ("VLA_BENCH_BOARD_SECRET", "change-me-change-me-change-me-change-me", "is a default or too short"),
    ],
)
def test_an_unsafe_board_does_not_start(
    vla_bench: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    done = vla_bench("leaderboard", "--db", str(tmp_path / "b.db"), "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert not (tmp_path / "b.db").exists()
