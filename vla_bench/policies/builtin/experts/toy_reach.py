"""The scripted expert of `toy_reach`: straight to the goal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.builtin.expert import Controller

__all__ = ["controller"]

_UNIT_M: Final = 0.02
"""What one unit of the suite's action moves the hand, metres; its largest step, too."""


def controller(task_id: str) -> Controller:
    """The controller of a task: the same for all of them, since the present goal is in the privileged state."""
    return _towards_goal


def _towards_goal(privileged: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float32]:
    """The step from `hand` to `goal` (float64 `[3]`, metres), at most one unit per entry: float32 `[4]`, gripper 0."""
    step = (privileged["goal"] - privileged["hand"]) / _UNIT_M
    return np.append(np.clip(step, -1.0, 1.0), 0.0).astype(np.float32)
