"""The seven dimensions and how strong each of their five levels is: data, drawn numbers come later. No simulator."""

from __future__ import annotations

import enum
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

from vla_bench.spec.errors import UsageError

__all__ = ["LEVELS", "NOISE_KINDS", "Dimension", "Perturbation", "strengths"]

LEVELS: Final = (1, 2, 3, 4, 5)
"""From a scene that a person hardly tells from the plain one to one that a person still solves."""
NOISE_KINDS: Final = ("gaussian", "motion", "zoom", "fog", "glass")
"""Trial i has kind i modulo 5, so that five trials of a task have one of each."""


class Dimension(enum.StrEnum):
    """What is perturbed; the seven dimensions of LIBERO-Plus (arXiv 2510.13626)."""

    CAMERA = "camera"
    """where a fixed camera stands and looks"""
    ROBOT = "robot"
    """the joints that the arm starts from"""
    LANGUAGE = "language"
    """the words of the instruction"""
    LIGHT = "light"
    """brightness, colour and direction of the lamps"""
    BACKGROUND = "background"
    """textures of floor, table and walls"""
    NOISE = "noise"
    """the pictures, after they were drawn"""
    LAYOUT = "layout"
    """where objects and goals are"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbation:
    """One dimension at one level: what an episode's parameters say of it.

    Attributes:
        dimension: what is perturbed.
        level: 1 … 5.
        strength: names of the dimension's row in the table → numbers.
    """

    dimension: Dimension
    level: int
    strength: Mapping[str, float] = field(default_factory=dict)

    def to_params(self) -> dict[str, Any]:
        """Plain JSON values for `Task.params`: with the strengths, so that a plan's hash covers them."""
        return {"dimension": self.dimension.value, "level": self.level, "strength": dict(self.strength)}

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Perturbation:
        """Read what `to_params` wrote.

        Raises:
            UsageError: a strength is unknown, missing or out of its bounds.
        """
        try:
            dimension = Dimension(params["dimension"])
            found = cls(dimension=dimension, level=int(params["level"]), strength=dict(params["strength"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"a perturbation wants dimension, level and strength, not {dict(params)!r}") from error
        bounds = _table()["bounds"][dimension.value]
        if found.strength.keys() != bounds.keys():
            raise UsageError(f"a {dimension} perturbation wants {', '.join(bounds)}, not {', '.join(found.strength)}")
        for name, value in found.strength.items():
            low, high = bounds[name]
            if not low <= value <= high:
                raise UsageError(f"{dimension}.{name} is {value}, its bounds are {low} … {high}")
        return found


def strengths(dimension: Dimension, level: int) -> Perturbation:
    """A level of the table `levels/1`.

    Raises:
        UsageError: there is no such level.
    """
    if level not in LEVELS:
        raise UsageError(f"levels are 1 to {LEVELS[-1]}, not {level}")
    row = _table()[dimension.value]
    return Perturbation(
        dimension=dimension, level=level, strength={name: values[level - 1] for name, values in row.items()}
    )


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(files(__package__).joinpath("levels-1.toml").read_text(encoding="utf-8"))
