"""`make_films`: films of recorded episodes, their pictures made afterwards by replay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from vla_bench.envs.base import EnvOptions
from vla_bench.harness.film.encode import write_film
from vla_bench.harness.film.panel import Panel
from vla_bench.harness.film.sheet import frames_of
from vla_bench.harness.film.strip import Choose, Collector, Strip, every_step
from vla_bench.harness.replay.judge import ReplayResult
from vla_bench.harness.replay.recording import Recording
from vla_bench.harness.replay.verify import check_is_replayable
from vla_bench.harness.replay.worker import ReplaySetup, replay_all
from vla_bench.results.exports.encoder import check_encoder
from vla_bench.results.traces import TraceFolder
from vla_bench.spec.errors import UsageError
from vla_bench.spec.suite import Suite

__all__ = ["Film", "FilmStyle", "Reel", "film_strips", "make_films"]

MOST_FRAMES = 300
"""Of a film, unless the user says how many steps lie between frames: twelve seconds."""
LONGEST_TASK = 100
"""Characters of a task's name in the name of a file."""


@dataclass(frozen=True, kw_only=True)
class FilmStyle:
    """How films look.

    Attributes:
        height: of each picture, pixels.
        cameras: names, side by side; empty for the suite's first one.
        every: control steps from one frame to the next, 0 for what keeps a film below `MOST_FRAMES`.
        fps: frames a second.
        renderer: render back end, empty for the first one that works.
    """

    height: int = 480
    cameras: tuple[str, ...] = ()
    every: int = 0
    fps: int = 25
    renderer: str = ""

    def __post_init__(self) -> None:
        if not 16 <= self.height <= 2160:
            raise UsageError(f"pictures are 16 to 2160 pixels high, not {self.height}")
        if self.every < 0 or not 1 <= self.fps <= 120:
            raise UsageError("a film has 1 to 120 frames a second, and at least one step between frames")


@dataclass(frozen=True, kw_only=True)
class Reel:
    """The judged episodes of one run, to make films of.

    Attributes:
        name: of the run.
        traces: where its traces are.
        control_mode: the controller that it ran with.
        recordings: its judged episodes, in plan order.
    """

    name: str
    traces: TraceFolder
    control_mode: str
    recordings: tuple[Recording, ...]


@dataclass(frozen=True, kw_only=True)
class Film:
    """A film that was made.

    Attributes:
        path: of the file; None where no replay of it could be made.
        results: of its replays.
        n_frames, seconds: length.
    """

    path: Path | None
    results: tuple[ReplayResult, ...]
    n_frames: int = 0
    seconds: float = 0.0


