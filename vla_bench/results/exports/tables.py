"""The episodes of runs as one table: CSV, JSON Lines or Parquet. `vla_bench.load` reads each of them back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_bench.results.exports.atomic import new_file
from vla_bench.results.frames import load
from vla_bench.results.frames.columns import RUNS
from vla_bench.results.store import Store
from vla_bench.spec.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "export_table"]

METADATA = b"vla_bench"
"""Key of the Parquet file's own metadata: a JSON list of the runs, as `vla-bench runs --json` gives them."""


def export_table(
    store: Store, runs: Sequence[str], table_format: str, path: Path, *, force: bool = False
) -> pd.DataFrame:
    """Write one row per planned episode of these runs.

    Args:
        store: where the runs are.
        runs: their names, at least one.
        table_format: `csv`, `jsonl` or `parquet`.
        path: of the file to write; it is there whole or not at all.
        force: replace a file that is there.

    Returns:
        The frame that was written.

    Raises:
        UnknownRun: there is no such run.
        UsageError: there is no such format, or something at `path` already.
        MissingExtra: Parquet without pyarrow.
        StoreError: (a child) the database cannot be read, or the file not be written.
    """
    if table_format not in FORMATS:
        raise UsageError(f"no table format {table_format!r}: choose {', '.join(FORMATS)}")
    if not runs:
        raise UsageError("name at least one run")
    frames = load(store, run=runs)
    with new_file(path, force=force) as temporary:
        FORMATS[table_format](frames.episodes, frames.runs, temporary)
    return frames.episodes


def _write_csv(episodes: pd.DataFrame, runs: pd.DataFrame, path: Path) -> None:
    _plain(episodes).to_csv(path, index=False)


def _write_jsonl(episodes: pd.DataFrame, runs: pd.DataFrame, path: Path) -> None:
    plain = _plain(episodes)
    columns = {name: [_json_value(value) for value in plain[name].tolist()] for name in plain.columns}
    with path.open("w", encoding="utf-8") as file:
        for row in zip(*columns.values(), strict=True):
            file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, allow_nan=False) + "\n")


def _write_parquet(episodes: pd.DataFrame, runs: pd.DataFrame, path: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("export --format parquet", "parquet") from error
    table = pyarrow.Table.from_pandas(episodes, preserve_index=False)
    plain = _plain(runs)
    summary = [{name: _json_value(row[name]) for name in RUNS} for row in plain.to_dict("records")]
    metadata = {**(table.schema.metadata or {}), METADATA: json.dumps(summary, ensure_ascii=False).encode()}
    parquet.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with times as ISO 8601 text, the empty text where there is none."""
    times = frame.select_dtypes("datetimetz").columns
    texts = {name: ["" if time is None else time.isoformat() for time in _or_none(frame[name])] for name in times}
    return frame.assign(**texts)


def _or_none(values: pd.Series) -> list[Any]:
    return [value if is_there else None for value, is_there in zip(values, values.notna(), strict=True)]


def _json_value(value: Any) -> Any:
    import pandas as pd

    return None if value is pd.NA or value is None or value != value else value


FORMATS: Mapping[str, Callable[[pd.DataFrame, pd.DataFrame, Path], None]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
}
"""Table format → what writes it; the name is also the ending of the file."""
