"""`Strip`: the pictures of one replay, collected while it goes on."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vla_bench.envs.base import EnvState
from vla_bench.harness.replay.judge import ReplayResult
from vla_bench.harness.replay.recording import Recording
from vla_bench.harness.replay.worker import Audience
from vla_bench.spec.suite import Task

__all__ = ["Choose", "Collector", "Frame", "Strip", "every_step"]

QUALITY = 95
"""Of the JPEGs that pictures wait as: a strip of 250 frames of 480 pixels takes 12 MB instead of 170."""

Pictures = Mapping[str, NDArray[np.uint8]]
Choose = Callable[[Recording, int, int], Sequence[int]]
"""Recording, first and last step of a chunk → the steps after the first, up to the last, whose pictures are wanted."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment.

    Attributes:
        step: control steps since the episode's start.
        stage: index of the stage at this step.
        instruction: of that stage.
        pictures: JPEG bytes, one a camera.
    """

    step: int
    stage: int
    instruction: str
    pictures: tuple[bytes, ...]

    def images(self) -> list[Image.Image]:
        """The pictures, decoded."""
        return [Image.open(io.BytesIO(picture)) for picture in self.pictures]


@dataclass(slots=True, kw_only=True)
class Strip:
    """A replay in pictures.

    Attributes:
        recording: what was replayed.
        task: of the episode.
        size: height and width of the pictures, pixels.
        frames: in order.
        result: how the replay ended; None while it goes on.
    """

    recording: Recording
    task: Task
    size: tuple[int, int]
    frames: list[Frame] = field(default_factory=list)
    result: ReplayResult | None = None

    def at(self, step: int) -> Frame:
        """The last frame at or before a step; the last of all after the episode's end."""
        return next((frame for frame in reversed(self.frames) if frame.step <= step), self.frames[0])


def every_step(every: int) -> Choose:
    """Choose every so many steps, counted from the episode's start."""
    return lambda recording, begin, end: range(begin + every - begin % every, end + 1, every)


class Collector(Audience):
    """Looks on at one replay and keeps its pictures."""

    def __init__(
        self,
        strip: Strip,
        cameras: Sequence[str],
        choose: Choose,
        take: Callable[[Strip], None],
    ) -> None:
        """Begin with nothing.

        Args:
            strip: to fill.
            cameras: names, in the order in which they are shown.
            choose: which steps are pictured; the first and the last one always are.
            take: gets the strip once the replay has ended.
        """
        self._strip, self._cameras, self._choose, self._take = strip, cameras, choose, take
        self._last: EnvState | None = None

    def wanted(self, begin: int, end: int) -> Sequence[int]:
        """See `Watcher`; the last state of the recording is always wanted."""
        recording = self._strip.recording
        last = recording.attempt.n_steps
        return sorted({*self._choose(recording, begin, end), *([last] if begin < last <= end else [])})

    def see(self, state: EnvState) -> None:
        """Keep what is new; a picture between two ends of chunks belongs to the stage that was under way."""
        before = self._last or state
        if self._last is None:
            self._keep(state.step, state, state.images)
        for step, images in sorted(state.frames.items()):
            self._keep(step, state if step == state.step and not state.is_over else before, images)
        self._last = state

    def finish(self, result: ReplayResult) -> None:
        """Hand the strip over."""
        self._strip.result = result
        self._take(self._strip)

    def _keep(self, step: int, shown: EnvState, images: Pictures) -> None:
        pictures = tuple(self._packed(images[name]) for name in self._cameras)
        self._strip.frames.append(Frame(step, shown.stage, shown.instruction, pictures))

    def _packed(self, image: NDArray[np.uint8]) -> bytes:
        picture = Image.fromarray(image)
        height, width = self._strip.size
        if picture.size != (width, height):
            # A suite that draws in one size only.
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=QUALITY, subsampling=0)
        return buffer.getvalue()
