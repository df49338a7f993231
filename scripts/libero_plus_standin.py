"""Makes a stand-in for LIBERO-Plus's archive: the same layout, our own scenes, textures and meshes.

    python scripts/libero_plus_standin.py OUT LIBERO_ASSETS

`LIBERO_ASSETS` is LIBERO's own `assets` folder, to which the stand-in links. It exercises the code for light,
background and added objects without 6.4 GB, for every one of these 3,047 tasks. It is marked: results on it are none.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from vla_bench.envs.libero.plus.archive import needed_files
from vla_bench.envs.runtime.assets.declared import STANDIN_FILE

NESTED = Path("home", "somebody", "LIBERO-plus-0", "assets")
"""The published archive nests its folder below a path like this."""
ARENAS = {
    "tabletop": """
    <geom name="floor" type="plane" size="3 3 .125" group="1" material="floorplane"/>
    <body name="table">
      <geom name="table_collision" type="box" size=".4 .4 .4" group="0"/>
      <geom name="table_visual" type="box" size=".4 .4 .4" group="1" contype="0" conaffinity="0" material="top"/>
      <site name="table_top" size=".001" rgba="0 0 0 0"/>
      {legs}
    </body>""",
    "floor": """
    <body name="floor"><geom name="floor" type="plane" size="3 3 .125" group="1" material="floorplane"/></body>""",
    "liv": """
    <body name="floor"><geom name="floor" type="plane" size="3 3 .125" group="1" material="floorplane"/></body>
    <body name="living_room_table">
      <geom type="box" pos="0 0 .398" size=".35 .8 .012" group="1" material="top"/>
    </body>""",
    "study": """
    <body name="floor"><geom name="floor" type="plane" size="3 3 .125" group="1" material="floorplane"/></body>
    <body name="study_table">
      <geom type="box" pos="-.2 0 .842" size=".5 .6 .025" group="1" material="top"/>
    </body>""",
}
ARENAS["kitchen"] = ARENAS["tabletop"]
LEG = '<geom name="table_leg{}_visual" type="cylinder" size=".05 .1" group="1" contype="0" conaffinity="0"/>'
SCENE = """<mujoco model="standin">
  <asset>
    <texture name="texplane" type="2d" file="{up}textures/standin.png"/>
    <material name="floorplane" texture="texplane" texrepeat="3 3" texuniform="true"/>
    <texture name="tex-wall" type="2d" file="{up}textures/standin.png"/>
    <material name="walls_mat" texture="tex-wall" texrepeat="3 3" texuniform="true"/>
    <material name="top" rgba="{colour}"/>
  </asset>
  <worldbody>{arena}
    <geom name="wall" type="box" pos="-2 0 1.5" size=".01 3 1.5" group="1" contype="0" conaffinity="0"
      material="walls_mat"/>
    <light name="light1" pos="{light} 4" dir="0 -.15 -1" diffuse="{shade} {shade} {shade}" castshadow="false"/>
    <camera name="agentview" mode="fixed" pos=".5 0 1.35" quat=".653 .271 .271 .653"/>
  </worldbody>
</mujoco>
"""
OBJECT = """<mujoco model="standin">
  <asset>
    <mesh name="{name}_mesh" file="block.obj" scale=".03 .03 .03"/>
    <material name="{name}_paint" rgba="{colour}"/>
  </asset>
  <worldbody>
    <body>
      <body name="object">
        <geom type="mesh" mesh="{name}_mesh" group="1" contype="0" conaffinity="0" material="{name}_paint"/>
        <geom type="box" size=".03 .03 .03" group="0" density="200" rgba="0 0 0 0"/>
      </body>
      <site name="bottom_site" pos="0 0 -.03" size=".005" rgba="0 0 0 0"/>
      <site name="top_site" pos="0 0 .03" size=".005" rgba="0 0 0 0"/>
      <site name="horizontal_radius_site" pos=".03 .03 0" size=".005" rgba="0 0 0 0"/>
    </body>
  </worldbody>
</mujoco>
"""


def build(out: Path, libero_assets: Path) -> Path:
    """Write the stand-in below `out`, nested as the published archive is.

    Args:
        out: a folder.
        libero_assets: LIBERO's own, linked.

    Returns:
        The folder of assets.
    """
    assets = out / NESTED
    for folder in ("scenes", "textures", "new_objects"):
        (assets / folder).mkdir(parents=True)
    _link_libero(assets, libero_assets)
    _texture(assets / "textures" / "standin.png", "standin")
    for name in sorted({name for names in needed_files().values() for name in names}):
        path = assets / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("textures/"):
            _texture(path, name)
        elif name.startswith("scenes/"):
            path.write_text(_scene(name), encoding="utf-8")
        else:
            path.write_text(OBJECT.format(name=path.stem, colour=_colour(name)), encoding="utf-8")
            _block(path.with_name("block.obj"))
    (assets / STANDIN_FILE).write_text("made by scripts/libero_plus_standin.py: not the published assets\n", "utf-8")
    return assets


def _link_libero(assets: Path, libero_assets: Path) -> None:
    for path in sorted(libero_assets.iterdir()):
        if path.name in ("scenes", "textures"):
            for inner in path.iterdir():
                (assets / path.name / inner.name).symlink_to(inner.resolve())
        else:
            (assets / path.name).symlink_to(path.resolve())


def _scene(name: str) -> str:
    kind = next(kind for kind in ARENAS if Path(name).name.startswith(kind))
    legs = "".join(LEG.format(index) for index in (1, 2, 3, 4))
    numbers = np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint8) / 255
    return SCENE.format(
        up="../" * name.count("/"),
        arena=ARENAS[kind].format(legs=legs),
        colour=_colour(name),
        light=f"{2 * numbers[0] - 1:.2f} {2 * numbers[1] - 1:.2f}",
        shade=f"{0.3 + 0.6 * numbers[2]:.2f}",
    )


def _colour(name: str) -> str:
    red, green, blue = (int(value) / 255 for value in hashlib.sha256(name.encode()).digest()[:3])
    return f"{red:.2f} {green:.2f} {blue:.2f} 1"


def _texture(path: Path, name: str) -> None:
    """A checkerboard of two colours of its own."""
    first, second = (np.frombuffer(hashlib.sha256(name.encode() + end).digest()[:3], np.uint8) for end in (b"a", b"b"))
    rows, columns = np.indices((64, 64)) // 8
    board = np.where(((rows + columns) % 2)[..., np.newaxis], first, second)
    Image.fromarray(board.astype(np.uint8)).save(path)


def _block(path: Path) -> None:
    """A cube with its corners at ±1."""
    corners = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    faces = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
    triangles = [(a, b, c) for a, b, c, _ in faces] + [(a, c, d) for a, _, c, d in faces]
    lines = [f"v {x} {y} {z}" for x, y, z in corners] + [f"f {a} {b} {c}" for a, b, c in triangles]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.umask(0o022)
    print(build(Path(sys.argv[1]), Path(sys.argv[2])))
