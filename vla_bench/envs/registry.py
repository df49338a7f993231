"""Finds suites by name and opens their envs. Suites come from entry points, built-in ones and others' alike."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any, Final, Literal

import gymnasium

from vla_bench.envs.base import EnvHandle, EnvOptions, SuiteEnv, SuiteFamily
from vla_bench.envs.runtime.limits import DEFAULT_LIMITS, WorkerLimits
from vla_bench.envs.runtime.place import rendering_of, with_fixed_renderer
from vla_bench.spec.errors import UnknownSuite, UsageError
from vla_bench.spec.names import match_name
from vla_bench.spec.plugins import SUITES, load_plugin, plugin_names
from vla_bench.spec.suite import Suite

__all__ = [
    "WorkerLimits", "families", "family_of", "find_suite", "make_suite_env", "open_env", "register_gymnasium",
    "suite_names",
]  # fmt: skip

NAMESPACE: Final = "vla_bench"
"""Suites are `vla_bench/<suite>` to gymnasium."""


def families(*, built_in: bool = False) -> list[SuiteFamily]:
    """Every family that can be imported, sorted by the name of its entry point; a broken one is warned of.

    Args:
        built_in: only those of vla-bench itself.
    """
    names = plugin_names(SUITES, inside="vla_bench" if built_in else "")
    return [family for name in names if (family := _family(name)) is not None]


def _family(name: str) -> SuiteFamily | None:
    try:
        family: SuiteFamily = load_plugin(SUITES, name, UnknownSuite)
    except UsageError as error:
        # One broken plug-in does not take the other suites away.
        warnings.warn(str(error), stacklevel=3)
        return None
    return family


def suite_names() -> list[str]:
    """Every suite of every family, the families sorted, their suites in their own order."""
    return [suite for family in families() for suite in family.suite_names()]


def find_suite(name: str, protocol: str = "") -> Suite:
    """Describe a suite (case, dashes and underscores do not matter) under a protocol, the default one where empty.

    Raises:
        UnknownSuite, UnknownProtocol: no such name; the message names the near matches.
    """
    return _owner(name).suite(name, protocol)


def family_of(suite: Suite | str) -> SuiteFamily:
    """The family of a suite, or of a suite's or a family's name.

    Raises:
        UnknownSuite: no such name.
        UsageError: the family cannot be imported.
    """
    if isinstance(suite, Suite):
        family: SuiteFamily = load_plugin(SUITES, suite.family, UnknownSuite)
        return family
    if (match := match_name(suite, plugin_names(SUITES))) and (named := _family(match)):
        return named
    return _owner(suite)


def _owner(name: str) -> SuiteFamily:
    known: list[str] = []
    for family in families():
        names = family.suite_names()
        if match_name(name, names):
            return family
        known += names
    for family in families():
        # A family may know more spellings than it lists.
        try:
            family.suite(name)
        except UnknownSuite:
            continue
        return family
    raise UnknownSuite(name, known)


def open_env(
    suite: Suite,
    options: EnvOptions = EnvOptions(),
    *,
    isolation: Literal["process", "inline"] = "process",
    limits: WorkerLimits = DEFAULT_LIMITS,
) -> EnvHandle:
    """Open an env to run episodes in.

    Args:
        suite: with its protocol.
        options: equal for all episodes of a run.
        isolation: `process` for a supervised worker, `inline` for this process (debugging).
        limits: of the worker; without meaning inline.

    Raises:
        SuiteNotInstalled, MissingExtra, NoRenderer, UsageError: it cannot be opened like that here.
        EnvStartFailed, EnvRaised: it should open and does not.
    """
    family = family_of(suite)
    options = with_fixed_renderer(suite, options)
    if isolation == "inline":
        from vla_bench.envs.runtime.inline import InlineEnv

        return InlineEnv(family, suite, options)
    # Imported here: it needs psutil, which a suite's own environment, where workers import this module, has not.
    from vla_bench.envs.runtime.supervisor import WorkerEnv

    return WorkerEnv(family, suite, options, limits=limits)


def register_gymnasium(*, built_in: bool = False) -> None:
    """Register suites with gymnasium, so that `gymnasium.make("vla_bench/toy_reach", task=…)` works; safe to repeat.

    Importing `vla_bench.envs` does it for the built-in suites. It leaves other packages alone, one of which may be the
    importer, half imported itself: whoever wants theirs calls this.

    Args:
        built_in: only those of vla-bench itself.
    """
    for family in families(built_in=built_in):
        for suite in family.suite_names():
            name = f"{NAMESPACE}/{suite}"
            if name not in gymnasium.registry:
                gymnasium.register(name, entry_point=f"{__name__}:make_suite_env", kwargs={"suite": suite})


def make_suite_env(
    suite: str,
    *,
    task: str = "",
    protocol: str = "",
    cameras: Sequence[str] = (),
    render_mode: str | None = None,
    **options: Any,
) -> SuiteEnv:
    """Build the env of a suite in this process, for gymnasium's `make`.

    Args:
        suite: its name.
        task: the one that a `reset` without an episode takes, the first where empty.
        protocol: its name, the default one where empty.
        cameras: pictures that observations carry.
        render_mode: `rgb_array` or None; `render()` works either way.
        options: further fields of `EnvOptions`.

    Raises:
        UnknownSuite, UnknownProtocol, UnknownTask, MissingExtra, NoRenderer, UsageError: it cannot be built like that.
    """
    options["cameras"] = tuple(cameras)
    description = find_suite(suite, protocol)
    family = family_of(description)
    chosen = with_fixed_renderer(description, EnvOptions(**options))
    variables, _ = rendering_of(family.installation, chosen)
    # Simulators read them when they are imported.
    os.environ.update(variables)
    env = family.make_env(description, chosen)
    if task:
        env.task = description.task(task)
    return env
