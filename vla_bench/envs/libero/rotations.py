"""Rotations as LIBERO's evaluations write them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["axis_angle_of"]


def axis_angle_of(quat_xyzw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quaternion → axis times angle, as robosuite's `quat2axisangle`: the raw formula, angles in [0, 2π].

    The arm's home is a half turn, so that `w` is near 0 and changes sign in use: choosing the shorter of the two
    rotations would make the vector jump by 2π from one step to the next. The argument is left as it is (upstream's
    formula clips `w` in place, which writes into the observation).

    Args:
        quat_xyzw: unit quaternion float64 `[4]`, x y z w.

    Returns:
        float64 `[3]`, radians.
    """
    w = min(max(float(quat_xyzw[3]), -1.0), 1.0)
    sine = math.sqrt(1.0 - w * w)
    if math.isclose(sine, 0.0):
        return np.zeros(3)
    return quat_xyzw[:3] * 2.0 * math.acos(w) / sine
