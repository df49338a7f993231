"""Earlier frames that a policy asks for: which to render, which to keep, which to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrameHistory"]

Pictures = Mapping[str, NDArray[np.uint8]]


class FrameHistory:
    """Pictures of past steps at fixed offsets. Lives within one stage: a change of stage starts a new one."""

    def __init__(self, offsets: Sequence[int]) -> None:
        """Args: offsets, negative, in steps before the query."""
        self._offsets = tuple(offsets)
        self._reach = -min(offsets, default=0)
        self._frames: dict[int, Pictures] = {}
        self._first = 0

    def begin(self, step: int, images: Pictures) -> None:
        """Start at the first frame of an episode or stage; it stands for all that came before."""
        self._first = step
        self._frames = {step: images} if self._offsets else {}

    def wanted(self, step: int, n_actions: int) -> Sequence[int]:
        """The steps inside the next `n_actions` whose pictures a later query may need.

        Where the chunk is executed whole the next query comes at `step + n_actions`, but the ones after that are not
        known yet (chunks may be shorter): so every frame within reach of a later query is rendered.
        """
        if not self._offsets:
            return ()
        end = step + n_actions
        return range(max(step + 1, end - self._reach), end)

    def add(self, step: int, images: Pictures, frames: Mapping[int, Pictures]) -> None:
        """Keep what a chunk rendered: `frames` on the way and `images` at its end, step `step`."""
        if not self._offsets:
            return
        self._frames.update(frames)
        self._frames[step] = images
        oldest = step - self._reach
        self._frames = {at: kept for at, kept in self._frames.items() if at >= oldest}

    def at(self, step: int) -> dict[int, Pictures]:
        """The history of a query at `step`: offset → pictures."""
        return {offset: self._frames[max(step + offset, self._first)] for offset in self._offsets}
