"""When and from what LIBERO's observations are taken: not at the end of a step, but inside it.

robosuite samples at 20 Hz on a clock that every forced update pushes on by one physics step. A reset and an initial
state force two, so that what a step returns, pictures and proprioception alike, shows the state after physics step 24
of 25. `SamplingClock` is that clock, `Sample` holds what the pictures and the proprioception of one moment are made of,
so that a picture can be drawn later, and only if somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sample", "SamplingClock"]

# What mjv_updateScene reads of the data (default visual options), and what the proprioception needs besides.
_DATA_FIELDS = (
    "geom_xpos", "geom_xmat", "site_xpos", "site_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir",
    "xpos", "xquat", "xmat", "xipos", "ximat", "subtree_com", "qpos", "qvel",
)  # fmt: skip
# The one thing in the model that changes during an episode: the glow of a burner that is turned on.
_MODEL_FIELDS = ("site_rgba",)


class SamplingClock:
    """robosuite's clock of an observable, in the same floating-point operations."""

    def __init__(self, *, sampling_period_s: float, physics_period_s: float) -> None:
        """Start as after construction.

        Args:
            sampling_period_s: 1 / control frequency.
            physics_period_s: of one physics step.
        """
        self._sampling_period_s = sampling_period_s
        self._physics_period_s = physics_period_s
        self._elapsed_s = 0.0
        self._has_sampled = False

    @property
    def state(self) -> tuple[float, bool]:
        """All that decides when the next observation is taken."""
        return self._elapsed_s, self._has_sampled

    def begin(self, n_forced: int) -> None:
        """A reset of the env, followed by forced updates."""
        self._elapsed_s = 0.0
        for _ in range(n_forced):
            self.tick(force=True)

    def tick(self, *, force: bool = False) -> bool:
        """One physics step (or a forced update) has passed; returns whether the observation is taken now."""
        self._elapsed_s += self._physics_period_s
        is_taken = force or (not self._has_sampled and self._sampling_period_s >= self._elapsed_s)
        if is_taken:
            self._has_sampled = True
        if self._elapsed_s >= self._sampling_period_s:
            is_taken = is_taken or not self._has_sampled
            self._elapsed_s %= self._sampling_period_s
            self._has_sampled = False
        return is_taken


class Sample:
    """A moment of the simulation: enough to draw it and to read the proprioception, about 60 KB."""

    def __init__(self, model: Any, data: Any) -> None:
        """Allocate; `take` fills it.

        Args:
            model: `mujoco.MjModel`.
            data: `mujoco.MjData` that is sampled.
        """
        sources = [(data, name) for name in _DATA_FIELDS] + [(model, name) for name in _MODEL_FIELDS]
        self._live = [getattr(owner, name) for owner, name in sources]
        self._kept = [np.copy(array) for array in self._live]
        self._by_name: dict[str, NDArray[np.float64]] = dict(
            zip((name for _, name in sources), self._kept, strict=True)
        )

    def take(self) -> None:
        """Keep the present moment in place of the last one."""
        for kept, live in zip(self._kept, self._live, strict=True):
            np.copyto(kept, live)

    def __getitem__(self, name: str) -> Any:
        return self._by_name[name]

    @contextmanager
    def shown_in(self, model: Any, data: Any) -> Iterator[None]:
        """Let `data`, and for the duration `model` too, be as they were at the moment."""
        for name in _DATA_FIELDS:
            np.copyto(getattr(data, name), self._by_name[name])
        # The model is the living one: it must not stay as it was.
        present = [getattr(model, name).copy() for name in _MODEL_FIELDS]
        for name in _MODEL_FIELDS:
            np.copyto(getattr(model, name), self._by_name[name])
        try:
            yield
        finally:
            for name, array in zip(_MODEL_FIELDS, present, strict=True):
                np.copyto(getattr(model, name), array)
