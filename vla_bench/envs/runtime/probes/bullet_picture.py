"""Render a box with PyBullet and say by what. Run by path, in a child process.

`PYBULLET_RENDERER` is `tiny` or `egl`; `EGL_VISIBLE_DEVICES` chooses the device.
"""

import ctypes
import importlib.util
import json
import os
import sys
import tempfile
from importlib.metadata import version

SIZE = 64


def main() -> None:
    """Print `{"n_colours", "is_black", "vendor", "renderer", "version"}`."""
    import numpy as np
    import pybullet

    client = pybullet.connect(pybullet.DIRECT)
    found = {"vendor": "Bullet", "renderer": "TinyRenderer", "version": version("pybullet")}
    if os.environ.get("PYBULLET_RENDERER") == "egl":
        found = load_egl(pybullet, client)
    shape = pybullet.createVisualShape(pybullet.GEOM_BOX, halfExtents=[0.5] * 3, rgbaColor=[0.9, 0.3, 0.2, 1])
    pybullet.createMultiBody(baseVisualShapeIndex=shape)
    view = pybullet.computeViewMatrix((2, -2, 2), (0, 0, 0), (0, 0, 1))
    projection = pybullet.computeProjectionMatrixFOV(40, 1, 0.1, 10)
    image = np.reshape(pybullet.getCameraImage(SIZE, SIZE, view, projection)[2], (SIZE, SIZE, 4))[:, :, :3]
    colours = len(np.unique(image.reshape(-1, 3), axis=0))
    sys.stdout.write(json.dumps({"n_colours": colours, "is_black": not image.any(), **found}) + "\n")
    sys.stdout.flush()
    # The plug-in's own end prints, and some drivers crash in it: what was asked for is answered.
    os._exit(0)


def load_egl(pybullet, client):  # type: ignore[no-untyped-def]
    """Load the plug-in; it tells its driver's name on standard output alone, and ends the process where it fails."""
    spec = importlib.util.find_spec("eglRenderer")
    if spec is None:
        sys.exit("this pybullet has no EGL plug-in")
    flush = ctypes.CDLL(None).fflush
    flush(None)
    saved = os.dup(1)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 1)
        plugin = pybullet.loadPlugin(spec.origin, "_eglRendererPlugin", physicsClientId=client)
        flush(None)
        os.dup2(saved, 1)
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    if plugin < 0:
        sys.exit("the EGL plug-in does not load")
    told = dict(line.split("=", 1) for line in lines if line.startswith("GL_") and "=" in line)
    return {key: told.get(f"GL_{key.upper()}", "") for key in ("vendor", "renderer", "version")}


if __name__ == "__main__":
    main()
