"""One episode of one camera as MP4, with a key frame at every second picture so that any of them is found quickly."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.exports.encoder import CODEC

__all__ = ["VideoFile", "pixel_format"]

_OPTIONS = {"crf": "18", "preset": "veryfast", "g": "2", "bf": "0"}
"""Visually lossless; without frames that refer to later ones, whose times some readers get wrong."""


def pixel_format(height: int, width: int) -> str:
    """`yuv420p`, which every player knows; `yuv444p` where a side is odd, since that one halves the colours."""
    return "yuv420p" if height % 2 == 0 and width % 2 == 0 else "yuv444p"


class VideoFile:
    """An open video; a context manager."""

    def __init__(self, path: Path, fps: int) -> None:
        """Name the file; it is made with the first picture."""
        self._path, self._fps = path, fps
        self._container: Any = None
        self._stream: Any = None
        self.n_frames = 0

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Append a picture: uint8 `[H, W, 3]`, upright RGB, all of one size."""
        import av

        height, width = picture.shape[:2]
        if self._stream is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self._path), "w")
            self._stream = self._container.add_stream(CODEC, rate=self._fps, options=_OPTIONS)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = pixel_format(height, width)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = self.n_frames, Fraction(1, self._fps)
        self._container.mux(self._stream.encode(frame))
        self.n_frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._container is not None:
            try:
                if kind is None:
                    self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()
