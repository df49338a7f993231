"""Run any robot policy through any manipulation suite, store every episode, and say what the numbers prove."""

from __future__ import annotations

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vla_bench.harness.evaluate import evaluate as evaluate
    from vla_bench.results.frames import load as load

__all__ = ["__version__", "evaluate", "load"]

__version__ = _version("vla-bench")


def __getattr__(name: str) -> Any:
    # `import vla_bench` stays free of the other rooms: suites' own interpreters have none of their dependencies.
    if name == "evaluate":
        from vla_bench.harness.evaluate import evaluate

        return evaluate
    if name == "load":
        from vla_bench.results.frames import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
