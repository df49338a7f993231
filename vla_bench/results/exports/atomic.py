"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vla_bench.results.faults import file_errors
from vla_bench.spec.errors import UsageError

__all__ = ["new_file", "new_folder"]


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give the path of a file to write; what it holds becomes `path` when the block ends well.

    Args:
        path: of the file; its folder must exist.
        force: replace a file that is there.

    Raises:
        UsageError: there is something at `path` (a folder also with `force`), or its folder is missing.
        StoreFull, StoreReadOnly, StoreError: it cannot be written.
    """
    _check_free(path, force=force and not path.is_dir())
    temporary = _beside(path)
    try:
        with file_errors(str(path)):
            yield temporary
            with temporary.open("rb") as file:
                # Without it a power cut can leave the new name on an empty file.
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `path` when the block ends well.

    Args:
        path: of the folder; the one around it must exist.
        force: replace a folder that is there, with all that it holds.

    Raises:
        UsageError: there is something at `path` (a file also with `force`), or the folder around it is missing.
        StoreFull, StoreReadOnly, StoreError: it cannot be written.
    """
    _check_free(path, force=force and path.is_dir())
    temporary = _beside(path)
    old = _beside(path)
    try:
        with file_errors(str(path)):
            temporary.mkdir()
            yield temporary
            if path.exists():
                path.rename(old)
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _check_free(path: Path, *, force: bool) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent}: make it, or name another --output")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already: name another --output, or replace it with --force")


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
