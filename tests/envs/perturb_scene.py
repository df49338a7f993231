"""A small scene, compiled, for the library of perturbations: an arm, a table, two boxes, a shelf, lamps, a camera."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.perturb.scene import Scene

SCENE = Scene(
    cameras=("front",),
    pivot_m=(0.0, 0.5, 0.1),
    textures=("cloth", "wood", "sky"),
    materials=("paint",),
    robot="base",
    joints=("shoulder", "elbow", "wrist"),
    bodies=("red", "blue", "shelf"),
    workspace_m=((-0.4, 0.2, 0.0), (0.4, 0.9, 0.5)),
)

_XML = """
<mujoco>
  <visual><headlight ambient=".2 .2 .2" diffuse=".3 .3 .3"/></visual>
  <asset>
    <texture name="cloth" type="2d" builtin="flat" rgb1=".3 .4 .5" width="64" height="32"/>
    <texture name="wood" type="cube" builtin="gradient" rgb1=".5 .4 .3" rgb2=".2 .1 .1" width="32" height="32"/>
    <texture type="skybox" builtin="gradient" rgb1=".5 .6 .7" rgb2=".1 .1 .1" width="16" height="16"/>
    <material name="cloth" texture="cloth"/> <material name="wood" texture="wood"/>
    <material name="paint" rgba=".6 .6 .6 1"/>
  </asset>
  <worldbody>
    <light pos="1 0 2" dir="-.5 0 -1" diffuse=".3 .3 .3"/> <light pos="-1 0 2" dir=".5 0 -1" diffuse=".1 .1 .1"/>
    <camera name="front" pos="0 -.7 .8" xyaxes="1 0 0 0 .5 .866" fovy="50"/>
    <geom name="floor" type="plane" size="3 3 .1" pos="0 0 -.5" material="cloth"/>
    <geom name="table" type="box" size=".6 .5 .02" pos="0 .5 -.02" material="wood"/>
    <geom name="wall" type="box" size=".6 .02 .3" pos="0 1.05 .3" material="paint"/>
    <body name="base" pos="-.3 .1 0">
      <geom type="cylinder" size=".05 .1" pos="0 0 .1"/>
      <body name="upper" pos="0 0 .25">
        <joint name="shoulder" axis="0 0 1" range="-90 90" limited="true"/>
        <geom type="capsule" fromto="0 0 0 0 .2 .1" size=".03"/>
        <body name="lower" pos="0 .2 .1">
          <joint name="elbow" axis="1 0 0" range="-90 90" limited="true"/>
          <geom type="capsule" fromto="0 0 0 0 .2 0" size=".03"/>
          <body name="hand" pos="0 .2 0">
            <joint name="wrist" axis="0 1 0" range="-.2 .2" limited="true"/>
            <geom name="hand" type="box" size=".02 .04 .02" pos="0 .05 0"/>
            <camera name="wrist" pos="0 0 .05"/>
          </body>
        </body>
      </body>
    </body>
    <body name="red" pos=".1 .4 .03"><freejoint/><geom type="box" size=".03 .03 .03" rgba=".8 .1 .1 1"/></body>
    <body name="blue" pos=".1 .5 .03"><freejoint/><geom type="box" size=".03 .03 .03" rgba=".1 .1 .8 1"/></body>
    <body name="shelf" pos="0 .8 .1">
      <geom type="box" size=".15 .05 .1" material="paint"/>
      <body pos="0 0 .15"><geom type="sphere" size=".05"/></body>
    </body>
  </worldbody>
</mujoco>
"""


def build() -> tuple[Any, Any]:
    """The model and its data, positions up to date."""
    model = mujoco.MjModel.from_xml_string(_XML)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def everything(model: Any) -> dict[str, NDArray[Any]]:
    """Copies of every array of a model, and of its head light."""
    arrays = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    found = {name: value.copy() for name, value in arrays.items() if isinstance(value, np.ndarray)}
    head = model.vis.headlight
    return found | {f"head_{name}": getattr(head, name).copy() for name in ("ambient", "diffuse", "specular")}


def differences(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> list[str]:
    """Names of the arrays whose bytes differ."""
    return [name for name in one if one[name].tobytes() != other[name].tobytes()]
