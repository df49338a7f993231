"""What the scripts see of a step, in their own terms. World frame, metres, radians."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLOURS", "Block", "Sight"]

COLOURS = ("red", "blue", "pink")
_SIDE_M = 0.04
"""Of every block across its length."""

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it lies.

    Attributes:
        colour: its name.
        position: of its centre.
        axes: its own x, y and z axes as columns, unit vectors.
        sides: its length along each of them.
        is_touched: whether the robot touches it.
    """

    colour: str
    position: Vector
    axes: NDArray[np.float64]
    sides: Vector
    is_touched: bool

    @property
    def upright(self) -> int:
        """Which of its axes is nearest to the vertical."""
        return int(np.argmax(np.abs(self.axes[2])))

    @property
    def height(self) -> float:
        """From its underside to its top, as it lies."""
        return float(self.sides[self.upright])

    @property
    def top(self) -> float:
        """Height of its upper face."""
        return float(self.position[2] + self.height / 2)

    def grips(self) -> list[tuple[float, float]]:
        """The two ways to take it from above: direction in which the fingers close, and the width between them.

        Directions are angles about the vertical in `[0, pi)`; the narrower one comes first.
        """
        found = []
        for axis in {0, 1, 2} - {self.upright}:
            x, y, _ = self.axes[:, axis]
            found.append((float(np.arctan2(y, x) % np.pi), float(self.sides[axis])))
        return sorted(found, key=lambda grip: grip[1])


@dataclass(frozen=True, slots=True)
class Sight:
    """One step.

    Attributes:
        tcp, euler: of the tool's centre, as it is.
        target, target_euler: what actions add to.
        width: between the fingers.
        is_open: whether the last action opened the hand.
        blocks: by colour.
        slide, drawer: how far they are moved, 0 for right and closed.
        bulb, led: whether they shine.
        task: number of the subtask.
    """

    tcp: Vector
    euler: Vector
    target: Vector
    target_euler: Vector
    width: float
    is_open: bool
    blocks: Mapping[str, Block]
    slide: float
    drawer: float
    bulb: bool
    led: bool
    task: int

    @classmethod
    def of(cls, privileged: Mapping[str, NDArray[np.float64]]) -> Sight:
        """Read the suite's privileged state."""
        lengths, touched = privileged["block_lengths"], privileged["touched"]
        blocks = {
            colour: Block(
                colour=colour,
                position=np.array(privileged[f"{colour}_block"][:3]),
                axes=_axes(privileged[f"{colour}_block"][3:]),
                sides=np.array([lengths[index], _SIDE_M, _SIDE_M]),
                is_touched=bool(touched[index]),
            )
            for index, colour in enumerate(COLOURS)
        }
        return cls(
            tcp=np.array(privileged["tcp_position"]),
            euler=np.array(privileged["tcp_euler"]),
            target=np.array(privileged["target_position"]),
            target_euler=np.array(privileged["target_euler"]),
            width=float(privileged["gripper_width"][0]),
            is_open=privileged["gripper_action"][0] > 0,
            blocks=blocks,
            slide=float(privileged["slide"][0]),
            drawer=float(privileged["drawer"][0]),
            bulb=bool(privileged["lightbulb"][0]),
            led=bool(privileged["led"][0]),
            task=int(privileged["subtask"][0]),
        )

    def held(self) -> Block | None:
        """The block between the fingers, if any."""
        near = [b for b in self.blocks.values() if b.is_touched and np.linalg.norm(b.position - self.tcp) < 0.05]
        is_gripping = 0.015 < self.width < 0.077
        return min(near, key=lambda b: float(np.linalg.norm(b.position - self.tcp))) if near and is_gripping else None


def _axes(quat_xyzw: Vector) -> NDArray[np.float64]:
    x, y, z, w = quat_xyzw
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
