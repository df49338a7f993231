"""The few OpenGL functions that `drawing` calls, straight from the library that the present context belongs to."""

from __future__ import annotations

import ctypes
from typing import Any, Final

__all__ = ["GL", "OpenGL", "present_library"]


class GL:
    """OpenGL's names for numbers, those in use."""

    LINES: Final = 0x0001
    ONE: Final = 1
    SRC_ALPHA: Final = 0x0302
    ONE_MINUS_SRC_ALPHA: Final = 0x0303
    FRONT: Final = 0x0404
    BACK: Final = 0x0405
    FRONT_AND_BACK: Final = 0x0408
    CW: Final = 0x0900
    CCW: Final = 0x0901
    DEPTH_TEST: Final = 0x0B71
    STENCIL_TEST: Final = 0x0B90
    LIGHTING: Final = 0x0B50
    COLOR_MATERIAL: Final = 0x0B57
    BLEND: Final = 0x0BE2
    TEXTURE_2D: Final = 0x0DE1
    TEXTURE_GEN_S: Final = 0x0C60
    TEXTURE_GEN_T: Final = 0x0C61
    TEXTURE_GEN_R: Final = 0x0C62
    TEXTURE_CUBE_MAP: Final = 0x8513
    TEXTURE0: Final = 0x84C0
    S: Final = 0x2000
    T: Final = 0x2001
    R: Final = 0x2002
    OBJECT_PLANE: Final = 0x2501
    LIGHT0: Final = 0x4000
    POSITION: Final = 0x1203
    SPOT_DIRECTION: Final = 0x1204
    SPECULAR: Final = 0x1202
    EMISSION: Final = 0x1600
    SHININESS: Final = 0x1601
    STENCIL_BUFFER_BIT: Final = 0x0400
    ALWAYS: Final = 0x0207
    EQUAL: Final = 0x0202
    KEEP: Final = 0x1E00
    REPLACE: Final = 0x1E01
    CLIP_PLANE0: Final = 0x3000
    RENDERER: Final = 0x1F01


_NUMBER, _FLOAT, _POINTER = ctypes.c_uint, ctypes.c_float, ctypes.c_void_p
_SIGNATURES: Final[dict[str, tuple[Any, ...]]] = {
    "glActiveTexture": (_NUMBER,),
    "glBindTexture": (_NUMBER, _NUMBER),
    "glBlendFunc": (_NUMBER, _NUMBER),
    "glCallList": (_NUMBER,),
    "glClear": (_NUMBER,),
    "glClipPlane": (_NUMBER, _POINTER),
    "glColor4fv": (_POINTER,),
    "glColorMask": (ctypes.c_ubyte,) * 4,
    "glCullFace": (_NUMBER,),
    "glDepthMask": (ctypes.c_ubyte,),
    "glDisable": (_NUMBER,),
    "glEnable": (_NUMBER,),
    "glFrontFace": (_NUMBER,),
    "glLightfv": (_NUMBER, _NUMBER, _POINTER),
    "glMaterialf": (_NUMBER, _NUMBER, _FLOAT),
    "glMaterialfv": (_NUMBER, _NUMBER, _POINTER),
    "glMultMatrixf": (_POINTER,),
    "glPopMatrix": (),
    "glPushMatrix": (),
    "glScalef": (_FLOAT,) * 3,
    "glStencilFunc": (_NUMBER, ctypes.c_int, _NUMBER),
    "glStencilOp": (_NUMBER,) * 3,
    "glTexGenfv": (_NUMBER, _NUMBER, _POINTER),
    "glTranslatef": (_FLOAT,) * 3,
}


class OpenGL:
    """The functions, without the prefix `gl`, as attributes."""

    def __init__(self, library: Any) -> None:
        """Look all of them up.

        Args:
            library: a `ctypes` library.

        Raises:
            AttributeError: it lacks one.
        """
        for name, arguments in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = list(arguments), None
            setattr(self, name[2:], function)
        self._get_string = library.glGetString
        self._get_string.argtypes, self._get_string.restype = [_NUMBER], ctypes.c_char_p

    def __getattr__(self, name: str) -> Any:  # the functions are set by name
        raise AttributeError(name)

    @property
    def renderer(self) -> str:
        """What the driver calls itself."""
        return (self._get_string(GL.RENDERER) or b"").decode(errors="replace")


def present_library() -> OpenGL | None:
    """The library of the context that `mujoco.egl` or `mujoco.osmesa` has made; None where it is another."""
    try:
        from OpenGL import platform  # type: ignore[import-untyped]

        return OpenGL(platform.PLATFORM.GL)
    except (ImportError, AttributeError, OSError):
        return None
