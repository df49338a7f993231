"""One geom at a time: what a picture needs to know of it, and the OpenGL calls by which `mjr_render` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.libero.opengl import GL, OpenGL

__all__ = ["Brush", "Floats", "Part", "four", "pointer"]

Floats = NDArray[np.float32]

_TYPE: Final = mujoco.mjtGeom
_SPHERE_TOP, _SPHERE_BOTTOM, _CYLINDER_OPEN = 1, 2, 4
_SHAPES: Final = {_TYPE.mjGEOM_SPHERE: 0, _TYPE.mjGEOM_ELLIPSOID: 0, _TYPE.mjGEOM_CYLINDER: 3, _TYPE.mjGEOM_BOX: 6}
"""Geom type → which of MuJoCo's built-in display lists draws it, scaled."""
_DRAWN: Final = {*map(int, _SHAPES), int(_TYPE.mjGEOM_CAPSULE), int(_TYPE.mjGEOM_MESH), int(_TYPE.mjGEOM_PLANE)}
_OPAQUE: Final = 0.995
_ONE: Final = np.float32(1)
_EDGE_ON_M: Final = 1e-6


@dataclass(slots=True)
class Part:
    """One geom of a scene, as far as drawing goes."""

    geom: Any
    type: int
    pos: Floats
    mat: Floats
    size: Floats
    rgba: Floats
    list: int
    texture: int
    is_cube: bool
    has_coordinates: bool
    is_opaque: bool
    is_in_view: bool
    is_in_mirror: bool = False

    @property
    def body_index(self) -> int | None:
        """Index of the model's geom; None for sites and decoration."""
        return int(self.geom.objid) if self.geom.objtype == mujoco.mjtObj.mjOBJ_GEOM else None

    @property
    def can_mirror(self) -> bool:
        """Whether `mjr_render` would take it for a mirror."""
        is_flat = self.type in (_TYPE.mjGEOM_PLANE, _TYPE.mjGEOM_BOX)
        return is_flat and self.is_opaque and self.geom.reflectance > 0

    def camera_distance(self, head: Floats) -> np.float32 | None:
        """What transparent geoms are sorted by, in single precision; None where MuJoCo's rule is another."""
        if self.geom.modelrbound <= 0:
            return None
        offset = self.pos - head
        squares = offset[0] * offset[0] + offset[1] * offset[1] + offset[2] * offset[2]
        return np.float32(np.sqrt(squares) - np.float32(self.geom.modelrbound))


