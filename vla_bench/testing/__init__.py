"""Conformance kits: what a suite, a policy or an executor must do to be trusted, as functions that anybody can call.

The built-in parts pass through the same kits as those of other packages.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vla_bench.testing.conformance import ConformanceError

if TYPE_CHECKING:
    from vla_bench.testing.executor import check_executor as check_executor
    from vla_bench.testing.policy import check_policy as check_policy
    from vla_bench.testing.suite import check_suite as check_suite

__all__ = ["ConformanceError", "check_executor", "check_policy", "check_suite"]

_KITS = {"check_executor": "executor", "check_policy": "policy", "check_suite": "suite"}


def __getattr__(name: str) -> Any:
    # Who checks a policy needs no gymnasium, and who checks a suite no web server.
    if name in _KITS:
        return getattr(import_module(f"{__name__}.{_KITS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
