"""Builds one environment in a folder: interpreter, locked packages, our own wheel, and a check that it imports."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from vla_bench.envs.base import Installation, SuiteFamily
from vla_bench.envs.runtime.installing.guarded import run_guarded
from vla_bench.envs.runtime.installing.interpreters import find_python, find_uv
from vla_bench.envs.runtime.installing.wheel import pack_wheel
from vla_bench.spec.errors import SuiteNotInstalled

__all__ = ["build_environment", "lock_digest"]

_CHECK_S = 300.0  # a cold import of a large simulator from a slow disk

# Run by the new interpreter: what a worker imports, the simulator's modules, and the pinned versions.
_CHECK = """
import importlib, importlib.metadata, json, sys
wanted = json.loads(sys.argv[1])
for name in ["vla_bench.envs.runtime.worker", *wanted["imports"]]:
    importlib.import_module(name)
for name, version in wanted["versions"].items():
    found = importlib.metadata.version(name)
    assert found == version, f"{name} is {found}, not {version}"
print("%d.%d.%d" % sys.version_info[:3])
"""

Progress = Callable[[str], None]


def lock_digest(installation: Installation) -> str:
    """SHA-256 of the lock file, 12 hexadecimal digits."""
    return hashlib.sha256(_lock_file(installation).read_bytes()).hexdigest()[:12]


def _lock_file(installation: Installation) -> Any:
    """The lock file: inside the `vla_bench` package, or at an absolute path for other packages' families."""
    path = Path(installation.lock_file)
    return path if path.is_absolute() else files("vla_bench").joinpath(installation.lock_file)


def build_environment(family: SuiteFamily, partial: Path, place: Path, progress: Progress) -> str:
    """Build a family's environment.

    Args:
        family: with a lock file.
        partial: where it is built; must not exist.
        place: where it will be moved to: scripts in it name that path.
        progress: called with lines for people.

    Returns:
        The version of its Python.

    Raises:
        SuiteNotInstalled: no Python fits, or a step fails; the message has the last of what was printed.
    """
    installation = family.installation
    python = find_python(installation.pythons, progress=progress)
    uv = find_uv()
    progress(f"making a virtual environment with {python}")
    _make_venv(family, uv, python, partial)
    lock = partial / "requirements.lock"
    lock.write_bytes(_lock_file(installation).read_bytes())
    progress("installing the locked packages")
    _install(family, uv, partial, ["--require-hashes", "-r", str(lock)], progress)
    progress("adding vla-bench")
    _install(family, uv, partial, [str(pack_wheel(partial))], progress)
    if installation.finish:
        _finish(family, partial, progress)
    progress("checking that it imports")
    version = _check(family, partial)
    _rewrite_scripts(partial, place)
    return version


def _make_venv(family: SuiteFamily, uv: Path | None, python: Path, partial: Path) -> None:
    command: list[str | Path] = [python, "-I", "-m", "venv", partial]
    if uv is not None:
        # --seed: pip is there for those who look into it.
        command = [uv, "venv", "-q", "--seed", "--no-project", "--no-config", "--python", python, partial]
    code, last = run_guarded(command, on_line=lambda line: None)
    if code != 0 and uv is not None:
        code, last = run_guarded([python, "-I", "-m", "venv", "--clear", partial], on_line=lambda line: None)
    if code != 0:
        raise _failure(family, "the virtual environment", last)


def _install(family: SuiteFamily, uv: Path | None, partial: Path, what: list[str], progress: Progress) -> None:
    """Install with uv, which is faster; where that fails, with pip, which reads the user's own settings."""
    python = partial / "bin" / "python"
    common = ["--no-deps", *what]
    if uv is not None:
        code, last = run_guarded([uv, "pip", "install", "--python", python, *common], on_line=progress)
        if code == 0:
            return
        progress("uv cannot install it: trying pip")
    quiet = ["--no-input", "--disable-pip-version-check", "--no-warn-script-location"]
    code, last = run_guarded([python, "-I", "-m", "pip", "install", *quiet, *common], on_line=progress)
    if code != 0:
        raise _failure(family, "the packages", last)


def _finish(family: SuiteFamily, partial: Path, progress: Progress) -> None:
    command = [partial / "bin" / "python", "-I", "-m", family.installation.finish]
    code, last = run_guarded(command, on_line=progress)
    if code != 0:
        raise _failure(family, "its last step", last)


def _check(family: SuiteFamily, partial: Path) -> str:
    installation = family.installation
    wanted = json.dumps({"imports": installation.imports, "versions": dict(installation.versions)})
    command: list[str | Path] = [partial / "bin" / "python", "-I", "-c", _CHECK, wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_CHECK_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise _failure(family, "the imports", f"no end after {_CHECK_S:.0f} s") from error
    if done.returncode != 0:
        raise _failure(family, "the imports", done.stderr)
    return done.stdout.strip().splitlines()[-1]


def _rewrite_scripts(partial: Path, place: Path) -> None:
    """Make the scripts' first lines name the final place; the interpreter itself finds its packages anywhere."""
    for script in (partial / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        content = script.read_bytes()
        # The folder's name alone stands in what activated shells show.
        if partial.name.encode() in content:
            script.write_bytes(content.replace(partial.name.encode(), place.name.encode()))


def _failure(family: SuiteFamily, what: str, last: str) -> SuiteNotInstalled:
    lines = [line.strip() for line in last.splitlines() if line.strip()]
    reason = " ".join(lines[-1:])[:300] or "no reason given"
    return SuiteNotInstalled(
        f"the environment of {family.name!r} cannot be made: {what}: {reason}. Nothing of it is left; "
        f"repeat with: vla-bench env create {family.name}"
    )
