"""The two cameras of CALVIN: a static one that looks at the desk, and one at the gripper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.calvin.bullet import bullet
from vla_bench.envs.calvin.floor import Drawing, Floor
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
    """The cameras of one world, with whatever renderer its client has."""

    def __init__(self, world: World, *, shortcuts: bool) -> None:
        """Nothing is drawn yet.

        Args:
            world: to look at; call `begin` after each of its starts.
            shortcuts: whether what a picture does not need is left out: see `Sight` and `Floor`. For TinyRenderer only,
                where they are exact.
        """
        self._world = world
        self._has_shortcuts = shortcuts
        self._sight: Sight | None = None
        self._floor: Floor | None = None

    def begin(self) -> None:
        """Look at a world that has just been loaded: everything in it is shown again."""
        self._sight = Sight(self._world.arm, self._world.client) if self._has_shortcuts else None

    def take(self, camera: str) -> Picture:
        """Draw the present state as `static` or `gripper` sees it. Changes nothing that decides the future."""
        lens = LENSES[camera]
        view = _STATIC_VIEW if camera == "static" else _gripper_view(self._world)
        if self._sight is not None:
            self._sight.look(view, lens.fov)
            drawing = self._over_floor() if camera == "static" else self._draw(lens, view)
        else:
            drawing = self._draw(lens, view)
        near, far = lens.near_m, lens.far_m
        return Picture(drawing.rgb, far * near / (far - (far - near) * drawing.buffer))

    def _over_floor(self) -> Drawing:
        if self._floor is None:
            self._floor = Floor(self._world, lambda: self._draw(LENSES["static"], _STATIC_VIEW))
        return self._floor.draw()

    def _draw(self, lens: Lens, view: Matrix) -> Drawing:
        _, _, rgba, buffer, body = bullet.getCameraImage(
            width=lens.size, height=lens.size, viewMatrix=view, projectionMatrix=lens.projection,
            physicsClientId=self._world.client,
        )  # fmt: skip
        shape = (lens.size, lens.size)
        rgb = np.ascontiguousarray(np.reshape(rgba, (*shape, 4))[:, :, :3], np.uint8)
        return Drawing(rgb, np.reshape(buffer, shape).astype(np.float32), np.reshape(body, shape))


def _gripper_view(world: World) -> Matrix:
    """From the camera's link along its y axis, with its z axis down."""
    position, quaternion = world.arm.camera()
    turn = np.reshape(bullet.getMatrixFromQuaternion(quaternion), (3, 3))
    view: Matrix = bullet.computeViewMatrix(position, position + turn[:, 1], -turn[:, 2])
    return view
