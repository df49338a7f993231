"""Finds a Python for a suite's own environment: one of the versions that its simulator has wheels for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from vla_bench.spec.errors import SuiteNotInstalled

__all__ = ["find_python", "find_uv"]

_CHECK_S: Final = 20.0
_REPORT: Final = "import sys; print('%d.%d' % sys.version_info[:2])"
# A distribution's Python may come without the modules that make virtual environments.
_REPORT_WITH_VENV: Final = f"import ensurepip, venv; {_REPORT}"


def find_uv() -> Path | None:
    """The program `uv`: beside this interpreter or on the PATH."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("uv")
    return Path(found) if found else None


def find_python(versions: Sequence[str], *, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Find an interpreter of the first version that is there; let uv fetch one where none is.

    Looked at, for each version: this interpreter, the PATH (pyenv's shims are on it), pyenv's own versions.

    Args:
        versions: best first (`3.11`); empty takes this interpreter.
        progress: called with a line for people before something takes long.

    Raises:
        SuiteNotInstalled: none is found and none can be fetched; the message says how to get one.
    """
    uv = find_uv()
    for version in versions or [_version_here()]:
        for python in _candidates(version):
            if _is_version(python, version, needs_venv=uv is None):
                return python
    if uv is not None:
        progress(f"no Python {' or '.join(versions)} here: uv fetches {versions[0]}")
        return _fetch(uv, versions[0])
    raise SuiteNotInstalled(
        f"no Python {' or '.join(versions)} with venv is on the PATH. Type: pip install uv (it fetches one), "
        f"or install it with the system's packages, for example apt-get install python{versions[0]}-venv"
    )


def _candidates(version: str) -> Iterator[Path]:
    if version == _version_here():
        yield Path(sys.executable)
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)


def _version_here() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _is_version(python: Path, version: str, *, needs_venv: bool) -> bool:
    """Ask it: a shim may stand for no interpreter at all."""
    program = _REPORT_WITH_VENV if needs_venv else _REPORT
    try:
        done = subprocess.run(
            [python, "-I", "-c", program], capture_output=True, text=True, timeout=_CHECK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def _fetch(uv: Path, version: str) -> Path:
    for arguments in (["python", "install", version], ["python", "find", "--no-project", version]):
        done = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise SuiteNotInstalled(
                f"uv cannot fetch Python {version}: {reason}. Install it another way and repeat the command"
            )
    return Path(done.stdout.strip())
