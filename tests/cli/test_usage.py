"""What is wrong with a command is one line on stderr with the way out, and exit code 2."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Run

RUN = ("run", "--policy", "expert", "--suite", "toy_reach")

WRONG = [
    (("rnu",), "No such command 'rnu'. Did you mean 'run'?"),
    (("plan",), "Missing option '--suite'"),
    (("plan", "--suite", "toy_reach", "--trials", "some"), "--trials"),
    (("plan", "--suite", "toy_reach", "--nonsense"), "--nonsense"),
    (("plan", "--suite", "toy_rech"), "unknown suite 'toy_rech'. Did you mean 'toy_reach'"),
    (("plan", "--suite", "toy_reach", "--protocol", "standart"), "unknown protocol 'standart'. Did you mean"),
    (("plan", "--suite", "toy_reach", "--task", "reach_rad"), "unknown task 'reach_rad'. Did you mean 'reach_red'"),
    (("plan", "--suite", "toy_reach", "--trials", "0"), "no episodes: 0 trials"),
    (("plan", "--suite", "toy_reach", "--shard", "5/4"), "1 <= i <= n, not 5/4"),
    (("plan", "--suite", "toy_reach", "--seed", "-1"), "a policy seed is not negative"),
    (("run", "--policy", "exprt", "--suite", "toy_reach"), "unknown policy 'exprt'. Did you mean 'expert'"),
    (("run", "--policy", "expert", "--suite", "toy"), "unknown suite 'toy'"),
    ((*RUN, "-o", "noise"), "an option is written key=value"),
    ((*RUN, "-o", "noise=[0.1"), "is no YAML"),
    ((*RUN, "-o", "nois=0.1"), "has no option 'nois'. Did you mean 'noise'"),
    ((*RUN, "--crop", "0"), "crop=0"),
    ((*RUN, "--token-env", "NOT_SET_HERE"), "NOT_SET_HERE: the environment variable is not set"),
    ((*RUN, "--executor", "lokal"), "unknown executor 'lokal'. Did you mean 'local'"),
    ((*RUN, "--workers", "0"), "workers=0"),
    ((*RUN, "--db", "mysql://here/there"), "not in mysql"),
    (("show", "exprt-toy_reach"), "the database has no runs"),
    (("show",), "the database has no runs"),
    (("serve", "nop"), "unknown policy 'nop'. Did you mean 'noop'"),
    (("serve", "http://127.0.0.1:9"), "is a server already"),
    (("env", "create", "toy_rech"), "unknown suite 'toy_rech'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "words"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_a_wrong_command_gets_one_line_and_exit_code_2(quick: Run, args: tuple[str, ...], words: str) -> None:
    done = quick(*args)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert words in told[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [("rnu",), ("plan", "--suite", "toy_rech")], ids=" ".join)
def test_the_shell_sees_the_same(vla_bench: Run, args: tuple[str, ...]) -> None:
    done = vla_bench(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback_of_an_error(quick: Run) -> None:
    done = quick("plan", "--suite", "toy_rech", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "error: unknown suite" in done.stderr


def test_a_fault_of_ours_is_70_and_one_line() -> None:
    command = [PROGRAM, "plan", "--suite", "toy_reach"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 70
    assert done.stderr.startswith("error: a fault of vla-bench: OSError")
    assert "--debug" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{PROGRAM} plan --suite toy_reach --trials 500 | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""
