"""`Scene`: what a suite says of its compiled model, so that the library knows what to perturb in it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Scene"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Names inside a compiled model, and the space that the task takes place in.

    Attributes:
        cameras: that the camera dimension moves; each stands on a body that does not move.
        pivot_m: point of the world that they look at and are turned round.
        textures: of floor, table, walls and sky.
        materials: without a texture, of the same.
        robot: root body of the arm and all that hangs on it.
        joints: of the arm, without the fingers'.
        bodies: that the layout dimension moves: with a free joint, or fixed to the world.
        workspace_m: lowest and highest corner of the space that the hand reaches.
    """

    cameras: tuple[str, ...] = ()
    pivot_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    textures: tuple[str, ...] = ()
    materials: tuple[str, ...] = ()
    robot: str = ""
    joints: tuple[str, ...] = ()
    bodies: tuple[str, ...] = ()
    workspace_m: tuple[tuple[float, float, float], tuple[float, float, float]] = ((-1.0,) * 3, (1.0,) * 3)
