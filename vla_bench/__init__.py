"""Run any robot policy through any manipulation suite, store every episode, and say what the numbers prove."""

from __future__ import annotations

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vla_bench.harness.evaluate import evaluate as evaluate

__all__ = ["__version__", "evaluate"]

__version__ = _version("vla-bench")


def __getattr__(name: str) -> Any:
    # `import vla_bench` stays free of the harness: suites' own interpreters have none of its dependencies.
    if name == "evaluate":
        from vla_bench.harness.evaluate import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
