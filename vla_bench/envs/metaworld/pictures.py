"""Pictures of a MuJoCo model: one OpenGL context per process, one `Painter` per model.

Upstream gives every env a GL context of its own, and closing one silently turns the pictures of every other black. Here
all painters of a process share one context, which is made current before anything is drawn or freed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.runtime.gl import shared_context

__all__ = ["Painter"]

_MAX_GEOMS = 1000  # gymnasium's own default: the scenes are then built alike


class Painter:
    """Draws one model. Sizes and quality are fixed when it is made."""

    def __init__(self, model: Any, *, height: int, width: int, shadows: bool, multisampling: int) -> None:
        """Upload the model's meshes and textures.

        Args:
            model: `mujoco.MjModel`; its visual settings are changed, its physics is not.
            height: of the pictures, pixels.
            width: of the pictures, pixels.
            shadows: whether lights cast shadows.
            multisampling: samples per pixel, 0 for none.

        Raises:
            NoRenderer: the render back end does not start.
        """
        if not shadows:
            model.light_castshadow[:] = 0
            model.vis.quality.shadowsize = 0  # saves the memory of a shadow map that nothing uses
        model.vis.quality.offsamples = multisampling
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, width)
        model.vis.global_.offheight = max(model.vis.global_.offheight, height)
        self._model = model
        self._viewport = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        self._options = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        shared_context.acquire(width, height)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150)

    def picture(self, data: Any, camera: str) -> NDArray[np.uint8]:
        """Draw the present state: uint8 `[H, W, 3]` RGB, top row first, as the simulator's own `render()` gives it."""
        self._draw(data, camera)
        image = np.empty((self._viewport.height, self._viewport.width, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, self._viewport, self._context)
        return image[::-1]  # OpenGL's first row is the lowest

    def depth(self, data: Any, camera: str) -> NDArray[np.float32]:
        """Measure the present state: float32 `[H, W]`, metres along the camera's axis, top row first."""
        # The reversed depth buffer keeps its precision far away.
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._draw(data, camera)
        buffer = np.empty((self._viewport.height, self._viewport.width), np.float32)
        mujoco.mjr_readPixels(None, buffer, self._viewport, self._context)
        near = self._model.vis.map.znear * self._model.stat.extent
        far = self._model.vis.map.zfar * self._model.stat.extent
        metres = near * far / (near + buffer.astype(np.float64) * (far - near))
        upwards: NDArray[np.float32] = metres.astype(np.float32)
        return upwards[::-1]

    def upload(self, textures: Sequence[int]) -> None:
        """Draw textures from now on as the model has them: their pixels were changed after this painter was made."""
        shared_context.make_current()
        for texture in textures:
            mujoco.mjr_uploadTexture(self._model, self._context, texture)

    def _draw(self, data: Any, camera: str) -> None:
        self._camera.fixedcamid = self._model.camera(camera).id
        category = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._options, None, self._camera, category, self._scene)
        shared_context.make_current()
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        mujoco.mjr_render(self._viewport, self._scene, self._context)

    def close(self) -> None:
        """Free the uploaded model; safe to call twice."""
        if self._context is not None:
            shared_context.make_current()
            self._context.free()
            self._context = None
            shared_context.release()
