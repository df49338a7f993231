"""Frames from a file that `vla-bench export` wrote: the episodes as they stand there, all else computed from them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_bench.results.faults import file_errors
from vla_bench.results.frames.columns import EPISODES, TAG, frame
from vla_bench.results.frames.selection import Selection
from vla_bench.results.frames.summaries import run_columns, task_columns
from vla_bench.results.runs import RunSummary
from vla_bench.results.summary import AttemptTotals, EpisodeCell, RunFacts, summarise
from vla_bench.spec.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FileSource", "is_export"]

Columns = dict[str, list[Any]]


class FileSource:
    """Reads the wanted runs of an exported file, one frame at a time."""

    def __init__(self, path: Path, selection: Selection) -> None:
        self._path, self._selection = path, selection

    def runs(self) -> pd.DataFrame:
        """One row per run."""
        return run_columns([run for run, _ in self._summaries()])

    def tasks(self) -> pd.DataFrame:
        """One row per task of each run."""
        found = self._summaries()
        tags = {task: of_task for _, tags in found for task, of_task in tags.items()}
        return task_columns([run for run, _ in found], tags, self._selection)

    def episodes(self) -> pd.DataFrame:
        """One row per planned episode of each run."""
        episodes = self._read()
        return _kept(episodes, [self._selection.takes_task(task) for task in episodes["task"]])

    def _read(self) -> pd.DataFrame:
        """The episodes of the wanted runs, whole runs."""
        columns = _read(self._path)
        tags = {name: [item or None for item in items] for name, items in columns.items() if name.startswith(TAG)}
        try:
            episodes = frame(EPISODES, {name: columns[name] for name in EPISODES}, tags)
        except KeyError as error:
            raise UsageError(f"{self._path}: no column {error}; it is not an export of `vla-bench export`") from error
        except (TypeError, ValueError) as error:
            raise UsageError(f"{self._path}: a value is damaged: {error}") from error
        names = self._selection.runs_of(list(dict.fromkeys(episodes["run"])))
        heads = episodes.drop_duplicates("run").set_index("run")
        kept = [
            name
            for name in names
            if self._selection.takes(suite=heads.at[name, "suite"], policy=heads.at[name, "policy"])
        ]
        return _kept(episodes, episodes["run"].isin(kept))

    def _summaries(self) -> list[tuple[RunSummary, dict[str, dict[str, Any]]]]:
        episodes = self._read()
        return [_summary(episodes[episodes["run"] == name]) for name in dict.fromkeys(episodes["run"])]


def _kept(episodes: pd.DataFrame, rows: Any) -> pd.DataFrame:
    """Some of the rows, with the categories that occur in them, as a database would give them."""
    kept = episodes[rows].reset_index(drop=True)
    texts = [name for name in kept.select_dtypes("category").columns if EPISODES.get(name) != "outcome"]
    return kept.assign(**{name: kept[name].cat.remove_unused_categories() for name in texts})


def is_export(source: str | Path) -> bool:
    """Whether this is a path that `FileSource` reads, by its ending."""
    return "://" not in str(source) and Path(source).suffix in _READERS


def _summary(episodes: pd.DataFrame) -> tuple[RunSummary, dict[str, dict[str, Any]]]:
    """The summary of one run, and the tags of its tasks."""
    head = episodes.iloc[0]
    tag_names = [name for name in episodes.columns if name.startswith(TAG)]
    by_task = episodes.drop_duplicates("task")
    tags = {
        row["task"]: {name.removeprefix(TAG): row[name] for name in tag_names if isinstance(row[name], str)}
        for row in by_task[["task", *tag_names]].to_dict("records")
    }
    protocol, _, version = head["protocol"].rpartition("/")
    facts = RunFacts(
        name=head["run"], command="", started_at="", finished_at="", shards=(), settings={},
        eval_hash=head["settings"], policy_digest="", plan_hash=head["plan"], suite_digest="",
        suite={
            "name": head["suite"],
            "protocol": {"name": protocol, "version": version},
            "tasks": [
                {"id": row["task"], "tags": tags[row["task"]], "stages": [""] * row["n_stages"] * (row["n_stages"] > 1)}
                for row in by_task[["task", "n_stages"]].to_dict("records")
            ],
            "group_by": [],
        },
        policy={"name": head["policy"], "version": head["policy_version"], "kind": head["policy_kind"]},
        episodes=[row | {"params": {}} for row in episodes[["task", "trial"]].to_dict("records")],
        origin={"tool": head["origin"]} if head["origin"] else {},
    )  # fmt: skip
    reached = episodes[episodes["n_attempts"] > 0]
    cells = [
        EpisodeCell(
            task=row.task,
            trial=row.trial,
            outcome=row.outcome,
            error_kind=row.error_kind,
            n_clipped=row.n_clipped,
            flags=tuple(filter(None, row.flags.split(","))),
            n_stages_done=row.n_stages_done if row.n_stages > 1 else None,
        )
        for row in reached.itertuples()
    ]
    return summarise(facts, cells, _totals(episodes)), tags


def _totals(episodes: pd.DataFrame) -> AttemptTotals:
    """What of the attempts is in an export: their number. Times of attempts that do not count are not."""
    return AttemptTotals(
        n_attempts=int(episodes["n_attempts"].sum()),
        n_steps=0, n_queries=0, wall_ms=0.0, policy_ms=0.0, env_ms=0.0, policy_max_ms=0.0, bins=(),
    )  # fmt: skip


def _read(path: Path) -> Columns:
    if not path.exists():
        raise UsageError(f"no file at {path}")
    with file_errors(str(path)):
        try:
            columns = _READERS[path.suffix](path)
        except (UnicodeDecodeError, csv.Error, ValueError, TypeError, KeyError) as error:
            raise UsageError(f"{path}: not readable as {path.suffix[1:]}: {error}") from error
    if not columns or not next(iter(columns.values())):
        raise UsageError(f"{path} holds no episodes")
    return columns


def _read_parquet(path: Path) -> Columns:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("Parquet", "parquet") from error
    found: Columns = parquet.read_table(path).to_pydict()
    return found


def _read_jsonl(path: Path) -> Columns:
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row[name] for row in rows] for name in names}


def _read_csv(path: Path) -> Columns:
    with path.open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    by_name = dict(zip(names, map(list, columns), strict=True))
    return {name: _from_text(items, EPISODES.get(name, "string")) for name, items in by_name.items()}


def _from_text(items: Sequence[str], kind: str) -> list[Any]:
    """The values of a CSV column. An empty cell of a number is `NA`, one of a text is the empty text."""
    if kind == "boolean":
        return [_BOOLEANS[item] for item in items]
    if kind.casefold().startswith("int"):
        return [int(item) if item else None for item in items]
    if kind.startswith("Float"):
        return [float(item) if item else None for item in items]
    return list(items)


_BOOLEANS: Mapping[str, bool | None] = {"True": True, "False": False, "": None}
_READERS: Mapping[str, Callable[[Path], Columns]] = {
    ".parquet": _read_parquet,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
}
