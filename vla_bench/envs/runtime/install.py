"""Suites' own environments: `vla-bench env create|list|remove`, and which interpreter a family's workers run under.

An environment is built in a folder beside its place and moved there when it works. Whatever interrupts that, SIGKILL
included, leaves nothing that is listed or used; the next command removes the rest.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vla_bench.envs.base import Installation, SuiteFamily
from vla_bench.envs.runtime.home import environments_folder
from vla_bench.envs.runtime.installing.build import build_environment, lock_digest
from vla_bench.envs.runtime.installing.locks import folder_lock, is_locked
from vla_bench.envs.runtime.installing.wheel import worker_code, worker_digest
from vla_bench.spec.errors import SuiteNotInstalled

__all__ = [
    "InstallStatus", "SuiteEnvironment", "create_env", "installation_status", "interpreter_with", "list_envs",
    "remove_env",
]  # fmt: skip

_MARKER = "vla-bench.json"
_UNFINISHED = (".partial-", ".old-")
_KIND_MODULES: Mapping[str, str] = {"mujoco": "mujoco", "bullet": "pybullet"}
"""Kind of renderer → the module that its probe needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallStatus:
    """Whether a family can run here, and how.

    Attributes:
        interpreter: the Python that its workers run under; None where there is none.
        code: folder with the running `vla_bench`, where that interpreter's own copy is another; None where it is not.
        is_ready: whether it can run.
        reason: why not, a sentence; empty where it can.
        fix_line: the command that changes that; empty where it can.
    """

    interpreter: Path | None
    is_ready: bool
    code: Path | None = None
    reason: str = ""
    fix_line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteEnvironment:
    """One environment that was created.

    Attributes:
        family: whose it is.
        path: its folder.
        interpreter: its Python.
        python: version of that Python.
        renderer: kind of render back end that the family needs, empty for none.
        lock: digest of the lock file that it was made from, 12 hexadecimal digits.
        worker: digest of the vla-bench code that it was made with; workers of other code bring theirs.
    """

    family: str
    path: Path
    interpreter: Path
    python: str
    renderer: str
    lock: str
    worker: str

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files, links not followed."""
        return sum(path.lstat().st_size for path in self.path.rglob("*"))


def installation_status(family: SuiteFamily) -> InstallStatus:
    """Find the interpreter of a family: its own environment if created, else this one if the simulator is in it."""
    installation = family.installation
    if installation == Installation():
        return InstallStatus(interpreter=Path(sys.executable), is_ready=True)
    own = _own_environment(family)
    if own is not None:
        if own.lock == lock_digest(installation):
            code = None if own.worker == worker_digest() else worker_code(environments_folder())
            return InstallStatus(interpreter=own.interpreter, is_ready=True, code=code)
        reason = f"the environment of {family.name!r} was made for other versions of its packages."
        return InstallStatus(
            interpreter=None, is_ready=False, reason=reason, fix_line=f"vla-bench env create {family.name}"
        )
    if not (problem := _problem_here(installation)):
        return InstallStatus(interpreter=Path(sys.executable), is_ready=True)
    return InstallStatus(
        interpreter=None, is_ready=False, reason=f"{family.name!r} {problem}.", fix_line=_fix_line(family)
    )


def _problem_here(installation: Installation) -> str:
    """Why this interpreter cannot run a family; empty where it can."""
    if missing := [name for name in installation.imports if find_spec(name) is None]:
        here, pythons = f"{sys.version_info.major}.{sys.version_info.minor}", installation.pythons
        is_other = pythons and here not in pythons
        only = f"; it has no wheel for Python {here} and would have to be built from source" if is_other else ""
        return f"is not installed here (no module {missing[0]}{only})"
    for name, wanted in installation.versions.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            return f"is not installed here (no {name} {wanted})"
        if found != wanted:
            return f"needs {name} {wanted}, and {found} is installed here"
    return ""


def _fix_line(family: SuiteFamily) -> str:
    installation = family.installation
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if installation.extra and (not installation.pythons or here in installation.pythons):
        return f"pip install 'vla-bench[{installation.extra}]'"
    return f"vla-bench env create {family.name}"


def create_env(family: SuiteFamily, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Create the family's own environment; one that is there and up to date is left as it is.

    Args:
        family: with a lock file.
        progress: called with lines for people.

    Returns:
        The folder of the environment.

    Raises:
        SuiteNotInstalled: the family needs none, no Python fits, or the installation fails; nothing is left of it.
    """
    installation = family.installation
    if not installation.lock_file:
        raise SuiteNotInstalled(f"{family.name!r} has no environment of its own: it runs under the present interpreter")
    root = environments_folder()
    root.mkdir(parents=True, exist_ok=True)
    place = root / f"{family.name}-{lock_digest(installation)}"
    with folder_lock(root, family.name, waiting=lambda: progress("another installation is running: waiting for it")):
        _sweep(root, family.name)
        present = _read(place)
        if present is not None:
            progress("it is there already, and up to date")
            return place
        partial = root / f".partial-{place.name}"
        try:
            python = build_environment(family, partial, place, progress)
            _write_marker(partial, family, python)
            _swap(partial, place)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _remove_others(family, keep=place)
    return place


