"""Is there room for results? Asked before a run, so that it does not end in the middle."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from vla_bench.results.faults import file_errors
from vla_bench.spec.errors import StoreFull

__all__ = ["check_room"]

PROBE_BYTES = 16 * 2**20


def check_room(folder: Path, min_bytes: int, *, file_bytes: int = 0) -> None:
    """Raise where a file in `folder` cannot grow by `min_bytes`.

    Free space alone does not tell of quotas and file-size limits, so a file of up to 16 MiB is reserved and removed.

    Args:
        folder: exists or can be made.
        min_bytes: wanted.
        file_bytes: present size of the file that will grow, for the limit on the size of a file.

    Raises:
        StoreFull: there is less.
        StoreReadOnly: nothing can be written there.
    """
    with file_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    if free < min_bytes:
        raise StoreFull(
            f"{folder}: {_mib(free)} free, a run wants {_mib(min_bytes)}. "
            "Free some space, or choose another place with --db."
        )
    if (limit := _file_size_limit()) is not None and limit < file_bytes + min_bytes:
        raise StoreFull(
            f"{folder}: files are limited to {_mib(limit)} here (ulimit -f), "
            f"a run wants {_mib(file_bytes + min_bytes)}. Lift the limit."
        )
    _reserve(folder, min(min_bytes, PROBE_BYTES))


def _reserve(folder: Path, n_bytes: int) -> None:
    with file_errors(str(folder)), tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate") and n_bytes > 0:
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        else:
            file.write(b"\0" * n_bytes)


def _file_size_limit() -> int | None:
    try:
        import resource
    except ImportError:  # not a POSIX system
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if soft == resource.RLIM_INFINITY else soft


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:.1f} MiB"
