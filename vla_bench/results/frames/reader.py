"""`load`: the door to the frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from vla_bench.results.database import locate
from vla_bench.results.frames.database import DatabaseSource
from vla_bench.results.frames.files import FileSource, is_export
from vla_bench.results.frames.selection import Selection, as_names
from vla_bench.results.store import Store
from vla_bench.spec.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Frames", "load"]


class _Source(Protocol):
    def runs(self) -> pd.DataFrame: ...
    def tasks(self) -> pd.DataFrame: ...
    def episodes(self) -> pd.DataFrame: ...


_Read = TypeVar("_Read")


class Frames:
    """Results as data frames, each read when it is first asked for. Change them as you like: they are yours.

    A number that does not exist is `NA`: the rate of an incomplete run, the success of a lost episode.
    """

    def __init__(self, opened: Callable[[Callable[[_Source], pd.DataFrame]], pd.DataFrame]) -> None:
        """`opened` calls a function with an open source; `load` makes it."""
        self._opened = opened

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run: counts, `rate`, its intervals (`low`, `high`: these tasks; `like_*`: tasks like these)."""
        return self._opened(lambda source: source.runs())

    @cached_property
    def tasks(self) -> pd.DataFrame:
        """One row per task of each run: counts, `rate` and interval, the task's tags."""
        return self._opened(lambda source: source.tasks())

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """One row per planned episode of each run, `not_run` where none was made: outcome, steps, times, digests, tags.

        `success` is `NA` unless the episode is judged: `frames.episodes.groupby("task").success.mean()` is over judged
        episodes, and only a complete run's is its rate.
        """
        return self._opened(lambda source: source.episodes())


def load(
    source: str | Path | Store = "",
    *,
    run: str | Iterable[str] = (),
    suite: str | Iterable[str] = (),
    policy: str | Iterable[str] = (),
    task: str | Iterable[str] = (),
) -> Frames:
    """Open results for pandas.

    Names match without regard to case, dashes and underscores, `*` stands for anything: `run="lamp-*"`. Several names
    are a list. A frame is read, and names of runs are checked, when it is asked for.

    Args:
        source: a database (path, folder or URL; your own one where empty), an open store, or a file that
            `vla-bench export` wrote (`.parquet`, `.csv`, `.jsonl`).
        run: names of runs to keep; all where empty.
        suite: suites whose runs to keep; all where empty.
        policy: policies whose runs to keep; all where empty.
        task: tasks to keep in the frames of tasks and episodes; all where empty.

    Raises:
        UsageError: there is no such database, or the file is no export.
    """
    selection = Selection(runs=as_names(run), suites=as_names(suite), policies=as_names(policy), tasks=as_names(task))
    if isinstance(source, Store):
        store = source
        return Frames(lambda read: read(DatabaseSource(store, selection)))
    if is_export(source):
        return Frames(lambda read: read(FileSource(Path(source), selection)))
    path = locate(source).path
    if path is not None and not path.exists():
        raise UsageError(f"no database at {path}. Runs make one: vla-bench run --policy expert --suite toy_reach")

    def opened(read: Callable[[_Source], _Read]) -> _Read:
        with Store.open(source, read_only=True) as store:
            return read(DatabaseSource(store, selection))

    return Frames(opened)
