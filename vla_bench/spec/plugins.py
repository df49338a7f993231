"""How built-in and third-party parts are found: Python entry points, one group per kind of part."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from vla_bench.spec.errors import UnknownName, UsageError
from vla_bench.spec.names import match_name

__all__ = ["EXECUTORS", "EXPERTS", "POLICIES", "SUITES", "load_plugin", "plugin_names"]

SUITES: Final = "vla_bench.suites"
"""A `SuiteFamily` (see `vla_bench.envs.base`): suites that share a simulator."""
POLICIES: Final = "vla_bench.policies"
"""A callable that takes options by keyword and returns a `Policy`."""
EXPERTS: Final = "vla_bench.experts"
"""The scripted expert of a suite family: a callable from a task id to a controller (see `policies.builtin.expert`)."""
EXECUTORS: Final = "vla_bench.executors"
"""An executor class (see `vla_bench.harness.executors`)."""


@cache
def _group(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def plugin_names(group: str, *, inside: str = "") -> list[str]:
    """The registered names of a group, sorted; with `inside`, only those whose module lies in that package."""
    return sorted(name for name, point in _group(group).items() if not inside or point.module.startswith(f"{inside}."))


def load_plugin(group: str, name: str, unknown: type[UnknownName]) -> Any:
    """Import and return the registered object; spelling is matched as in `vla_bench.spec.names`.

    Raises:
        UnknownName: (as the class `unknown`) nothing has that name.
        UsageError: the entry point cannot be imported.
    """
    points = _group(group)
    match = match_name(name, points)
    if match is None:
        raise unknown(name, points)
    try:
        return points[match].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{name!r} is registered as {points[match].value} but cannot be imported: {error}") from error
