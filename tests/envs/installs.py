"""Creates the environment of a small family without the network: a real one but for the programs that fetch packages.

Also a program, `python -m tests.envs.installs LOCK UV`, to be killed in the middle.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vla_bench.envs.base import Installation
from vla_bench.envs.runtime.installing import build, interpreters
from vla_bench.envs.toy_reach.family import ToyReachFamily

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PRINT_VERSION = "import sys; print('%d.%d.%d' % sys.version_info[:3])"

# `uv venv … FOLDER` makes one, `uv pip install …` does what the test wants.
FAKE_UV = """#!/bin/sh
case "$1" in
venv) for last; do :; done; exec {python} -m venv --without-pip "$last" ;;
pip) {install} ;;
esac
"""


class SmallFamily(ToyReachFamily):
    """A family that needs an environment of its own."""

    name = "small"

    def __init__(self, lock: Path, **changes: object) -> None:
        self.installation = Installation(
            **{"imports": ("json",), "pythons": (VERSION,), "lock_file": str(lock), **changes}
        )


def fake_uv(folder: Path, install: str) -> Path:
    """Write a program in place of uv."""
    path = folder / "uv"
    path.write_text(FAKE_UV.format(python=sys.executable, install=install))
    path.chmod(0o755)
    return path


def use_fakes(uv: Path) -> None:
    """Take a program in place of uv, and do not ask for what a worker imports."""
    build.find_uv = interpreters.find_uv = lambda: uv
    build._CHECK = PRINT_VERSION


if __name__ == "__main__":
    from vla_bench.envs.runtime.install import create_env

    lock, uv = map(Path, sys.argv[1:])
    use_fakes(uv)
    create_env(SmallFamily(lock))
