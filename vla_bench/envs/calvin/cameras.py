"""The two cameras of CALVIN: a static one that looks at the desk, and one at the gripper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.calvin.bullet import bullet
from vla_bench.envs.calvin.sight import Sight
from vla_bench.envs.calvin.world import World

__all__ = ["LENSES", "Cameras", "Lens", "Picture"]

Matrix = tuple[float, ...]

_STATIC_VIEW: Final[Matrix] = bullet.computeViewMatrix(
    cameraEyePosition=(2.871459009488717, -2.166602199425597, 2.555159848480571),
    cameraTargetPosition=(-0.026242351159453392, -0.0302329882979393, 0.3920000493526459),
    cameraUpVector=(0.4041403970338857, 0.22629790978217404, 0.8862616969685161),
)


@dataclass(frozen=True, slots=True)
class Lens:
    """How a camera projects; `size` pixels on each side, `fov` degrees, near and far planes in metres."""

    size: int
    fov: float
    near_m: float
    far_m: float

    @property
    def projection(self) -> Matrix:
        """OpenGL's matrix, 16 numbers by columns."""
        matrix: Matrix = bullet.computeProjectionMatrixFOV(
            fov=self.fov, aspect=1, nearVal=self.near_m, farVal=self.far_m
        )
        return matrix


LENSES: Mapping[str, Lens] = {"static": Lens(200, 10, 0.01, 10), "gripper": Lens(84, 75, 0.01, 2)}


class Picture(NamedTuple):
    """What one camera saw: `rgb` uint8 `[H, W, 3]` and `depth` float32 `[H, W]`, metres along its axis."""

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]


class Cameras:
    """The cameras of one loaded world, with whatever renderer its client has."""

    def __init__(self, world: World, *, sight: bool) -> None:
        """Nothing is drawn yet.

        Args:
            world: just started; a world that is started anew wants new cameras.
            sight: whether links that a camera cannot see are hidden from the renderer: see `Sight`. For TinyRenderer
                only, where it is exact.
        """
        self._world = world
        self._sight = Sight(world.arm, world.client) if sight else None

    def take(self, camera: str) -> Picture:
        """Draw the present state as `static` or `gripper` sees it. Changes nothing that decides the future."""
        lens = LENSES[camera]
        view = _STATIC_VIEW if camera == "static" else _gripper_view(self._world)
        if self._sight is not None:
            self._sight.look(view, lens.fov)
        _, _, rgba, buffer, _ = bullet.getCameraImage(
            width=lens.size, height=lens.size, viewMatrix=view, projectionMatrix=lens.projection,
            physicsClientId=self._world.client,
        )  # fmt: skip
        shape = (lens.size, lens.size)
        rgb = np.ascontiguousarray(np.reshape(rgba, (*shape, 4))[:, :, :3], np.uint8)
        depth = np.reshape(buffer, shape).astype(np.float32)
        return Picture(rgb, lens.far_m * lens.near_m / (lens.far_m - (lens.far_m - lens.near_m) * depth))


def _gripper_view(world: World) -> Matrix:
    """From the camera's link along its y axis, with its z axis down."""
    position, quaternion = world.arm.camera()
    turn = np.reshape(bullet.getMatrixFromQuaternion(quaternion), (3, 3))
    view: Matrix = bullet.computeViewMatrix(position, position + turn[:, 1], -turn[:, 2])
    return view
