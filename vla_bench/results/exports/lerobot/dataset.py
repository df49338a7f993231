"""`DatasetWriter`: episodes become a dataset in one of LeRobot's layouts, v3.0 or v2.1.

Frame `t` holds what was observed before action `t`, the action, and what came of it (`next.*`). Both layouts are
described by `meta/info.json`; they differ in how frames are spread over files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.exports.lerobot.features import feature_table, features_of
from vla_bench.results.exports.lerobot.layouts import LAYOUTS, Layout, WrittenEpisode
from vla_bench.results.exports.lerobot.stats import PictureStats, Stats, of_values
from vla_bench.results.exports.lerobot.video import VideoFile
from vla_bench.spec.errors import UsageError

__all__ = ["LAYOUTS", "DatasetWriter", "Step"]


@dataclass(slots=True, kw_only=True)
class Step:
    """One frame.

    Attributes:
        instruction: what the policy was told at this moment.
        state: float32 `[S]`, proprioception before the action.
        action: float32 `[A]`.
        images: camera → uint8 `[H, W, 3]` before the action; the same cameras at every step.
        reward, success, done: after the action.
    """

    instruction: str
    state: NDArray[np.float32]
    action: NDArray[np.float32]
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    reward: float = 0.0
    success: bool = False
    done: bool = False


class DatasetWriter:
    """Writes one dataset into an empty folder; `finish` makes it whole."""

    def __init__(
        self,
        folder: Path,
        *,
        fps: int,
        state_names: Sequence[str],
        action_names: Sequence[str],
        cameras: Mapping[str, tuple[int, int]],
        robot: str,
        layout: str = "v3.0",
    ) -> None:
        """Prepare; nothing is written yet.

        Args:
            folder: empty.
            fps: control steps a second.
            state_names: of the entries of `Step.state`.
            action_names: of the entries of `Step.action`.
            cameras: name → height and width of its pictures.
            robot: a label for `robot_type`.
            layout: a key of `LAYOUTS`.

        Raises:
            UsageError: there is no such layout, or the rate is out of range.
        """
        if layout not in LAYOUTS:
            raise UsageError(f"no layout {layout!r} of LeRobot datasets: choose {', '.join(LAYOUTS)}")
        if not 1 <= fps <= 1000:
            raise UsageError(f"control steps a second are between 1 and 1000, not {fps}")
        self._folder, self._fps, self._robot = folder, fps, robot
        self._cameras = dict(cameras)
        self._features = features_of(state_names, action_names, cameras, fps)
        self._layout: Layout = LAYOUTS[layout](folder, fps, self._features)
        self._tasks: dict[str, int] = {}
        self._episodes: list[WrittenEpisode] = []
        self._n_frames = 0

    def add(self, steps: Iterable[Step], facts: Mapping[str, Any]) -> int:
        """Append an episode, picture by picture.

        Args:
            steps: at least one; consumed as they come. Whatever they raise is raised, and the episode is left out.
            facts: of the episode, for `meta/vla_bench.jsonl`: outcome, task, trial, ids.

        Returns:
            Its number of frames.
        """
        index = len(self._episodes)
        pictures = {camera: PictureStats() for camera in self._cameras}
        try:
            rows = self._write_videos(index, steps, pictures)
        except BaseException:
            for camera in self._cameras:
                self._layout.video_path(index, camera).unlink(missing_ok=True)
            raise
        columns = self._columns(index, rows)
        stats: dict[str, Stats] = {name: of_values(values) for name, values in columns.items()}
        stats |= {f"observation.images.{camera}": found.result() for camera, found in pictures.items()}
        tasks = tuple(dict.fromkeys(step.instruction for step in rows))
        episode = WrittenEpisode(
            index=index, tasks=tasks, n_frames=len(rows), first_frame=self._n_frames, stats=stats, facts=dict(facts)
        )
        self._layout.write_frames(episode, feature_table(columns, self._features))
        self._episodes.append(episode)
        self._n_frames += len(rows)
        return len(rows)

    def finish(self) -> None:
        """Write what describes the whole.

        Raises:
            UsageError: there is no episode.
        """
        if not self._episodes:
            raise UsageError("no episode to export")
        meta = self._folder / "meta"
        meta.mkdir(exist_ok=True)
        self._layout.finish(self._episodes, self._tasks, self._robot)
        lines = [
            json.dumps({"episode_index": episode.index, **episode.facts}, ensure_ascii=False)
            for episode in self._episodes
        ]
        (meta / "vla_bench.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")

    def _write_videos(self, index: int, steps: Iterable[Step], pictures: Mapping[str, PictureStats]) -> list[Step]:
        """Write the pictures of an episode; return its steps without them: memory holds numbers only."""
        rows: list[Step] = []
        with ExitStack() as stack:
            videos = {
                camera: stack.enter_context(VideoFile(self._layout.video_path(index, camera), self._fps))
                for camera in self._cameras
            }
            for step in steps:
                for camera, video in videos.items():
                    video.add(step.images[camera])
                    pictures[camera].add(step.images[camera])
                step.images = {}
                rows.append(step)
        return rows

    def _columns(self, index: int, rows: Sequence[Step]) -> dict[str, NDArray[Any]]:
        n = len(rows)
        frames = np.arange(n)
        return {
            "observation.state": np.stack([step.state for step in rows]).astype(np.float32),
            "action": np.stack([step.action for step in rows]).astype(np.float32),
            "next.reward": np.array([step.reward for step in rows], np.float32),
            "next.done": np.array([step.done for step in rows]),
            "next.success": np.array([step.success for step in rows]),
            "timestamp": (frames / self._fps).astype(np.float32),
            "frame_index": frames,
            "episode_index": np.full(n, index),
            "index": frames + self._n_frames,
            "task_index": np.array([self._tasks.setdefault(step.instruction, len(self._tasks)) for step in rows]),
        }
