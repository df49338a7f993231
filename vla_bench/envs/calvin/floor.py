"""The floor of the static camera's picture, drawn once: its two triangles fill the screen and cost an eighth of it.

Exact, and here is why. TinyRenderer keeps for each pixel the nearest fragment, as a float32 depth. Drawn without the
floor, a picture has at each pixel the nearest of all other fragments; where that is nearer or farther than the floor by
more than what rounding can do, so it is in the whole picture. Where the two are as good as equal (the feet of the desk)
desk and floor alone decide, which never move against each other: that picture is kept too. Anything else as near to the
floor sends the picture back to be drawn whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.calvin.bullet import bullet
from vla_bench.envs.calvin.world import World

__all__ = ["Drawing", "Floor"]

_AS_GOOD_AS_EQUAL: Final = np.float32(2e-6)
"""In the depth buffer, whose numbers near 1 are 6e-8 apart: more than thirty times what rounding can do."""

_NOTHING: Final = -1


class Drawing(NamedTuple):
    """What the renderer gives: rgb uint8 `[H, W, 3]`, depth buffer float32 `[H, W]`, body int32 `[H, W]`."""

    rgb: NDArray[np.uint8]
    buffer: NDArray[np.float32]
    body: NDArray[np.int32]


class Floor:
    """Puts the floor under pictures that are drawn without it."""

    def __init__(self, world: World, draw: Callable[[], Drawing]) -> None:
        """Nothing is drawn yet.

        Args:
            world: started at least once; desk and floor are where they are after every start.
            draw: draws what is shown now, always from the same place.
        """
        self._world = world
        self._draw = draw
        shape = bullet.getVisualShapeData(world.plane, physicsClientId=world.client)[0]
        self._colour: tuple[float, ...] = shape[7]
        self._kept: tuple[Drawing, Drawing] | None = None

    def _keep(self) -> tuple[Drawing, Drawing]:
        """The floor alone, and with the frame of the desk. What is hidden now is hidden afterwards."""
        world, client = self._world, self._world.client
        shapes = {
            (shape[0], shape[1]): shape[7]
            for body in range(bullet.getNumBodies(physicsClientId=client))
            for shape in bullet.getVisualShapeData(body, physicsClientId=client)
        }
        floor, desk = (world.plane, -1), (world.table.body, -1)
        hidden = [shape for shape, colour in shapes.items() if shape != floor and colour[3] > 0]
        for shape in hidden:
            self._show(shape, shapes[shape], False)
        alone = self._draw()
        self._show(desk, shapes[desk], True)
        with_desk = self._draw()
        for shape in hidden:
            self._show(shape, shapes[shape], True)
        return alone, with_desk

    def _show(self, shape: tuple[int, int], colour: tuple[float, ...], is_shown: bool) -> None:
        rgba = (*colour[:3], colour[3] if is_shown else 0.0)
        bullet.changeVisualShape(*shape, rgbaColor=rgba, physicsClientId=self._world.client)

    def draw(self) -> Drawing:
        """The present state, as drawn whole."""
        self._kept = self._kept or self._keep()
        floor, feet = self._kept
        plane = (self._world.plane, -1)
        self._show(plane, self._colour, False)
        above = self._draw()
        self._show(plane, self._colour, True)
        is_equal = np.abs(above.buffer - floor.buffer) <= _AS_GOOD_AS_EQUAL
        is_equal &= above.body != _NOTHING
        if (above.body[is_equal] != self._world.table.body).any():
            return self._draw()
        is_floor = (above.body == _NOTHING) | (above.buffer > floor.buffer)
        rgb = np.where(is_floor[:, :, None], floor.rgb, above.rgb)
        buffer = np.where(is_floor, floor.buffer, above.buffer)
        body = np.where(is_floor, floor.body, above.body)
        rgb[is_equal], buffer[is_equal], body[is_equal] = feet.rgb[is_equal], feet.buffer[is_equal], feet.body[is_equal]
        return Drawing(rgb, buffer, body)
