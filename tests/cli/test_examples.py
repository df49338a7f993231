"""Every example of every `--help` runs as it is written."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import httpx2
import pytest
from typer.main import get_command

from tests.cli.conftest import PROGRAM, Run
from tests.cli.stored import pattern, store_run
from tests.results import foreign
from vla_bench.cli.main import COMMANDS, EXAMPLE, build_cli

URL = "http://127.0.0.1:8600"
MINUTES = (
    "demo", "env create", "env remove", "assets install", "assets check", "assets remove", "submit", "leaderboard",
    "policies docker://",
)  # fmt: skip
"""They take minutes, install a simulator, want a board or an image: here they are parsed, the slow tests run them."""

MY_POLICY = """
from vla_bench.policies.builtin.noop import NoopPolicy

class MyPolicy(NoopPolicy):
    def __init__(self, checkpoint=""):
        super().__init__()
"""


def examples() -> list[str]:
    found = [EXAMPLE]
    for entry in COMMANDS:
        command = get_command(import_module(entry.module).app)
        for leaf in getattr(command, "commands", {}).values() or [command]:
            found += re.findall(r"\[bold\]vla-bench (.*?)\[/bold\]", leaf.epilog or "")
    return [line.removeprefix("vla-bench ") for line in found]


@contextmanager
def serving(line: str, home: Path) -> Iterator[str]:
    """Run a `serve` line on a free port; give its URL, and check that it ends well."""
    words = [word for word in shlex.split(line) if word not in ("--port", "8600")]
    with subprocess.Popen(
        [PROGRAM, *words, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=os.environ,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            _, story = process.communicate(timeout=30)
    assert process.returncode == 0, story


@pytest.mark.parametrize("line", [line for line in examples() if not line.startswith((*MINUTES, "serve", "open"))])
def test_an_example_runs(quick: Run, home: Path, line: str, request: pytest.FixtureRequest) -> None:
    if line.startswith("import"):
        for name in ("LIBEROBenchmark_spatial.json", "eval_info.json"):
            (home / name).write_text(json.dumps(foreign.FILES[name]))
    if line.startswith("group"):
        request.getfixturevalue("lamp_runs")
        if line.startswith(("group show", "group remove")):
            quick("group", "lamp-seeds", "lamp-s0", "lamp-s1", "lamp-s2")
    if line.startswith(("show", "merge", "verify", "table", "video", "export")):
        request.getfixturevalue("finished_run")
        for number in (1, 2):
            shutil.copy(home / "results.db", home / f"shard-{number}.db")
    if line.startswith(("compare", "gate", "diff", "report")):
        for name, n_failures, trials in (("expert", 2, None), ("noisy", 30, None), ("half", 9, 10)):
            n = 100 if trials is None else 50
            store_run(home, f"{name}-toy_reach", pattern(n, n_failures), trials=trials)
        quick("gate", "expert-toy_reach", "--save-baseline", "main.json")
    if URL in line:
        with serving("serve expert", home) as url:
            few = ("--trials", "1") if line.startswith("run") else ()
            done = quick(*shlex.split(line.replace(URL, url)), *few)
    else:
        done = quick(*shlex.split(line))
    # The two runs of the example differ, and a difference is what 1 says.
    assert done.returncode == (1 if line.startswith("diff") else 0), done.stderr


@pytest.mark.parametrize("line", [line for line in examples() if line.startswith("serve")])
def test_an_example_of_serve_serves_until_it_is_stopped(quick: Run, home: Path, line: str) -> None:
    (home / "my_policy.py").write_text(MY_POLICY)
    (home / "my_policy.yaml").write_text("policy: my_policy.py:MyPolicy\n")
    with serving(line, home) as url:
        done = quick("run", "--policy", url, "--suite", "toy_reach", "--trials", "1", "--json")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [line for line in examples() if line.startswith("open")])
def test_an_example_of_open_shows_a_board_until_it_is_stopped(finished_run: object, home: Path, line: str) -> None:
    shown = line if "--no-browser" in line else f"{line} --no-browser"
    with serving(shown, home) as url:
        page = httpx2.get(url, trust_env=False, timeout=60)
    assert page.status_code == 200
    assert "toy_reach" in page.text


@pytest.mark.parametrize("line", [line for line in examples() if line.startswith(MINUTES)])
def test_an_example_that_takes_minutes_is_understood(line: str) -> None:
    group = build_cli()
    name, *args = shlex.split(line)
    command = group.commands[name]
    with command.make_context(name, list(args), parent=group.make_context("vla-bench", [name])) as context:
        assert context.command.get_params(context)
