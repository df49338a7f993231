"""Pictures through anonymous memory: the worker writes them there, the run copies them out. No name, nothing to leak.

The run makes the memory and the worker inherits its descriptor, so that it vanishes with the two of them, however they
end. The worker makes it larger when a reply needs more; it is never made smaller.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PictureMemory", "PictureReader", "PictureWriter", "Place", "create_memory"]

Place = list[Any]
"""Where an array lies, as plain values that travel in a message: `[offset, dtype, shape]`."""

_ALIGNMENT = 64


def create_memory() -> int:
    """Make an empty piece of anonymous memory and return its descriptor (closed on exec, as Python's are)."""
    if hasattr(os, "memfd_create"):
        import fcntl

        descriptor = os.memfd_create("vla-bench-pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        # A worker that runs wild cannot make it smaller under a reader, who would die of SIGBUS.
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return descriptor
    with tempfile.TemporaryFile() as file:  # unlinked before anybody knows its name
        return os.dup(file.fileno())


class PictureMemory:
    """A mapping of the memory that follows its growth."""

    def __init__(self, descriptor: int) -> None:
        """Take over the descriptor: `close` closes it."""
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._is_closed = False

    def _mapped(self, n_bytes: int) -> mmap.mmap:
        """The mapping, at least `n_bytes` long.

        Raises:
            ValueError: the memory is shorter than that.
        """
        if self._map is None or len(self._map) < n_bytes:
            if (size := os.fstat(self._descriptor).st_size) < n_bytes:
                raise ValueError(f"the picture memory has {size} bytes, not {n_bytes}")
            if self._map is not None:
                self._map.close()
            self._map = mmap.mmap(self._descriptor, size)
        return self._map

    def close(self) -> None:
        """Unmap and close; safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            if self._map is not None:
                self._map.close()
            os.close(self._descriptor)


class PictureWriter(PictureMemory):
    """The worker's end."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._end = 0

    def begin(self) -> None:
        """Start a reply: the places of the one before are free again."""
        self._end = 0

    def write(self, array: NDArray[Any]) -> Place:
        """Copy an array of any layout in, C order, and say where it lies."""
        offset = -(-self._end // _ALIGNMENT) * _ALIGNMENT
        self._end = offset + array.nbytes
        if self._end > os.fstat(self._descriptor).st_size:
            os.ftruncate(self._descriptor, 2 * self._end)
        target = np.frombuffer(self._mapped(self._end), array.dtype, array.size, offset)
        target.reshape(array.shape)[...] = array
        return [offset, array.dtype.str, list(array.shape)]


class PictureReader(PictureMemory):
    """The run's end."""

    def read(self, place: Sequence[Any]) -> NDArray[Any]:
        """Copy an array out, so that nothing the caller keeps changes with the next reply.

        Raises:
            ValueError: the place is outside the memory, or is none.
        """
        try:
            offset, dtype, shape = int(place[0]), np.dtype(place[1]), tuple(place[2])
        except (TypeError, ValueError, IndexError) as error:
            raise ValueError(f"{place!r} is no place in the picture memory") from error
        count = int(np.prod(shape, dtype=np.int64))
        if offset < 0 or count < 0 or dtype.hasobject:
            raise ValueError(f"{place!r} is no place in the picture memory")
        memory = self._mapped(offset + count * dtype.itemsize)
        return np.frombuffer(memory, dtype, count, offset).reshape(shape).copy()
