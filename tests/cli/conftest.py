"""The command line as a user has it: a child process with its own streams."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