def make_films(
    suite: Suite,
    reels: Sequence[Reel],
    episodes: Sequence[str],
    folder: Path,
    *,
    style: FilmStyle = FilmStyle(),
    is_grid: bool = False,
    workers: int | None = None,
    told: Callable[[ReplayResult], None] = lambda result: None,
) -> Iterator[Film]:
    """Replay episodes with pictures and write films, each as soon as its replays have ended.

    Args:
        suite: of all runs.
        reels: one run, or two whose episodes are shown side by side.
        episodes: ids, which every reel has.
        folder: where films go; their names say run, task, trial and outcome.
        style: sizes, cameras, speed.
        is_grid: one film of all episodes instead of one each; of one run only.
        workers: simulators at a time, None for as many as the machine has cores.
        told: hears each replay's result.

    Raises:
        UsageError: the suite is not deterministic, or has no such camera; a package is missing.
        NoRenderer: no render back end works.
        StoreError: a film cannot be written.
    """
    check_is_replayable(suite)
    check_encoder()
    chosen = [[r for r in reel.recordings if r.episode.id in set(episodes)] for reel in reels]
    longest = max((r.attempt.n_steps for recordings in chosen for r in recordings), default=0)
    every = style.every or max(1, -(-longest // MOST_FRAMES))
    n_strips = len(episodes) if is_grid else len(reels)
    waiting: dict[str, list[tuple[Reel, Strip | None, ReplayResult]]] = {}
    for reel, recordings in zip(reels, chosen, strict=True):
        for strip, result in film_strips(
            suite, reel, recordings, style=style, choose=every_step(every), workers=workers
        ):
            told(result)
            parts = waiting.setdefault("" if is_grid else result.episode.id, [])
            parts.append((reel, strip, result))
            if len(parts) == n_strips:
                del waiting["" if is_grid else result.episode.id]
                yield _finish(parts, folder, every=every, fps=style.fps, is_grid=is_grid)


def film_strips(
    suite: Suite,
    reel: Reel,
    recordings: Sequence[Recording],
    *,
    style: FilmStyle,
    choose: Choose,
    workers: int | None = None,
) -> Iterator[tuple[Strip | None, ReplayResult]]:
    """Replay recordings with pictures; a strip is None where nothing could be replayed.

    Args:
        suite: of the run.
        reel: the run.
        recordings: of it.
        style: size and cameras.
        choose: which steps are pictured; the first and the last one always are.
        workers: see `make_films`.
    """
    sized = _with_size(suite, style)
    names = tuple(camera.name for camera in sized.cameras)
    sizes = {(camera.height, camera.width) for camera in sized.cameras}
    strips: dict[str, Strip] = {}

    def audience(recording: Recording) -> Collector:
        task = suite.task(recording.episode.task)
        strip = Strip(recording=recording, task=task, size=next(iter(sizes)))
        return Collector(strip, names, choose, lambda done: strips.update({recording.episode.id: done}))

    setup = ReplaySetup(
        suite=sized,
        traces=reel.traces,
        options=EnvOptions(cameras=names, renderer=style.renderer, control_mode=reel.control_mode),
        workers=workers,
        audience=audience,
    )
    with closing(replay_all(recordings, setup)) as results:
        for result in results:
            yield strips.pop(result.episode.id, None), result


def _with_size(suite: Suite, style: FilmStyle) -> Suite:
    """The suite with only the cameras that are shown, all of one size."""
    known = {camera.name: camera for camera in suite.cameras}
    names = style.cameras or tuple(known)[:1]
    if not names:
        raise UsageError(f"suite {suite.name!r} renders no pictures")
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"suite {suite.name!r} has no camera {unknown[0]!r}; it has: {', '.join(known)}")
    first = known[names[0]]
    width = round(style.height * first.width / first.height)
    cameras = tuple(replace(known[name], height=style.height, width=width) for name in names)
    return replace(suite, cameras=cameras)


def _finish(
    parts: Sequence[tuple[Reel, Strip | None, ReplayResult]], folder: Path, *, every: int, fps: int, is_grid: bool
) -> Film:
    results = tuple(result for _, _, result in parts)
    shown = [(reel, strip) for reel, strip, _ in parts if strip is not None]
    if not shown or (len(shown) < len(parts) and not is_grid):
        return Film(path=None, results=results)
    if is_grid:
        order = {recording.episode.id: index for index, recording in enumerate(parts[0][0].recordings)}
        shown.sort(key=lambda part: order[part[1].recording.episode.id])
    is_pair = len(shown) > 1 and not is_grid
    panels = [Panel(strip, title=reel.name if is_pair else "", is_small=is_grid) for reel, strip in shown]
    path = folder / _name(parts, is_grid=is_grid)
    frames: Iterator[Image.Image] = frames_of(panels, every=every, fps=fps)
    n_frames, seconds = write_film(path, frames, fps)
    return Film(path=path, results=results, n_frames=n_frames, seconds=seconds)


def _name(parts: Sequence[tuple[Reel, Strip | None, ReplayResult]], *, is_grid: bool) -> str:
    runs = list(dict.fromkeys(reel.name for reel, _, _ in parts))
    words = ["-vs-".join(runs)]
    if is_grid:
        words.append("grid")
    else:
        episode = parts[0][2].episode
        # File systems take 255 bytes; the id keeps names apart that a cut would make equal.
        is_long = len(episode.task) > LONGEST_TASK
        words += [f"{episode.task[:LONGEST_TASK]}-{episode.id[:8]}" if is_long else episode.task]
        words += [str(episode.trial), *([str(episode.repeat)] if episode.repeat else [])]
        words += [str(result.recorded) for _, _, result in parts]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(words)) + ".mp4"
