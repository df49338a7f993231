"""Imports LIBERO (or LIBERO-Plus, its twin under another name) as a library: silent, offline, without OpenGL.

Upstream asks a question or writes a file into the home folder when it is first imported, announces itself, and
robosuite loads a GL library for renderers that are not used here. None of that happens behind `simulator_package`.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from vla_bench.spec.errors import SuiteNotInstalled

__all__ = ["VERSIONS", "SimulatorPackage", "check_versions", "simulator_package"]

VERSIONS = {"mujoco": "2.3.7", "robosuite": "1.4.0", "numpy": "1.26.4", "bddl": "1.0.1", "rlinf-libero": "0.1.3"}
"""The only versions whose states these protocols mean."""

LIBERO = "libero.libero"
_GL_BINDINGS = ("egl_context", "osmesa_context", "glfw_context")


@dataclass(frozen=True, slots=True)
class SimulatorPackage:
    """LIBERO's code and files.

    Attributes:
        folder: holds `bddl_files`, `init_files` and `assets`.
        envs: the imported module `envs`.
        robosuite: the imported package beneath it.
    """

    folder: Path
    envs: Any
    robosuite: Any

    def problem(self, bddl: Path) -> Any:
        """The robosuite environment class that a BDDL file asks for."""
        name = self.envs.bddl_base_domain.BDDLUtils.get_problem_info(str(bddl))["problem_name"]
        return self.envs.TASK_MAPPING[name]


def check_versions() -> None:
    """Refuse any other simulator than the one that the protocols mean.

    Raises:
        SuiteNotInstalled: the message has the line that installs the right versions.
    """
    wrong = {name: found for name, wanted in VERSIONS.items() if (found := _version(name)) != wanted}
    if wrong:
        found = ", ".join(f"{name} {number or 'missing'}" for name, number in wrong.items())
        pins = ", ".join(f"{name} {number}" for name, number in VERSIONS.items())
        raise SuiteNotInstalled(f"libero suites need {pins}, found {found}. Type: vla-bench env create libero")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@cache
def simulator_package(name: str = LIBERO) -> SimulatorPackage:
    """Import LIBERO.

    Args:
        name: `libero.libero`, or another package of the same build (`liberoplus.liberoplus`).

    Raises:
        SuiteNotInstalled: its assets are not linked.
    """
    with _private_configuration(), _without_gl_bindings(), _quiet():
        envs = importlib.import_module(f"{name}.envs")
        importlib.import_module(f"{name}.envs.bddl_base_domain")
    assert envs.__file__ is not None
    folder = Path(envs.__file__).parent.parent
    if not (folder / "assets").is_dir():
        raise SuiteNotInstalled(f"{name} has no assets in {folder}. Type: vla-bench env create libero")
    return SimulatorPackage(folder=folder, envs=envs, robosuite=sys.modules["robosuite"])


@contextmanager
def _private_configuration() -> Iterator[None]:
    """A configuration folder that exists during the import and holds nothing that is ever read again."""
    with tempfile.TemporaryDirectory(prefix="vla-bench-libero-") as folder:
        # The file must be there before the import: upstream prompts for its content, the packaged one writes its own.
        Path(folder, "config.yaml").write_text("{}\n", encoding="utf-8")
        # matplotlib, which upstream imports for a colour map, would make a folder of its own in the home folder.
        wanted = {"LIBERO_CONFIG_PATH": folder, "HF_HUB_OFFLINE": "1", "MPLCONFIGDIR": folder}
        with _environment(wanted):
            yield


@contextmanager
def _without_gl_bindings() -> Iterator[None]:
    """Put empty modules where robosuite imports its GL bindings; it forces `MUJOCO_GL=egl` besides."""
    prefix = "robosuite.renderers.context."
    absent = [prefix + name for name in _GL_BINDINGS if prefix + name not in sys.modules]
    for name in absent:
        module: Any = ModuleType(name)
        module.EGLGLContext = module.OSMesaGLContext = module.GLFWGLContext = None
        sys.modules[name] = module
    try:
        with _environment({"MUJOCO_GL": os.environ.get("MUJOCO_GL")}):
            yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def _environment(changes: dict[str, str | None]) -> Iterator[None]:
    """Set variables, and put back afterwards whatever they were."""
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """No advertisements: robosuite's of its macros, gym's of its successor."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with suppress(ImportError):
        notices: Any = importlib.import_module("gym_notices.notices")
        notices.notices.clear()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
