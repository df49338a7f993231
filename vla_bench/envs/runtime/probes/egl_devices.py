"""List EGL devices as JSON: their index, identity and kind. Run by path, in a child process; standard library only.

A driver that crashes here crashes nothing else.
"""

import ctypes
import ctypes.util
import json
import sys
from typing import Any

EXTENSIONS = 0x3055
CUDA_DEVICE_NV = 0x323A  # EGL_NV_device_cuda
DRM_DEVICE_FILE_EXT = 0x3233  # EGL_EXT_device_drm
DEVICE_UUID_EXT = 0x335C  # EGL_EXT_device_persistent_id
MAX_DEVICES = 64


def main() -> None:
    """Print `[{"index", "is_software", "cuda", "uuid", "drm"}, …]`, empty where there is no EGL."""
    try:
        devices = list_devices(ctypes.CDLL(ctypes.util.find_library("EGL") or "libEGL.so.1"))
    except (OSError, AttributeError):
        devices = []
    sys.stdout.write(json.dumps(devices) + "\n")


def list_devices(egl: ctypes.CDLL) -> list[dict[str, object]]:
    """Ask the library for every device."""
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    pointer, number = ctypes.c_void_p, ctypes.c_int
    query_devices = function(egl, "eglQueryDevicesEXT", number, ctypes.POINTER(pointer), ctypes.POINTER(number))
    if query_devices is None:
        return []
    devices, count = (pointer * MAX_DEVICES)(), number()
    if not query_devices(MAX_DEVICES, devices, ctypes.byref(count)):
        return []
    return [describe(egl, index, devices[index] or 0) for index in range(count.value)]


def describe(egl: ctypes.CDLL, index: int, device: int) -> dict[str, object]:
    """One device: what is not known is None."""
    extensions = query_string(egl, device, EXTENSIONS) or ""
    return {
        "index": index,
        "is_software": "EGL_MESA_device_software" in extensions,
        "cuda": query_number(egl, device, CUDA_DEVICE_NV) if "EGL_NV_device_cuda" in extensions else None,
        "uuid": query_uuid(egl, device) if "EGL_EXT_device_persistent_id" in extensions else None,
        "drm": query_string(egl, device, DRM_DEVICE_FILE_EXT) if "EGL_EXT_device_drm" in extensions else None,
    }


def query_string(egl: ctypes.CDLL, device: int, name: int) -> str | None:
    """A text attribute of a device."""
    query = function(egl, "eglQueryDeviceStringEXT", ctypes.c_void_p, ctypes.c_int, result=ctypes.c_char_p)
    text = query(device, name) if query else None
    return text.decode(errors="replace") if text else None


def query_number(egl: ctypes.CDLL, device: int, name: int) -> int | None:
    """A number attribute of a device."""
    value = ctypes.c_ssize_t(-1)
    query = function(egl, "eglQueryDeviceAttribEXT", ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_ssize_t))
    return value.value if query and query(device, name, ctypes.byref(value)) and value.value >= 0 else None


def query_uuid(egl: ctypes.CDLL, device: int) -> str | None:
    """The UUID of a device, 32 hexadecimal digits: what CUDA prints as `GPU-…`."""
    size, buffer, pointer = ctypes.c_int(), ctypes.create_string_buffer(16), ctypes.c_void_p
    query = function(
        egl, "eglQueryDeviceBinaryEXT", pointer, ctypes.c_int, ctypes.c_int, pointer, ctypes.POINTER(ctypes.c_int)
    )
    found = query and query(device, DEVICE_UUID_EXT, 16, buffer, ctypes.byref(size)) and size.value == 16
    return buffer.raw.hex() if found else None


def function(egl: ctypes.CDLL, name: str, *arguments: type, result: type = ctypes.c_uint) -> Any:
    """An extension function, None where the library has none of that name."""
    address = egl.eglGetProcAddress(name.encode())
    return ctypes.CFUNCTYPE(result, *arguments)(address) if address else None


if __name__ == "__main__":
    main()
