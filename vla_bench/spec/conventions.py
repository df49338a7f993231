"""Conventions are values, not comments: what the numbers of an action, a state and a picture mean.

A policy declares what it returns and expects, a suite what it takes and gives; `vla_bench.spec.bind.bind` joins them.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

__all__ = [
    "ActionConvention", "ColourOrder", "Frame", "Gripper", "ImageConvention", "Orientation", "Reference", "Rotation",
    "rotation_size",
]  # fmt: skip


class Rotation(enum.StrEnum):
    """How an orientation is written: active rotations, unit quaternions, extrinsic `euler_xyz` in radians."""

    NONE = "none"
    AXIS_ANGLE = "axis_angle"
    QUAT_WXYZ = "quat_wxyz"
    QUAT_XYZW = "quat_xyzw"
    EULER_XYZ = "euler_xyz"
    ROT6D = "rot6d"
    """The first two columns of the rotation matrix, one after the other (Zhou et al. 2019, arXiv 1812.07035)."""


class Frame(enum.StrEnum):
    """The frame in which position and rotation are written."""

    WORLD = "world"
    BASE = "base"
    END_EFFECTOR = "end_effector"


class Reference(enum.StrEnum):
    """Whether a pose is a target in the frame or a change of the present one."""

    ABSOLUTE = "absolute"
    DELTA = "delta"


class Gripper(enum.StrEnum):
    """The meaning of the gripper number."""

    NONE = "none"
    PLUS_OPENS = "+1 opens"
    PLUS_CLOSES = "+1 closes"
    ZERO_ONE_OPEN = "0..1 open"


class Orientation(enum.StrEnum):
    """How a picture lies in memory. Policies always get `upright`."""

    UPRIGHT = "upright"
    ROTATED_180 = "rotated_180"
    FLIPPED_VERTICALLY = "flipped_vertically"


class ColourOrder(enum.StrEnum):
    """The order of the three channels. Policies always get `rgb`."""

    RGB = "rgb"
    BGR = "bgr"


_ROTATION_SIZES = {
    Rotation.NONE: 0,
    Rotation.AXIS_ANGLE: 3,
    Rotation.QUAT_WXYZ: 4,
    Rotation.QUAT_XYZW: 4,
    Rotation.EULER_XYZ: 3,
    Rotation.ROT6D: 6,
}


def rotation_size(rotation: Rotation) -> int:
    """How many numbers a rotation of this kind has."""
    return _ROTATION_SIZES[rotation]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionConvention:
    """What an action vector float32 `[A]` means: position (3), rotation, gripper (0 or 1), in this order.

    Attributes:
        rotation: how orientation is written; `none` where it is not controlled.
        frame: frame of position and rotation.
        reference: absolute targets or deltas.
        position_unit_m: metres that one unit of position stands for (1.0: metres; 0.01: one unit is a centimetre).
        rotation_unit_rad: radians that one unit of a delta rotation stands for; 1.0 for true angles.
        gripper: meaning of the last number.
        low, high: bounds of every entry, as the suite takes them or the policy gives them.
        name: a free label for conventions that the fields above cannot say (joint targets, whole-body control);
            two named conventions bind only where the names are equal.
        size: number of entries `A` for a named convention; 0 elsewhere, where it follows from the fields.
    """

    rotation: Rotation = Rotation.NONE
    frame: Frame = Frame.WORLD
    reference: Reference = Reference.DELTA
    position_unit_m: float = 1.0
    rotation_unit_rad: float = 1.0
    gripper: Gripper = Gripper.NONE
    low: float = -1.0
    high: float = 1.0
    name: str = ""
    size: int = 0

    def __post_init__(self) -> None:
        for field, kind in (("rotation", Rotation), ("frame", Frame), ("reference", Reference), ("gripper", Gripper)):
            object.__setattr__(self, field, kind(getattr(self, field)))
        for field in ("position_unit_m", "rotation_unit_rad", "low", "high"):
            # 1 and 1.0 are one number, and are to have one digest.
            object.__setattr__(self, field, float(getattr(self, field)))
            if not math.isfinite(getattr(self, field)):
                raise ValueError(f"{field} is a finite number, not {getattr(self, field)}")
        if self.position_unit_m <= 0 or self.rotation_unit_rad <= 0:
            raise ValueError("units are positive lengths and angles")
        if not self.low < self.high:
            raise ValueError(f"bounds are in order: low {self.low} is not below high {self.high}")
        if self.size < 0 or bool(self.name) != bool(self.size):
            raise ValueError("a named convention gives its size, and only a named one does")

    @property
    def n_entries(self) -> int:
        """The length `A` of an action vector."""
        if self.name:
            return self.size
        return 3 + rotation_size(self.rotation) + (self.gripper is not Gripper.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConvention:
    """How a picture uint8 `[H, W, 3]` lies in memory."""

    orientation: Orientation = Orientation.UPRIGHT
    colour_order: ColourOrder = ColourOrder.RGB

    def __post_init__(self) -> None:
        object.__setattr__(self, "orientation", Orientation(self.orientation))
        object.__setattr__(self, "colour_order", ColourOrder(self.colour_order))