def list_envs() -> list[SuiteEnvironment]:
    """The environments that were created and are whole, sorted by family. Removes what killed installations left."""
    root = environments_folder()
    if not root.is_dir():
        return []
    for name in {_family_of(path) for path in root.iterdir() if path.name.startswith(_UNFINISHED)}:
        if not is_locked(root, name):
            with folder_lock(root, name):
                _sweep(root, name)
    found = [environment for path in sorted(root.iterdir()) if (environment := _read(path)) is not None]
    return sorted(found, key=lambda environment: environment.family)


def remove_env(family: SuiteFamily) -> None:
    """Remove the family's environments, older ones too.

    Raises:
        SuiteNotInstalled: there is none.
    """
    root = environments_folder()
    if not any(environment.family == family.name for environment in list_envs()):
        raise SuiteNotInstalled(f"{family.name!r} has no environment of its own. See `vla-bench env list`.")
    with folder_lock(root, family.name):
        _remove_others(family, keep=None)


def interpreter_with(kind: str) -> Path | None:
    """A Python that has the simulator of a kind of renderer: this one, or that of a suite's own environment."""
    module = _KIND_MODULES.get(kind, kind)
    if find_spec(module) is not None:
        return Path(sys.executable)
    return next((environment.interpreter for environment in list_envs() if environment.renderer == kind), None)


def _own_environment(family: SuiteFamily) -> SuiteEnvironment | None:
    """The newest one that fits the lock file, else any of the family's."""
    root = environments_folder()
    if not root.is_dir() or not family.installation.lock_file:
        return None
    exact = _read(root / f"{family.name}-{lock_digest(family.installation)}")
    if exact is not None:
        return exact
    return next((found for path in sorted(root.glob(f"{family.name}-*")) if (found := _read(path))), None)


def _read(path: Path) -> SuiteEnvironment | None:
    """Read an environment; None where the folder is none, or not whole."""
    if path.name.startswith("."):
        return None
    try:
        facts: dict[str, Any] = json.loads((path / _MARKER).read_text(encoding="utf-8"))
        found = SuiteEnvironment(path=path, interpreter=path / "bin" / "python", **facts)
    except (OSError, ValueError, TypeError):
        return None
    return found if found.interpreter.exists() else None


def _write_marker(partial: Path, family: SuiteFamily, python: str) -> None:
    facts = {
        "family": family.name,
        "python": python,
        "renderer": family.installation.renderer,
        "lock": lock_digest(family.installation),
        "worker": worker_digest(),
    }
    (partial / _MARKER).write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _swap(partial: Path, place: Path) -> None:
    """Put the new environment where the old one was; killed between the two moves, there is none."""
    old = place.with_name(f".old-{place.name}")
    if place.exists():
        place.rename(old)
    partial.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _remove_others(family: SuiteFamily, *, keep: Path | None) -> None:
    root = environments_folder()
    for path in root.glob(f"{family.name}-*"):
        found = _read(path)
        if path != keep and found is not None and found.family == family.name:
            # Out of sight in one move first: a removal that is interrupted leaves nothing that looks whole.
            hidden = root / f".old-{path.name}"
            path.rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)


def _sweep(root: Path, name: str) -> None:
    """Remove what a killed command of this family left; called under its lock."""
    for path in root.iterdir():
        if path.name.startswith(_UNFINISHED) and _family_of(path) == name:
            shutil.rmtree(path, ignore_errors=True)


def _family_of(path: Path) -> str:
    """`metaworld` of `.partial-metaworld-0123456789ab`."""
    for prefix in _UNFINISHED:
        if path.name.startswith(prefix):
            return path.name.removeprefix(prefix).rpartition("-")[0]
    return path.name.rpartition("-")[0]
