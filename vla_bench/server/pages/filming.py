"""The child process that makes one film: reads its order from standard input, replays, writes files, and ends.

Not started by hand: `vla_bench.server.pages.films` does. It prints one line where there is no film.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from PIL import Image

from vla_bench.envs.registry import find_suite
from vla_bench.harness.film import FilmStyle, Reel
from vla_bench.harness.film.encode import write_film
from vla_bench.harness.film.make import film_strips
from vla_bench.harness.film.panel import Panel
from vla_bench.harness.film.sheet import frames_of
from vla_bench.harness.film.strip import Strip, every_step
from vla_bench.harness.replay import ReplayResult
from vla_bench.harness.replay.recording import Recording
from vla_bench.results.store import Store
from vla_bench.spec.errors import UsageError, VlaBenchError

__all__ = ["make_film"]

N_STILLS = 8
STILL_HEIGHT, FILM_HEIGHT = 160, 320
QUALITY = 74
MOST_FRAMES = 200
FPS = 20


def make_film(order: dict[str, Any]) -> None:
    """Replay an episode and write its stills, its film and their index into a folder.

    Args:
        order: `database`, `traces`, `run`, `episode`, `folder`, and whether a `video` is wanted.

    Raises:
        UsageError: the episode has no recording, or its replay does not agree with it.
        VlaBenchError: no renderer, no such run, a damaged trace.
    """
    with Store.open(order["database"], order["traces"], read_only=True) as store:
        reel, recording = _recorded(store, order["run"], order["episode"])
        summary = store.summary(order["run"])
        suite = find_suite(summary.suite, summary.protocol)
        every = max(1, -(-recording.attempt.n_steps // MOST_FRAMES))
        style = FilmStyle(height=FILM_HEIGHT, every=every, fps=FPS)
        strips = film_strips(suite, reel, [recording], style=style, choose=every_step(every), workers=1)
        strip, result = next(iter(strips))
    if strip is None or not result.agreement.is_agreement:
        raise UsageError(f"The replay does not agree with the recording: {'; '.join(result.reasons)}")
    _write(strip, result, Path(order["folder"]), every=every, has_video=bool(order["video"]))


def _recorded(store: Store, run: str, episode_id: str) -> tuple[Reel, Recording]:
    attempts = store.attempts_of(run, episode_id)
    episodes = {episode.id: episode for episode in store.plan(run).episodes}
    if not attempts or episode_id not in episodes:
        raise UsageError("This episode was never reached: there is nothing to replay.")
    last = attempts[-1]
    recording = Recording(episode=episodes[episode_id], attempt=last.result, trace_digest=last.trace_digest)
    control = str(store.summary(run).settings.get("control_mode") or "")
    return Reel(name=run, traces=store.traces, control_mode=control, recordings=(recording,)), recording


def _write(strip: Strip, result: ReplayResult, folder: Path, *, every: int, has_video: bool) -> None:
    last = strip.frames[-1].step
    steps = dict.fromkeys(strip.at(round(last * part / (N_STILLS - 1))).step for part in range(N_STILLS))
    stills, size = [], (0, 0)
    for index, step in enumerate(steps):
        image = strip.at(step).images()[0]
        size = (round(STILL_HEIGHT * image.width / image.height), STILL_HEIGHT)
        name = f"{index}.jpg"
        (folder / name).write_bytes(_small(image, size))
        stills.append((name, step))
    video, video_size = "", (0, 0)
    if has_video:
        video, panel = "film.mp4", Panel(strip)
        write_film(folder / video, frames_of([panel], every=every, fps=FPS), FPS)
        video_size = (panel.width, panel.height(panel.n_instruction_lines))
    index_file = {
        "agreement": str(result.agreement),
        "stills": stills,
        "width": size[0],
        "height": size[1],
        "video": video,
        "video_width": video_size[0],
        "video_height": video_size[1],
    }
    (folder / "index.json").write_text(json.dumps(index_file), encoding="utf-8")


def _small(image: Image.Image, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(buffer, format="JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def _die_with_parent() -> None:
    """End when the service is gone: it would keep its end of standard input open."""

    def watch(parent: int) -> None:
        import time

        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()


def main() -> int:
    """Make the film that standard input orders."""
    _die_with_parent()
    try:
        make_film(json.load(sys.stdin))
    except VlaBenchError as error:
        sys.stdout.write(" ".join(str(error).split()) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
