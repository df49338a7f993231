"""The fields of a compiled model that are perturbed, as they were: copied once, put back bit for bit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import mujoco
import numpy as np
from numpy.typing import NDArray

__all__ = ["Baseline", "texture_pixels"]

_FIELDS: Final = (
    "cam_pos", "cam_quat", "light_pos", "light_dir", "light_diffuse", "light_ambient", "light_specular", "mat_rgba",
    "body_pos", "body_quat",
)  # fmt: skip
_HEADLIGHT: Final = ("ambient", "diffuse", "specular")


class Baseline:
    """Copies of everything that the library writes into a model."""

    def __init__(self, model: Any, textures: Iterable[str]) -> None:
        """Copy; textures are the bulk, a few megabytes.

        Args:
            model: `mujoco.MjModel` as compiled.
            textures: names of those that may be painted over; `sky` for the sky box, which often has none.

        Raises:
            ValueError: the model has no such texture.
        """
        self._model = model
        self._fields = {name: np.copy(getattr(model, name)) for name in _FIELDS}
        self._headlight = {name: np.copy(getattr(model.vis.headlight, name)) for name in _HEADLIGHT}
        self.textures: dict[int, NDArray[np.uint8]] = {}
        for name in textures:
            texture = _texture(model, name)
            self.textures[texture] = texture_pixels(model, texture).copy()

    def restore(self) -> None:
        """Put every field back, textures excepted: whoever painted one says which."""
        for name, values in self._fields.items():
            getattr(self._model, name)[:] = values
        for name, values in self._headlight.items():
            getattr(self._model.vis.headlight, name)[:] = values

    def restore_texture(self, texture: int) -> None:
        """Put back the pixels of a texture; drawing them wants another upload."""
        texture_pixels(self._model, texture)[:] = self.textures[texture]


def _texture(model: Any, name: str) -> int:
    texture = int(mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_TEXTURE, name))
    if texture < 0 and name == "sky":
        skies = np.flatnonzero(model.tex_type == int(mujoco.mjtTexture.mjTEXTURE_SKYBOX))
        texture = int(skies[0]) if skies.size else -1
    if texture < 0:
        raise ValueError(f"the model has no texture {name!r}")
    return texture


def texture_pixels(model: Any, texture: int) -> NDArray[np.uint8]:
    """A texture's own memory: uint8 `[H, W, C]`, a view. The sides of a cube stand below one another."""
    height, width = int(model.tex_height[texture]), int(model.tex_width[texture])
    begin = int(model.tex_adr[texture])
    # MuJoCo 3.2 renamed the array and let textures have other numbers of channels than three.
    data = model.tex_data if hasattr(model, "tex_data") else model.tex_rgb
    channels = int(model.tex_nchannel[texture]) if hasattr(model, "tex_nchannel") else 3
    view: NDArray[np.uint8] = np.reshape(data, -1)[begin : begin + height * width * channels]
    return view.reshape(height, width, channels)
