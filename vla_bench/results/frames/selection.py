"""Which runs, suites, policies and tasks are wanted: names, or patterns with `*`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from vla_bench.spec.errors import UnknownRun, UsageError
from vla_bench.spec.names import normalise_name

__all__ = ["Selection", "as_names"]


def as_names(value: str | Iterable[str]) -> tuple[str, ...]:
    """One name, or several; an empty text is none."""
    return tuple(filter(None, [value] if isinstance(value, str) else value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to read. Empty keeps all; names match without regard to case, dashes and underscores, `*` stands for any."""

    runs: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()

    def takes(self, *, suite: str, policy: str) -> bool:
        """Whether a run of this suite by this policy is wanted."""
        return _matches(suite, self.suites) and _matches(policy, self.policies)

    def runs_of(self, known: Sequence[str]) -> list[str]:
        """The wanted ones of all runs, in their order.

        Raises:
            UnknownRun: a name is none of them.
            UsageError: a pattern fits none of them.
        """
        for pattern in self.runs:
            if not any(_matches(name, (pattern,)) for name in known):
                if "*" in pattern:
                    raise UsageError(f"no run is like {pattern!r}. See `vla-bench runs`.")
                raise UnknownRun(pattern, known)
        return [name for name in known if _matches(name, self.runs)]

    def takes_task(self, task: str) -> bool:
        """Whether a task is wanted."""
        return _matches(task, self.tasks)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(
        fnmatchcase(name.casefold(), pattern.casefold())
        if "*" in pattern
        else normalise_name(name) == normalise_name(pattern)
        for pattern in patterns
    )
