"""`Side`: what stands on one side of a comparison or a gate: runs of one policy, or a baseline file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vla_bench.results.comparison.baseline import read_baseline
from vla_bench.results.comparison.loading import load_vectors
from vla_bench.results.comparison.vectors import RunVector
from vla_bench.results.reading import run_names
from vla_bench.results.store import Store
from vla_bench.spec.errors import UsageError
from vla_bench.spec.names import match_name

__all__ = ["Side", "is_file", "open_sides"]


@dataclass(frozen=True)
class Side:
    """Runs that belong together, at most one per suite and protocol.

    Attributes:
        name: as shown.
        vectors: the runs.
    """

    name: str
    vectors: tuple[RunVector, ...]

    @cached_property
    def by_suite(self) -> dict[tuple[str, str], RunVector]:
        """Suite and protocol → run."""
        found: dict[tuple[str, str], RunVector] = {}
        for vector in self.vectors:
            key = vector.suite, vector.protocol
            if key in found:
                raise UsageError(
                    f"{self.name} holds two runs of {vector.suite} {vector.protocol}: {found[key].name!r} and "
                    f"{vector.name!r}; name one"
                )
            found[key] = vector
        return found


def is_file(argument: str) -> bool:
    """Whether an argument names a baseline file and no run."""
    return argument.endswith(".json")


def open_sides(arguments: Sequence[str], open_store: Callable[[], Store]) -> list[Side]:
    """What the arguments of `compare` and `gate` name: a run, runs joined by commas, or a baseline file.

    Args:
        arguments: `RUN`, `RUN,RUN,…` (one policy on several suites), or `FILE.json`.
        open_store: called where a run is named; whoever gives it closes the store.

    Raises:
        UnknownRun: there is no run of that name.
        UsageError: a file cannot be read, or a side holds two runs of one suite.
    """
    store = open_store() if any(not is_file(argument) for argument in arguments) else None
    known = [] if store is None else _names(store)
    named = {argument: _run_names(argument, known) for argument in arguments if not is_file(argument)}
    wanted = list(dict.fromkeys(name for names in named.values() for name in names))
    # All at once, so that runs of one plan share its columns.
    loaded = {} if store is None else dict(zip(wanted, load_vectors(store, wanted), strict=True))
    return [_side(argument, named, loaded) for argument in arguments]


def _names(store: Store) -> list[str]:
    with store.database.read() as connection:
        return run_names(connection)


def _run_names(argument: str, known: Sequence[str]) -> list[str]:
    whole = match_name(argument, known)
    if whole is not None or "," not in argument:
        return [whole or argument]
    return [match_name(part.strip(), known) or part.strip() for part in argument.split(",")]


def _side(argument: str, named: dict[str, list[str]], loaded: dict[str, RunVector]) -> Side:
    if argument not in named:
        return Side(Path(argument).name, tuple(read_baseline(Path(argument))))
    vectors = tuple(loaded[name] for name in named[argument])
    if len(vectors) == 1:
        return Side(vectors[0].name, vectors)
    policies = {vector.policy for vector in vectors}
    return Side(policies.pop() if len(policies) == 1 else argument, vectors)
