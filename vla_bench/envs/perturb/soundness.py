"""Physical sanity: what stands in what, and by how much more than in the scene as the task itself builds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import mujoco
import numpy as np
from numpy.typing import NDArray

__all__ = ["TOLERANCE_M", "bodies_below", "geoms_of", "new_overlap", "overlaps", "solid_geoms"]

TOLERANCE_M: Final = 0.002
"""Contacts are soft: resting things sink in by up to a millimetre."""

_PLANE: Final = int(mujoco.mjtGeom.mjGEOM_PLANE)

Overlaps = Mapping[tuple[int, int], float]
"""Pair of geoms → how deep one is in the other, metres."""


def bodies_below(model: Any, roots: Iterable[int]) -> frozenset[int]:
    """Bodies and all that hang on them."""
    found = set(roots)
    # A parent has a lower number than its children.
    for body in range(1, model.nbody):
        if int(model.body_parentid[body]) in found:
            found.add(body)
    return frozenset(found)


def geoms_of(model: Any, bodies: frozenset[int]) -> list[int]:
    """Geoms of some bodies, seen or felt."""
    is_there = (model.geom_contype | model.geom_conaffinity) != 0
    is_seen = model.geom_rgba[:, 3] > 0
    return [geom for geom in np.flatnonzero(is_there | is_seen).tolist() if int(model.geom_bodyid[geom]) in bodies]


def solid_geoms(model: Any, bodies: frozenset[int]) -> list[int]:
    """Those geoms of some bodies that collide."""
    return [geom for geom in geoms_of(model, bodies) if model.geom_contype[geom] | model.geom_conaffinity[geom]]


def overlaps(model: Any, data: Any, ones: Sequence[int], others: Sequence[int]) -> Overlaps:
    """How deep geoms stand in one another, also pairs that the simulator lets pass (both fixed to the world).

    Args:
        model: `mujoco.MjModel`.
        data: `mujoco.MjData` with up to date positions.
        ones: geoms.
        others: geoms; pairs of one body are left out.
    """
    apart = np.linalg.norm(data.geom_xpos[ones, None] - data.geom_xpos[others], axis=2)
    # A plane is endless, which MuJoCo writes as a radius of 0.
    radius = np.where(model.geom_type == _PLANE, np.inf, model.geom_rbound)
    is_near = apart <= radius[ones, None] + radius[others]
    is_near &= model.geom_bodyid[ones, None] != model.geom_bodyid[others]
    near = [(ones[row], others[column]) for row, column in np.argwhere(is_near).tolist()]
    return {pair: depth for pair in near if (depth := _depth(model, data, *pair)) > 0}


def new_overlap(before: Overlaps, after: Overlaps) -> float:
    """The most by which a pair stands deeper in one another than it did, metres; 0 where none does."""
    return max((depth - before.get(pair, 0.0) for pair, depth in after.items()), default=0.0)


def _depth(model: Any, data: Any, one: int, other: int) -> float:
    """Penetration of two geoms, 0 where they are apart."""
    are_planes = [model.geom_type[geom] == _PLANE for geom in (one, other)]
    if any(are_planes):
        return (
            0.0 if all(are_planes) else _depth_in_plane(model, data, *((one, other) if are_planes[0] else (other, one)))
        )
    boxes = _depth_of_boxes(_box(model, data, one), _box(model, data, other))
    if boxes <= 0 or not hasattr(mujoco, "mj_geomDistance"):
        # MuJoCo 2 measures no distances: the boxes round the two stand for them, which refuses rather too much.
        return max(boxes, 0.0)
    return max(-float(mujoco.mj_geomDistance(model, data, one, other, 0.0, None)), 0.0)


def _box(model: Any, data: Any, geom: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centre, axes as columns and half sizes of the box round a geom."""
    axes = data.geom_xmat[geom].reshape(3, 3)
    centre, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
    return data.geom_xpos[geom] + axes @ centre, axes, half


def _depth_of_boxes(one: Any, other: Any) -> float:
    """How far two boxes reach into one another along the axis that parts them best; negative where they are apart."""
    (centre, axes, half), (other_centre, other_axes, other_half) = one, other
    crossed = np.cross(axes.T[:, None], other_axes.T[None]).reshape(-1, 3)
    lengths = np.linalg.norm(crossed, axis=1)
    directions = np.vstack([axes.T, other_axes.T, crossed[lengths > 1e-6] / lengths[lengths > 1e-6, None]])
    reach = np.abs(directions @ axes) @ half + np.abs(directions @ other_axes) @ other_half
    return float((reach - np.abs(directions @ (other_centre - centre))).min())


def _depth_in_plane(model: Any, data: Any, plane: int, geom: int) -> float:
    normal = data.geom_xmat[plane].reshape(3, 3)[:, 2]
    centre, axes, half = _box(model, data, geom)
    return max(float(np.abs(normal @ axes) @ half - normal @ (centre - data.geom_xpos[plane])), 0.0)
