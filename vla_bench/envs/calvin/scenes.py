"""What a scene is made of, read from `scenes.toml`: plain data, no simulator."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["COLOURS", "SCENES", "Block", "Scene", "read_table", "scene"]

SCENES = ("A", "B", "C", "D")
COLOURS = ("red", "blue", "pink")
"""In the order in which start poses are drawn; `Scene.blocks` has the order of the scene's own file."""


@cache
def read_table(name: str) -> Mapping[str, Any]:
    """A TOML file of this package."""
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Block:
    """One block.

    Attributes:
        colour: `red`, `blue` or `pink`.
        size: `small` (0.040 m), `middle` (0.056 m) or `big` (0.080 m) along its x axis; 0.040 m along the others.
        position: where it is loaded, world frame, metres.
        quat_xyzw: how it is turned then.
    """

    colour: str
    size: str
    position: tuple[float, float, float]
    quat_xyzw: tuple[float, float, float, float]

    @property
    def urdf(self) -> str:
        """Its model, relative to the folder of assets."""
        return f"blocks/block_{self.colour}_{self.size}.urdf"

    @property
    def length_m(self) -> float:
        """Along its own x axis."""
        return {"small": 0.040, "middle": 0.056, "big": 0.080}[self.size]


@dataclass(frozen=True, slots=True)
class Scene:
    """One desk with its blocks.

    Attributes:
        name: `A` to `D`.
        blocks: in the order of the scene's file, which is that of `scene_obs`.
    """

    name: str
    blocks: tuple[Block, ...]

    @property
    def table_urdf(self) -> str:
        """The desk's model, relative to the folder of assets."""
        return f"calvin_table_{self.name}/urdf/calvin_table_{self.name}.urdf"


@cache
def scene(name: str) -> Scene:
    """The scene `A`, `B`, `C` or `D`."""
    blocks = tuple(
        Block(row["block"], row["size"], tuple(row["position"]), tuple(row["quat_xyzw"]))
        for row in read_table("scenes.toml")[name]
    )
    return Scene(name, blocks)
