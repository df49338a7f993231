"""Draws samples of a scene. All painters of a process share one OpenGL context, which holds each one's textures."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.libero.drawing import Drawing
from vla_bench.envs.libero.opengl import present_library
from vla_bench.envs.libero.sampling import Sample
from vla_bench.envs.runtime.gl import shared_context

__all__ = ["Painter"]

_SOFTWARE = ("llvmpipe", "softpipe", "swrast")
_MAX_GEOMS = 1000  # robosuite's own: the scenes are then built alike


class Painter:
    """Draws one model as robosuite does: no collision geometry, the model's own quality."""

    def __init__(self, model: Any, *, height: int, width: int, culling: bool = True) -> None:
        """Upload the model's meshes and textures.

        Args:
            model: `mujoco.MjModel`.
            height: of the pictures, pixels.
            width: of the pictures, pixels.
            culling: leave out what cannot be seen, where the renderer is a software one: to others it makes no odds.

        Raises:
            NoRenderer: the render back end does not start.
        """
        self._model = model
        self._shown = mujoco.MjData(model)
        self._viewport = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=_MAX_GEOMS)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._options = mujoco.MjvOption()
        self._options.geomgroup[0] = 0
        self._options.geomgroup[1] = 1
        shared_context.acquire(model.vis.global_.offwidth, model.vis.global_.offheight)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150)
        functions = present_library() if culling else None
        is_software = functions is not None and any(name in functions.renderer for name in _SOFTWARE)
        self._drawing = Drawing(model, self._context, functions) if functions and is_software else None

    def picture(self, sample: Sample, camera: str) -> NDArray[np.uint8]:
        """Draw a sample: uint8 `[H, W, 3]` RGB as robosuite returns it, lowest row first."""
        shared_context.make_current()
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._camera.fixedcamid = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
        category = mujoco.mjtCatBit.mjCAT_ALL
        with sample.shown_in(self._model, self._shown):
            mujoco.mjv_updateScene(self._model, self._shown, self._options, None, self._camera, category, self._scene)
        if self._drawing is None or not self._drawing.draw(self._viewport, self._scene, self._shown):
            mujoco.mjr_render(self._viewport, self._scene, self._context)
        image = np.empty((self._viewport.height, self._viewport.width, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, self._viewport, self._context)
        return image

    def close(self) -> None:
        """Free the uploaded model; safe to call twice."""
        if self._context is not None:
            shared_context.make_current()
            self._context.free()
            self._context = None
            shared_context.release()
