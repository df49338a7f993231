"""What the LIBERO expert sees at a step: names, poses and numbers out of the privileged state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.builtin.experts.libero.rotations import Matrix, Vector, from_quat

__all__ = ["Goal", "Pose", "Region", "Scene", "category"]

_SHOULDER_M: Final = 0.333
"""Height of the Panda's shoulder over its base."""
_WRIST_ABOVE_M: Final = 0.204
"""Height of its wrist (axis 6) over the point between the fingertips of a hand that points down,"""
_WRIST_BEHIND_M: Final = 0.088
"""and how much nearer to the base it is."""
_REACH_M: Final = 0.69
_DOWNWARDS: Final = np.array([0.0, 0.0, -1.0])


class Pose(NamedTuple):
    """Position in metres `[3]` and rotation matrix `[3, 3]`, both in the world frame."""

    position: Vector
    rotation: Matrix

    def world(self, point: Vector) -> Vector:
        """A point of this frame, in the world."""
        return self.position + self.rotation @ point

    def local(self, point: Vector) -> Vector:
        """A point of the world, in this frame."""
        return self.rotation.T @ (point - self.position)


class Region(NamedTuple):
    """A named box that goals speak of: its pose and half sizes `[3]` along its own axes, metres."""

    pose: Pose
    half: Vector


@dataclass(frozen=True, slots=True)
class Goal:
    """One predicate of the task's conjunction: `on`, `in`, `open`, `close`, `turnon` or `turnoff`.

    Attributes:
        predicate: in lower case.
        subject: the object, or the articulated part.
        target: what it shall be on or in; empty for a predicate of one argument.
        holds: whether it holds now.
    """

    predicate: str
    subject: str
    target: str
    holds: bool


def category(name: str) -> str:
    """The category of an object or fixture: its name without the number at its end."""
    return re.sub(r"_\d+$", "", name)


class Scene:
    """The privileged state of one step, read by name. Nothing is copied and nothing written."""

    def __init__(self, values: Mapping[str, NDArray[np.float64]]) -> None:
        """Keep the mapping, whose keys are those of LIBERO's adapter (`vla_bench.envs.libero.truth`)."""
        self._values = values

    @cached_property
    def hand(self) -> Pose:
        """The point between the fingertips; its z axis points out of the hand, its x axis is the closing direction."""
        return _pose(self._values["eef"])

    @property
    def opening(self) -> float:
        """The distance between the fingers, metres: 0.077 is open."""
        left, right = self._values["gripper"]
        return float(left - right)

    @property
    def foot(self) -> Vector:
        """Where the robot stands, `[3]`."""
        return self._values["base"]

    def body(self, name: str) -> Pose:
        """The root body of an object or fixture."""
        values = self._values.get(f"object/{name}")
        return _pose(self._values[f"fixture/{name}"] if values is None else values)

    def region(self, name: str) -> Region:
        """A region by its name."""
        values = self._values[f"site/{name}"]
        return Region(Pose(values[:3], values[3:12].reshape(3, 3)), values[12:15])

    def has_region(self, name: str) -> bool:
        """Whether a goal's argument is a region rather than an object."""
        return f"site/{name}" in self._values

    def joint(self, fixture: str, index: int = 0) -> float:
        """A hinge (rad) or slide (m) of a fixture."""
        return float(self._values[f"joint/{fixture}"][index])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All objects and fixtures, in the order of the state."""
        keys = (key.partition("/") for key in self._values)
        return tuple(name for kind, _, name in keys if kind in ("object", "fixture"))

    @cached_property
    def goals(self) -> tuple[Goal, ...]:
        """The predicates of the task, in its own order."""
        return tuple(_goal(key, bool(value[0])) for key, value in self._values.items() if key.startswith("goal/"))

    def stretch(self, position: Vector) -> float:
        """How far the arm must reach to bring a hand that points down to a position: shoulder to wrist, metres.

        The elbow is straight at 0.72.
        """
        forward, rise = self._wrist(position, _DOWNWARDS)
        return float(np.hypot(forward, rise))

    def reachable(self, position: Vector) -> Vector:
        """The position, or the point nearer to the robot at the same height that the arm reaches with its elbow bent.

        The hand is taken to point as it does now. A straight elbow is where the controller loses its way: it can pass
        through and never come back.
        """
        forward, rise = self._wrist(position, self.hand.rotation[:, 2])
        if np.hypot(forward, rise) <= _REACH_M:
            return position
        aside = position[:2] - self.foot[:2]
        inwards = forward - np.sqrt(max(0.0, _REACH_M**2 - rise**2))
        return np.array([*(position[:2] - inwards * aside / np.linalg.norm(aside)), position[2]])

    def _wrist(self, position: Vector, pointing: Vector) -> tuple[float, float]:
        """Distance and height of the wrist from the shoulder, for a hand at a position that points somewhere."""
        wrist = position - _WRIST_ABOVE_M * pointing - self.foot
        return float(np.hypot(wrist[0], wrist[1])) - _WRIST_BEHIND_M, float(wrist[2]) - _SHOULDER_M


def _pose(values: NDArray[np.float64]) -> Pose:
    return Pose(values[:3], from_quat(values[3:7]))


def _goal(key: str, holds: bool) -> Goal:
    predicate, subject, *target = key.removeprefix("goal/").split(" ")
    return Goal(predicate, subject, target[0] if target else "", holds)
