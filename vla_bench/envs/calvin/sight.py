"""Which links of the arm a camera may see. The others are hidden from PyBullet's software renderer, which is exact.

TinyRenderer transforms every triangle of every mesh, and nine of ten belong to the arm. It skips a model whose opacity
is zero, and a triangle off the screen changes no pixel: hiding a link of which every point is off the screen changes
the time and nothing else.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.calvin.arm import Arm
from vla_bench.envs.calvin.bullet import bullet

__all__ = ["Sight"]

_BOXES: Final = {
    0: ((-0.0550, -0.1294, -0.1920), (0.0550, 0.0550, 0.0550)),
    1: ((-0.0550, -0.1940, -0.0550), (0.0550, 0.0550, 0.1294)),
    2: ((-0.0550, -0.0550, -0.1210), (0.1375, 0.1111, 0.0550)),
    3: ((-0.1375, -0.0550, -0.0550), (0.0550, 0.1240, 0.1111)),
    4: ((-0.0550, -0.0550, -0.2590), (0.0550, 0.1299, 0.0522)),
    5: ((-0.0479, -0.0512, -0.0440), (0.1320, 0.0817, 0.0563)),
    6: ((-0.0440, -0.0440, 0.0520), (0.0813, 0.0812, 0.1068)),
    8: ((-0.0315, -0.1039, -0.0259), (0.0315, 0.1006, 0.0660)),
}
"""Link → lowest and highest coordinates of its mesh in the link's own frame, metres (franka_panda, to 0.1 mm)."""

_MARGIN_M: Final = 0.002
_LINKS: Final = tuple(_BOXES)


def _corners() -> NDArray[np.float64]:
    """The corners of the boxes, float64 `[links, 8, 3]`, in the links' frames."""
    low = np.array([box[0] for box in _BOXES.values()]) - _MARGIN_M
    high = np.array([box[1] for box in _BOXES.values()]) + _MARGIN_M
    picks = np.array([[bit >> axis & 1 for axis in range(3)] for bit in range(8)])
    return np.where(picks[None], high[:, None], low[:, None])


_CORNERS: Final = _corners()


class Sight:
    """Shows and hides the links of one loaded arm."""

    def __init__(self, arm: Arm, client: int) -> None:
        """Nothing is hidden yet.

        Args:
            arm: just loaded.
            client: of PyBullet.
        """
        self._arm = arm
        self._client = client
        self._colours = {shape[1]: shape[7] for shape in bullet.getVisualShapeData(arm.body, physicsClientId=client)}
        self._hidden: set[int] = set()

    def look(self, view: tuple[float, ...], fov: float) -> None:
        """Hide what a camera cannot see, and show what it may.

        Args:
            view: OpenGL's view matrix, 16 numbers by columns.
            fov: opening angle across and down, degrees.
        """
        unseen = self.unseen(view, fov)
        for link in unseen ^ self._hidden:
            opacity = 0.0 if link in unseen else self._colours[link][3]
            colour = (*self._colours[link][:3], opacity)
            bullet.changeVisualShape(self._arm.body, link, rgbaColor=colour, physicsClientId=self._client)
        self._hidden = unseen

    def unseen(self, view: tuple[float, ...], fov: float) -> set[int]:
        """The links of which every point is behind the camera or beyond one side of its picture."""
        states = bullet.getLinkStates(self._arm.body, _LINKS, physicsClientId=self._client)
        frames = np.array([state[4] for state in states])
        turns = np.array([bullet.getMatrixFromQuaternion(state[5]) for state in states]).reshape(-1, 3, 3)
        points = _CORNERS @ turns.transpose(0, 2, 1) + frames[:, None]
        matrix = np.reshape(view, (4, 4)).T
        across, up, back = np.moveaxis(points @ matrix[:3, :3].T + matrix[:3, 3], -1, 0)
        edge = -back * math.tan(math.radians(fov / 2))
        outside = np.stack([back > 0, across > edge, -across > edge, up > edge, -up > edge])
        return {link for link, is_out in zip(_LINKS, outside.all(axis=2).any(axis=0).tolist(), strict=True) if is_out}
