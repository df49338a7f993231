"""The command line: as a user has it, in a child process with its own streams, and the quick way in this one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from tests.results import samples
from vla_bench.cli.exit import run_to_code
from vla_bench.cli.main import build_cli
from vla_bench.results.store import Store
from vla_bench.spec.messages import PolicyInfo

PROGRAM = str(Path(sys.executable).parent / "vla-bench")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def vla_bench(home: Path) -> Run:
    """Run `vla-bench ARGS`, in a home of this test; streams are text."""

    def run(*args: str, timeout_s: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.endswith("COLOR")}
        return subprocess.run(
            [PROGRAM, *args],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=environment | {"VLA_BENCH_HOME": str(home)} | variables,
            cwd=home,
            check=False,
        )

    return run


@pytest.fixture
def quick(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The same in this process: the imports are paid once."""
    monkeypatch.chdir(home)

    def run(*args: str, **variables: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["vla-bench", *args])
            code = run_to_code(build_cli(), args)
        return subprocess.CompletedProcess(args, code, *capsys.readouterr())

    yield run
    structlog.reset_defaults()


EXPERT_RUN = ("run", "--policy", "expert", "--suite", "toy_reach", "--trials", "2", "--workers", "1")
"""The run that `finished_run` finds done: `expert-toy_reach`."""


@pytest.fixture(scope="session")
def home_with_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which `EXPERT_RUN` is complete; made once, for copies."""
    path = tmp_path_factory.mktemp("finished")
    environment = os.environ | {"VLA_BENCH_HOME": str(path)}
    subprocess.run([PROGRAM, *EXPERT_RUN], capture_output=True, check=True, env=environment, timeout=120)
    return path


@pytest.fixture
def finished_run(home: Path, home_with_a_run: Path) -> None:
    """Put the complete run `expert-toy_reach` into this test's home."""
    shutil.copytree(home_with_a_run, home, dirs_exist_ok=True)


@pytest.fixture
def lamp_runs(home: Path) -> None:
    """Put complete made-up runs into this test's home: three trainings and three checkpoints of one policy."""
    of = samples.suite()
    with Store.open(home) as store:
        for number, label in enumerate(("s0", "s1", "s2", "90k", "95k", "100k")):
            policy = PolicyInfo(name="lamp", version="2", weights_digest=label)
            spec = samples.spec(f"lamp-{label}", of=of, policy=policy)
            store.begin_run(spec)
            outcomes = ["success"] * (6 - number) + ["failure"] * number
            store.add(spec.name, samples.results(spec.plan, outcomes))
            store.finish(spec.name)
