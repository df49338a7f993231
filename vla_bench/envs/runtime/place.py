"""Where a worker runs: which interpreter, which environment variables, which render back end."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from vla_bench.envs.base import EnvOptions, Installation, SuiteFamily
from vla_bench.envs.runtime.home import ASSETS_VARIABLE, assets_folder
from vla_bench.spec.errors import SuiteNotInstalled, UsageError
from vla_bench.spec.suite import Suite

__all__ = ["Place", "place_of", "rendering_of", "with_fixed_renderer"]

_DEFAULTS: Final[Mapping[str, str]] = {
    # One worker is one core's work; and the number of threads decides the order, hence the bits, of BLAS's sums.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Mesa's software renderer takes a thread for every core else, and workers take them from one another. With 0 it
    # draws in the thread that asks; the pixels are the same.
    "LP_NUM_THREADS": "0",
    # Simulators that go through sets of strings do so in the same order in every process.
    "PYTHONHASHSEED": "0",
}
"""Set where the user has not set them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a worker runs.

    Attributes:
        interpreter: the Python that has the suite.
        environment: all environment variables.
        renderer: vendor, renderer and version of the render back end; empty where nothing is rendered.
    """

    interpreter: str
    environment: Mapping[str, str]
    renderer: Mapping[str, str]


def place_of(family: SuiteFamily, options: EnvOptions) -> Place:
    """Find the place for a family's env.

    Raises:
        SuiteNotInstalled: no interpreter has the suite.
        NoRenderer: pictures are wanted and no render back end works.
    """
    interpreter, code = _interpreter(family)
    environment = {**_DEFAULTS, **os.environ, ASSETS_VARIABLE: str(assets_folder())}
    if interpreter != sys.executable:
        # They point at this interpreter's packages, which are not for the suite's own.
        for variable in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
            environment.pop(variable, None)
    if code:
        environment["PYTHONPATH"] = code
    variables, facts = rendering_of(family.installation, options)
    return Place(interpreter=interpreter, environment={**environment, **variables}, renderer=facts)


def _interpreter(family: SuiteFamily) -> tuple[str, str]:
    """The Python that has the suite, and the folder from which it imports `vla_bench`, empty for its own copy."""
    if family.installation == Installation():
        return sys.executable, ""
    from vla_bench.envs.runtime.install import installation_status

    status = installation_status(family)
    if not status.is_ready or status.interpreter is None:
        raise SuiteNotInstalled(f"{status.reason} Type: {status.fix_line}")
    return str(status.interpreter), str(status.code or "")


def rendering_of(installation: Installation, options: EnvOptions) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Choose the render back end where pictures are wanted: environment variables that select it, facts about it.

    Raises:
        NoRenderer: none works.
    """
    if not (installation.renderer and options.cameras):
        return {}, {}
    # Probes start processes: only who wants pictures pays for them.
    from vla_bench.envs.runtime.rendering import choose_renderer

    renderer = choose_renderer(installation.renderer, options.renderer)
    return renderer.env, renderer.facts


def with_fixed_renderer(suite: Suite, options: EnvOptions) -> EnvOptions:
    """The same options, with the render back end that the suite's protocol fixes (its parameter `renderer`), if any.

    Raises:
        UsageError: the options ask for another one.
    """
    fixed = suite.protocol.parameters.get("renderer", "")
    if not fixed or options.renderer == fixed:
        return options
    if options.renderer:
        raise UsageError(
            f"protocol {suite.protocol.id!r} renders with {fixed!r}, not {options.renderer!r}: pictures of another"
            " renderer are another protocol. See `vla-bench suites`."
        )
    return replace(options, renderer=fixed)
