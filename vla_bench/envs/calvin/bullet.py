"""PyBullet, imported and spoken to without what its C code prints on standard output, which is for answers.

`bullet` is the module; the rest of this package imports it from here.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from vla_bench.spec.errors import NoRenderer

__all__ = ["bullet", "load_egl", "quiet"]


@contextmanager
def quiet(*streams: int) -> Iterator[None]:
    """Throw away what C code prints meanwhile on file descriptors, standard output where none is named."""
    flush = ctypes.CDLL(None).fflush
    sys.stdout.flush()
    sys.stderr.flush()
    flush(None)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    saved = {stream: os.dup(stream) for stream in streams or (1,)}
    for stream in saved:
        os.dup2(nowhere, stream)
    try:
        yield
    finally:
        flush(None)
        for stream, copy in saved.items():
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)


with quiet(1, 2):  # its greeting goes to standard error
    import pybullet as bullet


def load_egl(client: int) -> None:
    """Let a client render with EGL, on the device that `EGL_VISIBLE_DEVICES` names.

    The plug-in draws its first two pictures without shadows and all others with them. Upstream's runs are of the second
    kind but for their first look; two pictures are drawn here and thrown away, so that all are.

    Raises:
        NoRenderer: this build of PyBullet has no such plug-in, or it does not load. Without a driver the plug-in ends
            the process, which is why a child process tries it before.
    """
    spec = importlib.util.find_spec("eglRenderer")
    if spec is None or spec.origin is None:
        raise NoRenderer("this pybullet has no EGL plug-in. Take a protocol that renders with 'tiny'.")
    with quiet():
        if bullet.loadPlugin(spec.origin, "_eglRendererPlugin", physicsClientId=client) < 0:
            raise NoRenderer("pybullet's EGL plug-in does not load. Take a protocol that renders with 'tiny'.")
        for _ in range(2):
            bullet.getCameraImage(8, 8, physicsClientId=client)
