"""The objects of LIBERO as boxes, rims and moving parts: what the expert knows of a category beyond its pose."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from vla_bench.policies.builtin.experts.libero.rotations import Vector, about
from vla_bench.policies.builtin.experts.libero.scene import Pose, Scene, category

__all__ = ["Box", "Front", "Part", "Rim", "Shape", "box_of", "obstacles", "part_pose", "shape_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Rim:
    """The upright wall of an open vessel, which a finger on either side can hold.

    Attributes:
        centre: of the circle, `[3]` in the body's frame, at the height of the wall's upper edge.
        radius: of the middle of the wall, metres.
        depth: how far below the edge the point between the fingertips goes.
    """

    centre: Vector
    radius: float
    depth: float


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A box at a place: `low` and `high` corners `[3]` in the frame of a pose."""

    pose: Pose
    low: Vector
    high: Vector

    @property
    def centre(self) -> Vector:
        """Its middle, in the world."""
        return self.pose.world((self.low + self.high) / 2)

    @property
    def half(self) -> Vector:
        """Half its sizes along its own axes."""
        return (self.high - self.low) / 2

    @property
    def top(self) -> float:
        """Height of its highest point, metres."""
        return float(self.centre[2] + np.abs(self.pose.rotation[2]) @ self.half)

    @property
    def bottom(self) -> float:
        """Height of its lowest point, metres."""
        return float(self.centre[2] - np.abs(self.pose.rotation[2]) @ self.half)

    def distance(self, point: Vector) -> float:
        """How far a point is from the box, metres; 0 inside."""
        local = self.pose.local(point)
        return float(np.linalg.norm(np.maximum(0.0, np.maximum(self.low - local, local - self.high))))

    def aside(self, point: Vector) -> float:
        """How far a point is from the box when looked at from above, metres."""
        return self.distance(np.array([point[0], point[1], self.centre[2]]))


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part that a joint moves, as a box in a frame of its own.

    Attributes:
        joint: index among the fixture's joints.
        origin: of the part's frame in the fixture's.
        slide: direction in which the joint's value moves it; None where it turns about the fixture's z axis.
        low, high: opposite corners of the box.
        grip: where the part is held or pushed (a handle's middle), in its own frame.
        walls: thickness of the upright walls at the low and the high sides of a part that is open above; None where
            it is solid.
    """

    joint: int
    origin: Vector
    slide: Vector | None
    low: Vector
    high: Vector
    grip: Vector
    walls: tuple[Vector, Vector] | None

    @property
    def boxes(self) -> list[tuple[Vector, Vector]]:
        """What of it is solid, as corners of boxes."""
        if self.walls is None:
            return [(self.low, self.high)]
        inner_low, inner_high = self.low + self.walls[0], self.high - self.walls[1]
        found = []
        for axis in (0, 1):
            until, beyond = self.high.copy(), self.low.copy()
            until[axis], beyond[axis] = inner_low[axis], inner_high[axis]
            found += [(self.low, until), (beyond, self.high)]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """How a container is filled that is open at a side.

    Attributes:
        outwards: the direction in which it is open, in the body's frame.
        middle: where along the other horizontal axis things go, metres.
        back: how far in they may reach, along `-outwards`, from the body's origin.
        floors: height of the floor over the origin, by the region's name.
    """

    outwards: Vector
    middle: float
    back: float
    floors: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A category as a box in the frame of its root body.

    Attributes:
        low, high: opposite corners `[3]`, metres.
        rim: where it is held, if not by its sides.
        hold: corners of the smaller box by which it is held (a handle, a knob), if not the whole.
        handle: where it is held to be put in somewhere from the side, in the body's frame.
        front: how it is filled, if from the side.
        parts: what moves, by name.
        slides: whether it is drawn over the table, being too flat to be lifted by its rim.
    """

    low: Vector
    high: Vector
    rim: Rim | None = None
    hold: tuple[Vector, Vector] | None = None
    handle: Vector | None = None
    front: Front | None = None
    parts: dict[str, Part] = field(default_factory=dict)
    slides: bool = False


_UNKNOWN = Shape(np.array([-0.05, -0.05, -0.02]), np.array([0.05, 0.05, 0.12]))
"""For an object that is in no table (LIBERO-Plus adds some): nothing to grasp, only to keep away from."""


@cache
def _table() -> dict[str, Shape]:
    text = files(__package__).joinpath("shapes.toml").read_text("utf-8")
    return {name: _shape(values) for name, values in tomllib.loads(text).items()}


def _shape(values: dict[str, Any]) -> Shape:
    rim, hold = values.get("rim"), values.get("hold")
    return Shape(
        np.array(values["low"]),
        np.array(values["high"]),
        Rim(np.array(rim["centre"]), rim["radius"], rim["depth"]) if rim else None,
        (np.array(hold["low"]), np.array(hold["high"])) if hold else None,
        np.array(values["handle"]) if "handle" in values else None,
        _front(values["front"]) if "front" in values else None,
        {name: _part(part) for name, part in values.get("parts", {}).items()},
        values.get("slides", False),
    )


def _front(values: dict[str, Any]) -> Front:
    return Front(np.array(values["outwards"]), values["middle"], values["back"], values["floors"])


def _part(values: dict[str, Any]) -> Part:
    vectors = {name: np.array(values[name]) for name in ("origin", "low", "high", "grip")}
    slide, walls = values.get("slide"), values.get("walls")
    return Part(
        joint=values["joint"],
        slide=np.array(slide) if slide else None,
        walls=(np.array(walls["low"]), np.array(walls["high"])) if walls else None,
        **vectors,
    )


def shape_of(name: str) -> Shape:
    """The shape of an object by its name."""
    return _table().get(category(name), _UNKNOWN)


def box_of(scene: Scene, name: str) -> Box:
    """The box around an object where it is now, without its moving parts."""
    shape = shape_of(name)
    return Box(scene.body(name), shape.low, shape.high)


def part_pose(scene: Scene, fixture: str, part: Part) -> Pose:
    """Where a moving part's frame is now."""
    body, value = scene.body(fixture), scene.joint(fixture, part.joint)
    if part.slide is not None:
        return Pose(body.world(part.origin + value * part.slide), body.rotation)
    return Pose(body.world(part.origin), body.rotation @ about(np.array([0.0, 0.0, 1.0]), value))


def obstacles(scene: Scene, name: str) -> Iterator[Box]:
    """Everything but one object, moving parts apart from what they belong to."""
    for other in scene.names:
        if other == name:
            continue
        yield box_of(scene, other)
        for part in shape_of(other).parts.values():
            pose = part_pose(scene, other, part)
            yield from (Box(pose, low, high) for low, high in part.boxes)
