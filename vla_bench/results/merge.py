"""Joining databases: the shards of a run, or the files of processes that could not share one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from vla_bench.results.copying import copy_run, trace_digests
from vla_bench.results.reading import run_names
from vla_bench.results.runs import RunSummary
from vla_bench.results.store import Store
from vla_bench.spec.errors import StoreCorrupted, UnknownRun, UsageError

__all__ = ["merge"]


def merge(target: Store, sources: Sequence[str | Path], runs: Sequence[str] = ()) -> list[RunSummary]:
    """Add the runs of other databases to `target`, episodes and traces; all of them or, where one is refused, none.

    Runs of one name are one run. An episode that two databases judged alike is kept once. A trace that is missing or
    damaged at its source is named in `target.notices`, and its episode keeps its outcome.

    Args:
        target: open for writing.
        sources: paths or URLs, which are only read; their traces lie beside them.
        runs: names to take, all where empty.

    Returns:
        The summaries of the merged runs, in the order of their names.

    Raises:
        UsageError: no source is given, or one is the target or is not there.
        UnknownRun: no source has a run of a wanted name.
        RunMismatch: runs of one name differ in suite, plan, settings or policy, or judged an episode differently.
        StoreError: (a child) a database cannot be read or written.
    """
    if not sources:
        raise UsageError("nothing to merge: name the databases to read")
    with ExitStack() as stack:
        opened = [stack.enter_context(Store.open(source, read_only=True, sole_writer=True)) for source in sources]
        if any(source.location.path and source.location.path == target.location.path for source in opened):
            raise UsageError(f"{target.location} is merged into: name only the others")
        wanted = _wanted(opened, runs)
        for source, names in wanted:
            for name in names:
                _copy_traces(source, target, name)
        with target.database.write() as connection:
            for source, names in wanted:
                with source.database.read() as reader:
                    for name in names:
                        copy_run(reader, connection, name)
    return [target.finish(name) for name in sorted({name for _, names in wanted for name in names})]


def _wanted(sources: Sequence[Store], runs: Sequence[str]) -> list[tuple[Store, list[str]]]:
    """Which runs each source gives."""
    found = []
    for source in sources:
        with source.database.read() as connection:
            found.append((source, run_names(connection)))
    known = sorted({name for _, names in found for name in names})
    for run in runs:
        if run not in known:
            raise UnknownRun(run, known)
    return [(source, [name for name in names if not runs or name in runs]) for source, names in found]


def _copy_traces(source: Store, target: Store, name: str) -> None:
    with source.database.read() as connection:
        digests = trace_digests(connection, name)
    for digest in digests:
        try:
            target.traces.copy_from(source.traces, digest)
        except StoreCorrupted as error:
            target.notices.append(f"run {name!r} from {source.location}: {error}")
