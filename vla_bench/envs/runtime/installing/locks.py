"""One installation of a family at a time: a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["folder_lock", "is_locked"]


@contextmanager
def folder_lock(root: Path, name: str, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock `name` of a folder, waiting for it where another process has it.

    Args:
        root: an existing folder.
        name: of the lock.
        waiting: called once before a wait.
    """
    with _path(root, name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_locked(root: Path, name: str) -> bool:
    """Whether a process holds the lock now."""
    with _path(root, name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _path(root: Path, name: str) -> Path:
    return root / f".lock-{name}"
