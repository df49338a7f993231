"""The 500 perturbed initial joint positions of LIBERO-Plus."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_ROBOTS", "perturbed_joints"]

N_ROBOTS: Final = 500
_HOME: Final = (0.0, -1.61037389e-01, 0.0, -2.44459747e00, 0.0, 2.22675220e00, np.pi / 4)
_PER_DISTANCE: Final = 100
_DISTANCE_RAD: Final = 0.1


def perturbed_joints(number: int) -> NDArray[np.float64]:
    """Joint positions float64 `[7]`, radians, of robot `number`, 1–500.

    Upstream drew a direction for each from one stream (seed 42), went 0.1 rad along it for the first hundred, 0.2 for
    the second, and so on, and froze the numbers with eight decimals.
    """
    return _all_joints()[number - 1]


@cache
def _all_joints() -> NDArray[np.float64]:
    stream = np.random.RandomState(42)
    rows = []
    for index in range(N_ROBOTS):
        direction = stream.randn(len(_HOME))
        direction /= np.linalg.norm(direction)
        joints = np.array(_HOME) + direction * (_DISTANCE_RAD * (1 + index // _PER_DISTANCE))
        rows.append([float(f"{angle:.8f}") for angle in joints])
    return np.array(rows)
