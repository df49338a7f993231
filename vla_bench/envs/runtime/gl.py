"""One OpenGL context per process for everything that MuJoCo draws.

A context of its own for each model costs memory and start-up, and closing one silently turns the pictures of every
other black. Here all share one, which is made current before anything is drawn or freed.
"""

from __future__ import annotations

import atexit
import importlib
import os
import sys
from typing import Any

from vla_bench.spec.errors import NoRenderer

__all__ = ["shared_context"]


class _SharedContext:
    """The process's GL context, made for the first user and freed with the last."""

    def __init__(self) -> None:
        self._context: Any = None
        self._n_users = 0

    def acquire(self, width: int, height: int) -> None:
        """Become a user; the context is current afterwards.

        Raises:
            NoRenderer: the render back end does not start.
        """
        if self._context is None:
            self._context = _open_context(width, height)
            # Freed before the driver's own end at exit, which would otherwise complain of a context that is left.
            atexit.register(self._free)
        self._n_users += 1
        self._context.make_current()

    def make_current(self) -> None:
        """Before anything is drawn or freed."""
        self._context.make_current()

    def release(self) -> None:
        """Be no user any more."""
        self._n_users -= 1
        if self._n_users == 0:
            self._free()

    def _free(self) -> None:
        atexit.unregister(self._free)
        self._context.free()
        self._context = None


shared_context = _SharedContext()


def _open_context(width: int, height: int) -> Any:
    """Open the back end that `MUJOCO_GL` names (set by the supervisor after probing)."""
    backend = os.environ.get("MUJOCO_GL") or ("cgl" if sys.platform == "darwin" else "egl")
    # The drivers' bindings raise what they like: ImportError without the library, AttributeError where PyOpenGL found
    # none, RuntimeError and GLError where no device answers. All of them mean that nothing can be rendered here.
    try:
        return importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
    except Exception as error:
        raise NoRenderer(f"render back end {backend!r} does not start: {error}. See `vla-bench doctor`.") from error
