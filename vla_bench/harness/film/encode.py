"""H.264 in MP4 through PyAV, whole or not at all. Needs no GPU."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vla_bench.results.exports.encoder import CODEC
from vla_bench.results.faults import file_errors

__all__ = ["write_film"]

QUALITY = "21"
"""The encoder's constant rate factor: 18 is visually lossless, 23 its default."""


def write_film(path: Path, frames: Iterable[Image.Image], fps: int) -> tuple[int, float]:
    """Encode frames of one size; the file appears under its name when it is whole.

    Args:
        path: of the `.mp4`; an earlier file of that name is replaced.
        frames: RGB, at least one; an odd side loses its last row or column, H.264 halves the colours.
        fps: frames a second.

    Returns:
        Number of frames, and seconds.

    Raises:
        StoreFull, StoreReadOnly, StoreError: it cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.mp4")
    with file_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            n_frames = _encode(temporary, frames, fps)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return n_frames, n_frames / fps


def _encode(path: Path, frames: Iterable[Image.Image], fps: int) -> int:
    import av

    n_frames = 0
    stream: Any = None
    # The index first: a browser plays it while it loads.
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        for image in frames:
            pixels = np.asarray(image.convert("RGB"))
            height, width = (side - side % 2 for side in pixels.shape[:2])
            if stream is None:
                stream = container.add_stream(CODEC, rate=fps, options={"crf": QUALITY, "preset": "veryfast"})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))
            n_frames += 1
        if stream is not None:
            container.mux(stream.encode(None))
    return n_frames
