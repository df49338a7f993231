"""Render a tiny scene with MuJoCo and say by what. Run by path, in a child process with `MUJOCO_GL` set."""

import importlib
import json
import os
import sys

SCENE = """
<mujoco><worldbody>
  <light pos="0 0 3"/><camera name="eye" pos="0 -2 1" xyaxes="1 0 0 0 0.45 0.89"/>
  <geom type="plane" size="2 2 .1" rgba=".4 .5 .6 1"/><geom type="sphere" size=".4" pos="0 0 .4" rgba=".9 .3 .2 1"/>
</worldbody></mujoco>
"""
SIZE = 64


def main() -> None:
    """Print `{"n_colours", "is_black", "vendor", "renderer", "version"}`."""
    import mujoco
    import numpy as np

    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    gl = importlib.import_module(f"mujoco.{os.environ['MUJOCO_GL']}").GLContext(SIZE, SIZE)
    gl.make_current()
    context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150)
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
    camera, scene, viewport = mujoco.MjvCamera(), mujoco.MjvScene(model, 10), mujoco.MjrRect(0, 0, SIZE, SIZE)
    camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
    mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, camera, mujoco.mjtCatBit.mjCAT_ALL, scene)
    mujoco.mjr_render(viewport, scene, context)
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    mujoco.mjr_readPixels(image, None, viewport, context)
    colours = len(np.unique(image.reshape(-1, 3), axis=0))
    found = {"n_colours": colours, "is_black": not image.any(), **strings()}
    sys.stdout.write(json.dumps(found) + "\n")
    context.free()
    gl.free()


def strings() -> dict[str, str]:
    """What the driver says of itself."""
    from OpenGL import GL  # type: ignore[import-untyped]

    names = {"vendor": GL.GL_VENDOR, "renderer": GL.GL_RENDERER, "version": GL.GL_VERSION}
    return {key: (GL.glGetString(name) or b"").decode(errors="replace") for key, name in names.items()}


if __name__ == "__main__":
    main()
