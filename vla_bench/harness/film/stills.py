"""Stills of episodes for reports: a few small pictures each, made by replay."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence

from PIL import Image

from vla_bench.harness.film.make import FilmStyle, Reel, film_strips
from vla_bench.harness.film.strip import Strip
from vla_bench.harness.replay.judge import ReplayResult
from vla_bench.harness.replay.recording import Recording
from vla_bench.harness.replay.verify import check_is_replayable
from vla_bench.results.report.model import Still
from vla_bench.spec.suite import Suite

__all__ = ["make_stills"]

QUALITY = 72


def make_stills(
    suite: Suite,
    reel: Reel,
    recordings: Sequence[Recording],
    *,
    n_frames: int = 4,
    height: int = 160,
    renderer: str = "",
    workers: int | None = None,
    told: Callable[[ReplayResult], None] = lambda result: None,
) -> Iterator[Still]:
    """Replay recordings and picture each at its first, its last and some steps between.

    What cannot be replayed, or differs, gives no still: a picture of something else would be shown.

    Args:
        suite: of the run.
        reel: the run.
        recordings: of it, in the order in which the stills are to be.
        n_frames: pictures of each, at least 2.
        height: of a picture, pixels.
        renderer: render back end, empty for the first one that works.
        workers: simulators at a time, None for as many as the machine has cores.
        told: hears each replay's result.

    Raises:
        UsageError: the suite is not deterministic, or renders no pictures.
        NoRenderer: no render back end works.
    """
    check_is_replayable(suite)

    def choose(recording: Recording, begin: int, end: int) -> list[int]:
        last = recording.attempt.n_steps
        steps = {round(last * part / (n_frames - 1)) for part in range(1, n_frames)}
        return [step for step in steps if begin < step <= end]

    style = FilmStyle(height=height, renderer=renderer)
    found: dict[str, Still] = {}
    for strip, result in film_strips(suite, reel, recordings, style=style, choose=choose, workers=workers):
        told(result)
        if strip is not None and result.agreement.is_agreement:
            found[result.episode.id] = _still(reel.name, strip, result)
    yield from (found[recording.episode.id] for recording in recordings if recording.episode.id in found)


def _still(run: str, strip: Strip, result: ReplayResult) -> Still:
    episode = result.episode
    return Still(
        run=run,
        task=episode.task,
        trial=episode.trial,
        repeat=episode.repeat,
        instruction=strip.frames[-1].instruction,
        n_steps=result.n_steps,
        agreement=str(result.agreement),
        frames=tuple((frame.step, _small(frame.images()[0])) for frame in strip.frames),
    )


def _small(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
