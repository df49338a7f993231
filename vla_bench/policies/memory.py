"""Keep freed memory in the process: pictures come and go with every request, and page faults cost more than copying."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from typing import Final

__all__ = ["keep_freed_memory"]

_KEPT_BYTES: Final = 64 * 2**20
# From <malloc.h>: at the top of the heap freed memory up to the first limit is kept, and blocks up to the second are
# taken from the heap instead of being mapped, and unmapped, one by one.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def keep_freed_memory() -> None:
    """Have glibc's allocator keep 64 MiB for reuse; elsewhere nothing happens. For processes that only serve.

    Measured with two pictures of 256×256 a request: 80 to 150 page faults less, and a server's time nearly halved.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES // 2)  # glibc takes no more than 32 MiB
