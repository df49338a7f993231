"""Draws a scene as `mjr_render` does, pixel for pixel, and leaves out what cannot be seen.

A software renderer spends its time on triangles, and LIBERO's scenes have 300,000 of them a picture: `mjr_render` sends
them all, and where a surface reflects (the top of the stove) all of them a second time for the mirror image. Here each
pass gets the geoms that it can show. `mjr_render` itself prepares every picture (it clears, sets lights and the view of
an empty scene); the geoms are then drawn from the display lists that MuJoCo uploaded, with the same calls in the same
order.

What this cannot do (shadows, skins, a plane seen from behind, …) it says before anything is drawn, and `mjr_render`
draws that picture alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.libero.culling import Boxes, View, mirrored
from vla_bench.envs.libero.opengl import GL, OpenGL
from vla_bench.envs.libero.parts import Brush, Floats, Part, four, pointer

__all__ = ["Drawing"]

_SKYBOX_LIST: Final = 3
_SKYBOX: Final = mujoco.mjtRndFlag.mjRND_SKYBOX
_ONE: Final = np.float32(1)
_LARGE_M: Final = 0.25


@dataclass(slots=True)
class _Plan:
    """What one picture is made of, in the order of the scene."""

    opaque: list[Part]
    transparent: list[Part]
    mirror: Part | None = None
    """As a plane; None where nothing of it can be seen."""
    mirroring: Part | None = None
    """The part that has the mirror."""


class Drawing:
    """Draws the scenes of one model into the offscreen buffer of its context."""

    def __init__(self, model: Any, context: Any, functions: OpenGL) -> None:
        """Look up what no picture changes.

        Args:
            model: `mujoco.MjModel`.
            context: its `mujoco.MjrContext`, with the GL context current.
            functions: of the library that the GL context belongs to.
        """
        self._context, self._gl = context, functions
        self._brush = Brush(context, functions)
        self._aabb_centre, self._aabb_half = model.geom_aabb[:, :3].copy(), model.geom_aabb[:, 3:].copy()
        self._has_no_shadows = not model.light_castshadow.any()

    def draw(self, viewport: Any, scene: Any, data: Any) -> bool:
        """Draw the scene; the buffer then holds what `mjr_render` would have left there.

        Args:
            viewport: `mujoco.MjrRect`.
            scene: `mujoco.MjvScene`, just updated.
            data: what it was updated from.

        Returns:
            Whether it was drawn. If not, nothing has happened.
        """
        plan = self._plan(viewport, scene, data) if self._has_no_shadows and scene.nskin == 0 else None
        if plan is None:
            return False
        lights = scene.lights[: scene.nlight]
        self._prepare(viewport, scene)
        if plan.mirror is not None:
            self._draw_mirror_image(plan, plan.mirror, lights)
        self._draw_scene(plan, lights, scene)
        return True

    # What is drawn.

    def _plan(self, viewport: Any, scene: Any, data: Any) -> _Plan | None:
        view, boxes = _view_of(viewport, scene), self._boxes(data)
        seen = boxes.touch(view.planes())
        parts = []
        for geom in scene.geoms[: scene.ngeom]:
            if geom.rgba[3] <= 0:
                continue  # robosuite hides sites so: they are blended in with weight 0, and change nothing
            is_geom = geom.objtype == mujoco.mjtObj.mjOBJ_GEOM
            part = self._brush.part(geom, view.eye, is_in_view=not is_geom or bool(seen[geom.objid]))
            if part is None:
                return None
            parts.append(part)
        transparent = _by_distance([part for part in parts if not part.is_opaque], _head(scene))
        if transparent is None:
            return None
        plan = _Plan([part for part in parts if part.is_opaque], transparent)
        _hide(plan, boxes, view)
        self._find_mirror(plan, boxes, view)
        return plan

    def _boxes(self, data: Any) -> Boxes:
        frames = data.geom_xmat.reshape(-1, 3, 3)
        centre = data.geom_xpos + np.einsum("nij,nj->ni", frames, self._aabb_centre)
        return Boxes(centre, frames.transpose(0, 2, 1) * self._aabb_half[:, :, None])

    def _find_mirror(self, plan: _Plan, boxes: Boxes, view: View) -> None:
        """`mjr_render` lets the first part mirror that can: a plane, or the upper side of a box."""
        plan.mirroring = next((part for part in plan.opaque if part.can_mirror), None)
        if plan.mirroring is None or not plan.mirroring.is_in_view:
            return
        mirror = self._brush.as_plane(plan.mirroring)
        frame, point = mirror.mat.reshape(3, 3).astype(np.float64), mirror.pos.astype(np.float64)
        normal = frame[:, 2]
        if (view.eye - point) @ normal <= 0:
            return
        sides = [mirror.size[0] * frame[:, 0], mirror.size[1] * frame[:, 1]]
        window = view.window_of(np.array([point + i * sides[0] + j * sides[1] for i in (-1, 1) for j in (-1, 1)]))
        if window is None:
            return
        plan.mirror = mirror
        is_above = boxes.touch(np.array([[*normal, -point @ normal]]))
        seen = is_above & mirrored(boxes, point, normal).touch(view.planes(window))
        for part in (*plan.opaque, *plan.transparent):
            part.is_in_mirror = part.body_index is None or bool(seen[part.body_index])

    # How it is drawn: the calls of `mjr_render`, in its order.

    def _prepare(self, viewport: Any, scene: Any) -> None:
        """An empty scene: clears the buffer, sets every state, the view and the lights, which are left switched off."""
        n_geoms, skybox = scene.ngeom, scene.flags[_SKYBOX]
        scene.ngeom, scene.flags[_SKYBOX] = 0, 0
        mujoco.mjr_render(viewport, scene, self._context)
        scene.ngeom, scene.flags[_SKYBOX] = n_geoms, skybox

    def _draw_mirror_image(self, plan: _Plan, mirror: Part, lights: Sequence[Any]) -> None:
        gl, normal, pos = self._gl, mirror.mat[2::3], mirror.pos
        self._stencil(mirror)
        offset = pos[0] * normal[0] + pos[1] * normal[1] + pos[2] * normal[2]
        gl.Enable(GL.CLIP_PLANE0)
        gl.ClipPlane(GL.CLIP_PLANE0, (ctypes.c_double * 4)(*(-float(n) for n in normal), float(offset)))
        gl.FrontFace(GL.CW)
        gl.PushMatrix()
        gl.MultMatrixf(pointer(_reflection(pos, normal)))
        self._switch_on(lights)
        reflectance = np.float32(mirror.geom.reflectance)
        for part in plan.opaque:
            if part.is_in_mirror and part is not plan.mirroring:
                self._brush.draw(part, _dimmed(part.rgba, reflectance))
        self._draw_transparent([part for part in plan.transparent if part.is_in_mirror], reflectance)
        self._switch_off(lights)
        gl.Disable(GL.STENCIL_TEST)
        gl.Disable(GL.CLIP_PLANE0)
        gl.PopMatrix()
        gl.FrontFace(GL.CCW)

    def _stencil(self, mirror: Part) -> None:
        """Let only those pixels be drawn that the mirror covers."""
        gl = self._gl
        gl.Disable(GL.DEPTH_TEST)
        gl.ColorMask(0, 0, 0, 0)
        gl.Enable(GL.STENCIL_TEST)
        gl.Clear(GL.STENCIL_BUFFER_BIT)
        gl.StencilFunc(GL.ALWAYS, 1, 0xFF)
        gl.StencilOp(GL.REPLACE, GL.REPLACE, GL.REPLACE)
        self._brush.draw(mirror)
        gl.Enable(GL.DEPTH_TEST)
        gl.ColorMask(1, 1, 1, 1)
        gl.StencilFunc(GL.EQUAL, 1, 0xFF)
        gl.StencilOp(GL.KEEP, GL.KEEP, GL.KEEP)

    def _draw_scene(self, plan: _Plan, lights: Sequence[Any], scene: Any) -> None:
        gl = self._gl
        self._switch_on(lights)
        if plan.mirroring is not None and plan.mirroring.is_in_view:
            gl.Enable(GL.BLEND)
            gl.BlendFunc(GL.ONE, GL.ONE)
            self._brush.draw(plan.mirroring)
            gl.Disable(GL.BLEND)
        for part in plan.opaque:
            if part.is_in_view and part is not plan.mirroring:
                self._brush.draw(part)
        self._switch_off(lights)
        if self._brush.skybox is not None and scene.flags[_SKYBOX]:
            self._draw_skybox(scene, self._brush.skybox)
        if transparent := [part for part in plan.transparent if part.is_in_view]:
            for index in range(len(lights)):
                gl.Enable(GL.LIGHT0 + index)
            self._draw_transparent(transparent)
            self._switch_off(lights)

    def _draw_transparent(self, parts: Sequence[Part], reflectance: np.float32 = _ONE) -> None:
        """Front to back, then back to front."""
        if not parts:
            return
        gl = self._gl
        gl.DepthMask(0)
        gl.Enable(GL.BLEND)
        gl.BlendFunc(GL.SRC_ALPHA, GL.ONE_MINUS_SRC_ALPHA)
        for part in (*parts, *reversed(parts)):
            self._brush.draw(part, _dimmed(part.rgba, reflectance))
        gl.DepthMask(1)
        gl.Disable(GL.BLEND)

    def _switch_on(self, lights: Sequence[Any]) -> None:
        gl = self._gl
        for index, light in enumerate(lights):
            name = GL.LIGHT0 + index
            if light.directional:
                gl.Lightfv(name, GL.POSITION, pointer(four(-light.dir, 0)))
            else:
                gl.Lightfv(name, GL.SPOT_DIRECTION, pointer(four(light.dir, 0)))
                gl.Lightfv(name, GL.POSITION, pointer(four(light.pos, 1)))
            gl.Enable(name)

    def _switch_off(self, lights: Sequence[Any]) -> None:
        for index in range(len(lights)):
            self._gl.Disable(GL.LIGHT0 + index)

    def _draw_skybox(self, scene: Any, texture: int) -> None:
        gl, head = self._gl, _head(scene)
        camera = mujoco.mjv_averageCamera(scene.camera[0], scene.camera[1])
        distance = np.float32(camera.frustum_far) * np.float32(0.70)
        gl.Disable(GL.LIGHTING)
        gl.Disable(GL.COLOR_MATERIAL)
        gl.CullFace(GL.FRONT)
        gl.PushMatrix()
        gl.Translatef(head[0], head[1], head[2])
        gl.Scalef(distance, distance, distance)
        gl.ActiveTexture(GL.TEXTURE0)
        gl.Enable(GL.TEXTURE_CUBE_MAP)
        for name in (GL.TEXTURE_GEN_S, GL.TEXTURE_GEN_T, GL.TEXTURE_GEN_R):
            gl.Enable(name)
        gl.BindTexture(GL.TEXTURE_CUBE_MAP, texture)
        for name, row in ((GL.S, [1, 0, 0]), (GL.T, [0, 0, 1]), (GL.R, [0, -1, 0])):
            gl.TexGenfv(name, GL.OBJECT_PLANE, pointer(four(row, 0)))
        gl.Color4fv(pointer(np.ones(4, np.float32)))
        gl.CallList(self._context.baseBuiltin + _SKYBOX_LIST)
        for name in (GL.TEXTURE_CUBE_MAP, GL.TEXTURE_GEN_S, GL.TEXTURE_GEN_T, GL.TEXTURE_GEN_R):
            gl.Disable(name)
        gl.PopMatrix()
        gl.Enable(GL.LIGHTING)
        gl.Enable(GL.COLOR_MATERIAL)
        gl.CullFace(GL.BACK)


def _hide(plan: _Plan, boxes: Boxes, view: View) -> None:
    """Take out of view what lies wholly behind one side of a large opaque box: the floor and the legs below a table."""
    for cover in plan.opaque:
        half = cover.size
        if cover.type != mujoco.mjtGeom.mjGEOM_BOX or not cover.is_in_view or np.sort(half)[1] < _LARGE_M:
            continue
        frame, centre = cover.mat.reshape(3, 3).astype(np.float64), cover.pos.astype(np.float64)
        for axis in range(3):
            hidden = boxes.behind(view.eye, centre, [half[(axis + k) % 3] * frame[:, (axis + k) % 3] for k in range(3)])
            for part in (*plan.opaque, *plan.transparent):
                if part is not cover and part.body_index is not None and hidden[part.body_index]:
                    part.is_in_view = False


def _by_distance(parts: list[Part], head: Floats) -> list[Part] | None:
    """Sort transparent parts as `mjr_render` does, the nearest first; None where its order would be in doubt."""
    if len(parts) < 2:
        return parts
    distances = [part.camera_distance(head) for part in parts]
    if any(distance is None for distance in distances) or len(set(distances)) < len(parts):
        return None
    return [parts[index] for index in np.argsort(np.array(distances))]


def _dimmed(rgba: Floats, reflectance: np.float32) -> Floats:
    return np.array([rgba[0] * reflectance, rgba[1] * reflectance, rgba[2] * reflectance, rgba[3]], np.float32)


def _view_of(viewport: Any, scene: Any) -> View:
    camera = mujoco.mjv_averageCamera(scene.camera[0], scene.camera[1])
    forward, up = np.array(camera.forward, np.float64), np.array(camera.up, np.float64)
    near = float(camera.frustum_near)
    slope_y = 0.5 * (camera.frustum_top - camera.frustum_bottom) / near
    return View(
        eye=np.array(camera.pos, np.float64),
        right=np.cross(forward, up),
        up=up,
        forward=forward,
        slope_x=slope_y * viewport.width / viewport.height,
        slope_y=slope_y,
        near=near,
    )


def _head(scene: Any) -> Floats:
    head: NDArray[np.float64] = np.zeros(3)
    mujoco.mjv_cameraInModel(head, np.zeros(3), np.zeros(3), scene)
    return head.astype(np.float32)


def _reflection(pos: Floats, normal: Floats) -> Floats:
    """The matrix that mirrors at a plane, column by column, in single precision and MuJoCo's order of operations."""
    outer = np.outer(normal, normal).astype(np.float32)
    matrix = np.zeros((4, 4), np.float32)
    matrix[:3, :3] = np.float32(-2) * outer
    for axis in range(3):
        matrix[axis, axis] = _ONE - np.float32(2) * outer[axis, axis]
        dot = outer[axis, 0] * pos[0] + outer[axis, 1] * pos[1] + outer[axis, 2] * pos[2]
        matrix[3, axis] = np.float32(2) * dot
    matrix[3, 3] = 1
    return matrix
