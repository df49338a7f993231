"""The forward passes at the start of a reset, which leave nothing behind but the solver's warm start.

A new scene is passed forward when it is built, when its renderer is made and when its controller is made, each time
with all objects still in the origin, on top of one another: thousands of contacts, most of a reset's time. Later passes
compute everything anew from positions, velocities and that warm start, so the warm start is all that has to be right.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

__all__ = ["PassesAtReset"]

_MAX_KNOWN = 64


class PassesAtReset:
    """Stands in for robosuite's `sim.reset` and `sim.forward`."""

    def __init__(self, model: Any, data: Any, *, remember: bool) -> None:
        """Remember nothing yet.

        Args:
            model: `mujoco.MjModel`.
            data: `mujoco.MjData`.
            remember: whether passes are made only the first time.
        """
        self._model, self._data = model, data
        self._remember = remember
        self._known: dict[bytes, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._built: NDArray[np.float64] | None = None
        self._is_beginning = False
        self.known_by = b""
        """What decides these passes: set before a reset."""

    def begin(self) -> None:
        """`sim.reset`: what a new scene and its new renderer have done before the robot is placed."""
        mujoco.mj_resetData(self._model, self._data)
        self._is_beginning = True
        if self._remember and self.known_by in self._known:
            self._data.qacc_warmstart[:] = self._known[self.known_by][0]
            return
        mujoco.mj_forward(self._model, self._data)
        mujoco.mj_forward(self._model, self._data)
        self._built = self._data.qacc_warmstart.copy()

    def forward(self) -> None:
        """`sim.forward`; the first after `begin` is the controller's, which reads the arm's positions and inertia."""
        if not self._is_beginning:
            mujoco.mj_forward(self._model, self._data)
            return
        self._is_beginning = False
        if self._remember and self.known_by in self._known:
            mujoco.mj_fwdPosition(self._model, self._data)
            mujoco.mj_fwdVelocity(self._model, self._data)
            self._data.qacc_warmstart[:] = self._known[self.known_by][1]
            return
        mujoco.mj_forward(self._model, self._data)
        assert self._built is not None
        if len(self._known) >= _MAX_KNOWN:
            self._known.pop(next(iter(self._known)))
        self._known[self.known_by] = (self._built, self._data.qacc_warmstart.copy())