class Brush:
    """Reads and draws the geoms of one model's scenes."""

    def __init__(self, context: Any, functions: OpenGL) -> None:
        """Look up what no picture changes.

        Args:
            context: the model's `mujoco.MjrContext`.
            functions: of the library that the present GL context belongs to.
        """
        self._context, self._gl = context, functions
        self._textures = [int(name) for name in context.texture]
        kinds = [int(kind) for kind in context.textureType[: context.ntexture]]
        self._is_2d = [kind == mujoco.mjtTexture.mjTEXTURE_2D for kind in kinds]
        skyboxes = [index for index, kind in enumerate(kinds) if kind == mujoco.mjtTexture.mjTEXTURE_SKYBOX]
        self.skybox = self._textures[skyboxes[0]] if skyboxes else None

    def part(self, geom: Any, eye: NDArray[np.float64], *, is_in_view: bool) -> Part | None:
        """Read a geom; None for what is left to `mjr_render`: labels, other shapes, endless planes, planes' backs."""
        kind, rgba, size = geom.type, geom.rgba, geom.size
        if kind not in _DRAWN or geom.label:
            return None
        if kind == _TYPE.mjGEOM_PLANE and ((not size[0] and not size[1]) or _shows_its_back(geom, eye)):
            return None
        texture = geom.texid
        return Part(
            geom=geom,
            type=kind,
            pos=geom.pos,
            mat=geom.mat.reshape(9),
            size=size,
            rgba=rgba,
            list=self._list_of(geom),
            texture=texture if self._context.ntexture else -1,
            is_cube=texture >= 0 and not self._is_2d[texture],
            has_coordinates=bool(geom.texcoord),
            is_opaque=float(rgba[3]) >= _OPAQUE,
            is_in_view=is_in_view,
        )

    def as_plane(self, part: Part) -> Part:
        """The mirror that a part is: a plane itself, or a box's upper side as one."""
        pos, own = part.pos.copy(), part.list
        if part.type == _TYPE.mjGEOM_BOX:
            own = int(self._context.basePlane)
            for axis in range(3):
                pos[axis] += part.size[2] * part.mat[3 * axis + 2]
        same = {name: getattr(part, name) for name in Part.__slots__}
        return Part(**same | {"pos": pos, "type": int(_TYPE.mjGEOM_PLANE), "list": own})

    def _list_of(self, geom: Any) -> int:
        context, kind = self._context, geom.type
        if kind == _TYPE.mjGEOM_MESH:
            return int(context.baseMesh + geom.dataid) if geom.dataid >= 0 else 0
        if kind == _TYPE.mjGEOM_PLANE:
            return int(context.basePlane + (geom.dataid + 1 if geom.dataid >= 0 else 0))
        return int(context.baseBuiltin + _SHAPES.get(kind, 0))

    def draw(self, part: Part, rgba: Floats | None = None) -> None:
        """Draw a part as `mjr_render` does in its ordinary mode, in its own colour or another."""
        rgba = part.rgba if rgba is None else rgba
        gl, geom, mat = self._gl, part.geom, part.mat
        if part.texture >= 0:
            self._texture_on(part)
        emission = np.float32(geom.emission)
        gl.Materialfv(GL.FRONT_AND_BACK, GL.EMISSION, pointer(four(emission * rgba[:3], 1)))
        gl.Color4fv(pointer(np.ascontiguousarray(rgba)))
        gl.Materialf(GL.FRONT_AND_BACK, GL.SHININESS, np.float32(geom.shininess) * np.float32(128))
        specular = np.float32(geom.specular)
        gl.Materialfv(GL.FRONT_AND_BACK, GL.SPECULAR, pointer(np.array([specular] * 3 + [_ONE], np.float32)))
        gl.PushMatrix()
        gl.Translatef(part.pos[0], part.pos[1], part.pos[2])
        matrix = np.zeros((4, 4), np.float32)
        matrix[:3, :3] = mat.reshape(3, 3).T
        matrix[3, 3] = 1
        gl.MultMatrixf(pointer(matrix))
        self._draw_shape(part)
        gl.PopMatrix()
        if part.texture >= 0:
            self._texture_off(part)

    def _draw_shape(self, part: Part) -> None:
        gl, size = self._gl, part.size
        if part.type == _TYPE.mjGEOM_CAPSULE:
            self._draw_capsule(size)
            return
        if part.type == _TYPE.mjGEOM_PLANE:
            if part.list == self._context.basePlane:
                gl.Scalef(size[0], size[1], 1.0)
        elif part.type != _TYPE.mjGEOM_MESH:
            gl.Scalef(size[0], size[1], size[2])
        if part.list:
            gl.CallList(part.list)

    def _draw_capsule(self, size: Floats) -> None:
        gl, builtin = self._gl, self._context.baseBuiltin
        radius = np.float32(0.5 * float(np.float32(size[0] + size[1])))
        gl.Scalef(size[0], size[1], size[2])
        gl.CallList(builtin + _CYLINDER_OPEN)
        gl.Scalef(1.0, 1.0, radius / size[2])
        gl.Translatef(0.0, 0.0, (size[2] - radius) / radius)
        gl.CallList(builtin + _SPHERE_TOP)
        gl.Translatef(0.0, 0.0, np.float32(2) * (radius - size[2]) / radius)
        gl.CallList(builtin + _SPHERE_BOTTOM)

    def _texture_on(self, part: Part) -> None:
        gl, geom, size = self._gl, part.geom, part.size
        gl.ActiveTexture(GL.TEXTURE0)
        target = GL.TEXTURE_CUBE_MAP if part.is_cube and not part.has_coordinates else GL.TEXTURE_2D
        gl.Enable(target)
        if part.has_coordinates:
            gl.BindTexture(target, self._textures[part.texture])
            return
        gl.Enable(GL.TEXTURE_GEN_S)
        gl.Enable(GL.TEXTURE_GEN_T)
        if part.is_cube:
            gl.Enable(GL.TEXTURE_GEN_R)
            gl.BindTexture(target, self._textures[part.texture])
            scale = [size[axis] if geom.texuniform else _ONE for axis in range(3)]
            planes = np.diag(np.array(scale, np.float32))
            for name, row in zip((GL.S, GL.T, GL.R), planes, strict=True):
                gl.TexGenfv(name, GL.OBJECT_PLANE, pointer(four(row, 0)))
            return
        gl.BindTexture(target, self._textures[part.texture])
        across, along = (self._repeats(geom, axis) for axis in range(2))
        gl.TexGenfv(GL.S, GL.OBJECT_PLANE, pointer(np.array([0.5 * float(across), 0, 0, -0.5], np.float32)))
        gl.TexGenfv(GL.T, GL.OBJECT_PLANE, pointer(np.array([0, -0.5 * float(along), 0, -0.5], np.float32)))

    @staticmethod
    def _repeats(geom: Any, axis: int) -> np.float32:
        repeats, size = geom.texrepeat[axis], geom.size[axis]
        if geom.dataid >= 0 and size > 0:
            repeats = np.float32(float(repeats) / max(mujoco.mjMINVAL, float(size)))
        if geom.texuniform and size > 0:
            repeats = repeats * size
        return np.float32(repeats)

    def _texture_off(self, part: Part) -> None:
        gl = self._gl
        gl.ActiveTexture(GL.TEXTURE0)
        gl.Disable(GL.TEXTURE_CUBE_MAP if part.is_cube and not part.has_coordinates else GL.TEXTURE_2D)
        if not part.has_coordinates:
            gl.Disable(GL.TEXTURE_GEN_S)
            gl.Disable(GL.TEXTURE_GEN_T)
            if part.is_cube:
                gl.Disable(GL.TEXTURE_GEN_R)


def _shows_its_back(geom: Any, eye: NDArray[np.float64]) -> bool:
    return float(np.dot(eye - geom.pos, geom.mat.reshape(9)[2::3])) < _EDGE_ON_M


def four(three: Sequence[float] | Floats, last: float) -> Floats:
    """Three numbers and a fourth, as OpenGL takes them."""
    return np.array([three[0], three[1], three[2], last], np.float32)


def pointer(array: NDArray[Any]) -> Any:
    """The array as an argument. Not the bare address: this keeps the array alive until the call returns."""
    return array.ctypes
