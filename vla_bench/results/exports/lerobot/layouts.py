"""The two layouts in use. v3.0: all frames in few files. v2.1: a file an episode, which older readers want."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vla_bench.results.exports.lerobot.features import pyarrow_modules
from vla_bench.results.exports.lerobot.stats import Stats, aggregate

__all__ = ["LAYOUTS", "Layout", "WrittenEpisode"]

CHUNK = 1000
"""Files in one folder."""
FILE_BYTES = 100 * 2**20
"""A data file of v3.0 is closed once it is larger: no reader needs to load more at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenEpisode:
    """An episode whose frames are on disk."""

    index: int
    tasks: tuple[str, ...]
    n_frames: int
    first_frame: int
    stats: Mapping[str, Stats]
    facts: Mapping[str, Any]


class Layout(ABC):
    """Where frames, videos and descriptions go."""

    version: ClassVar[str]
    data_path: ClassVar[str]
    video_file: ClassVar[str]

    def __init__(self, folder: Path, fps: int, features: Mapping[str, Mapping[str, Any]]) -> None:
        self.folder, self.fps, self.features = folder, fps, features

    def video_path(self, index: int, camera: str) -> Path:
        """The file of an episode's video."""
        return self.folder / self._named(self.video_file, index, f"observation.images.{camera}")

    @abstractmethod
    def write_frames(self, episode: WrittenEpisode, table: Any) -> None:
        """Write the frames of an episode."""

    @abstractmethod
    def finish(self, episodes: Sequence[WrittenEpisode], tasks: Mapping[str, int], robot: str) -> None:
        """Write what describes the whole; `tasks` maps instructions to their numbers."""

    @property
    def video_keys(self) -> list[str]:
        """The features that are videos."""
        return [name for name, feature in self.features.items() if feature["dtype"] == "video"]

    def info(
        self, episodes: Sequence[WrittenEpisode], tasks: Mapping[str, int], robot: str, **more: Any
    ) -> dict[str, Any]:
        """What both layouts say of a dataset."""
        return {
            "codebase_version": self.version,
            "robot_type": robot,
            "total_episodes": len(episodes),
            "total_frames": sum(episode.n_frames for episode in episodes),
            "total_tasks": len(tasks),
            "chunks_size": CHUNK,
            "fps": self.fps,
            "splits": {"train": f"0:{len(episodes)}"},
            "data_path": self.data_path,
            "video_path": self.video_file if self.video_keys else None,
            "features": dict(self.features),
            **more,
        }

    def write_json(self, name: str, content: Any) -> None:
        """Write one JSON file of `meta`."""
        text = json.dumps(content, indent=4, ensure_ascii=False, allow_nan=False)
        (self.folder / "meta" / name).write_text(text, encoding="utf-8")

    def write_lines(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write one JSON Lines file of `meta`."""
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
        (self.folder / "meta" / name).write_text("\n".join([*lines, ""]), encoding="utf-8")

    def _named(self, template: str, index: int, video_key: str = "") -> str:
        return template.format(
            episode_chunk=index // CHUNK,
            episode_index=index,
            chunk_index=index // CHUNK,
            file_index=index % CHUNK,
            video_key=video_key,
        )


class V21(Layout):
    """A Parquet file and a video an episode, descriptions as JSON Lines."""

    version = "v2.1"
    data_path = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    video_file = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"

    def write_frames(self, episode: WrittenEpisode, table: Any) -> None:
        """See `Layout`."""
        _, parquet = pyarrow_modules()
        path = self.folder / self._named(self.data_path, episode.index)
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, path)

    def finish(self, episodes: Sequence[WrittenEpisode], tasks: Mapping[str, int], robot: str) -> None:
        """See `Layout`."""
        n_videos = len(episodes) * len(self.video_keys)
        n_chunks = -(-len(episodes) // CHUNK)
        self.write_json("info.json", self.info(episodes, tasks, robot, total_videos=n_videos, total_chunks=n_chunks))
        self.write_lines("tasks.jsonl", [{"task_index": number, "task": task} for task, number in tasks.items()])
        self.write_lines(
            "episodes.jsonl",
            [{"episode_index": e.index, "tasks": list(e.tasks), "length": e.n_frames} for e in episodes],
        )
        self.write_lines(
            "episodes_stats.jsonl", [{"episode_index": e.index, "stats": _plain(e.stats)} for e in episodes]
        )


class V30(Layout):
    """Frames of many episodes in one Parquet file, a row group each; a video file an episode."""

    version = "v3.0"
    data_path = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    video_file = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"

    def __init__(self, folder: Path, fps: int, features: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(folder, fps, features)
        self._writer: Any = None
        self._file = 0
        self._n_bytes = 0
        self._file_of: dict[int, int] = {}

    def write_frames(self, episode: WrittenEpisode, table: Any) -> None:
        """See `Layout`."""
        _, parquet = pyarrow_modules()
        if self._writer is not None and self._n_bytes > FILE_BYTES:
            self._writer.close()
            self._writer, self._file, self._n_bytes = None, self._file + 1, 0
        if self._writer is None:
            path = self.folder / self._named(self.data_path, self._file)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = parquet.ParquetWriter(path, table.schema)
        self._writer.write_table(table)
        self._n_bytes += table.nbytes
        self._file_of[episode.index] = self._file

    def finish(self, episodes: Sequence[WrittenEpisode], tasks: Mapping[str, int], robot: str) -> None:
        """See `Layout`."""
        import pandas as pd

        arrow, parquet = pyarrow_modules()
        self._writer.close()
        sizes = {"data_files_size_in_mb": FILE_BYTES // 2**20, "video_files_size_in_mb": 200}
        self.write_json("info.json", self.info(episodes, tasks, robot, **sizes))
        names = pd.Index(list(tasks), name="task")
        pd.DataFrame({"task_index": list(tasks.values())}, index=names).to_parquet(
            self.folder / "meta" / "tasks.parquet"
        )
        rows = [self._row(episode) for episode in episodes]
        path = self.folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
        path.parent.mkdir(parents=True)
        parquet.write_table(arrow.Table.from_pylist(rows), path)
        stats = {name: aggregate(episode.stats[name] for episode in episodes) for name in episodes[0].stats}
        self.write_json("stats.json", _plain(stats))

    def _row(self, episode: WrittenEpisode) -> dict[str, Any]:
        file = self._file_of[episode.index]
        row: dict[str, Any] = {
            "episode_index": episode.index,
            "tasks": list(episode.tasks),
            "length": episode.n_frames,
            "data/chunk_index": file // CHUNK,
            "data/file_index": file % CHUNK,
            "dataset_from_index": episode.first_frame,
            "dataset_to_index": episode.first_frame + episode.n_frames,
        }
        for key in self.video_keys:
            row |= {
                f"videos/{key}/chunk_index": episode.index // CHUNK,
                f"videos/{key}/file_index": episode.index % CHUNK,
                f"videos/{key}/from_timestamp": 0.0,
                f"videos/{key}/to_timestamp": episode.n_frames / self.fps,
            }
        row |= {
            f"stats/{name}/{what}": values for name, of in _plain(episode.stats).items() for what, values in of.items()
        }
        return row | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}


def _plain(stats: Mapping[str, Stats]) -> dict[str, dict[str, Any]]:
    return {name: {what: values.tolist() for what, values in of.items()} for name, of in stats.items()}


LAYOUTS: Mapping[str, type[Layout]] = {"v3.0": V30, "v2.1": V21}
"""Version of LeRobot's format → what writes it."""
