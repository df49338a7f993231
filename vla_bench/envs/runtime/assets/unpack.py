"""Unpacks archives and finds the folder of assets in whatever a user has."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vla_bench.envs.runtime.assets.declared import AssetSet
from vla_bench.spec.errors import SuiteNotInstalled

__all__ = ["find_folder", "is_archive", "unpack"]

_DEEPEST: Final = 16
"""Upstream's archives nest their folder below the whole path that it once had."""


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive, by its content."""
    return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))


def unpack(archive: Path, into: Path, *, progress: Callable[[int, int], None]) -> None:
    """Unpack the files of an archive into a folder; links and devices are left out, nothing is written outside of it.

    Args:
        archive: zip or tar.
        into: the folder, made where it is not there.
        progress: called with bytes written and bytes in all.

    Raises:
        SuiteNotInstalled: it is no archive, is damaged, leads outside, or there is no room.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, into, progress)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                _unpack_tar(tar, into, progress)
        else:
            raise SuiteNotInstalled(f"{archive} is neither a zip nor a tar archive")
    except (zipfile.BadZipFile, zlib.error, tarfile.TarError, EOFError) as error:
        raise SuiteNotInstalled(f"{archive} is damaged: {error}") from error
    except OSError as error:
        raise SuiteNotInstalled(f"{archive} cannot be unpacked into {into}: {error}") from error


def _unpack_zip(archive: Path, into: Path, progress: Callable[[int, int], None]) -> None:
    with zipfile.ZipFile(archive) as file:
        members = [member for member in file.infolist() if not member.is_dir()]
        total = sum(member.file_size for member in members)
        if total > shutil.disk_usage(into).free:
            raise SuiteNotInstalled(f"{into} has no room for {total / 1e9:.1f} GB of unpacked assets")
        done = 0
        for member in members:
            # `extract` drops drive letters, leading slashes and `..` itself.
            file.extract(member, into)
            done += member.file_size
            progress(done, total)


def _unpack_tar(tar: tarfile.TarFile, into: Path, progress: Callable[[int, int], None]) -> None:
    # Not `extractall`: its filter came with Python 3.11.4, and distributions still ship 3.11.2.
    members = [member for member in tar.getmembers() if member.isfile()]
    total = sum(member.size for member in members)
    if total > shutil.disk_usage(into).free:
        raise SuiteNotInstalled(f"{into} has no room for {total / 1e9:.1f} GB of unpacked assets")
    inside = into.resolve()
    done = 0
    for member in members:
        target = (inside / member.name).resolve()
        if not target.is_relative_to(inside):
            raise SuiteNotInstalled(f"{tar.name} leads outside of its folder: {member.name!r}")
        target.parent.mkdir(parents=True, exist_ok=True)
        content = tar.extractfile(member)
        assert content is not None
        with content, target.open("wb") as file:
            shutil.copyfileobj(content, file)
        done += member.size
        progress(done, total)


def find_folder(assets: AssetSet, path: Path) -> Path:
    """Find the folder that holds all of a set's markers, `path` itself or one below it, the highest first.

    Raises:
        SuiteNotInstalled: there is none.
    """
    waiting = deque([(path, 0)])
    while waiting:
        folder, depth = waiting.popleft()
        if all((folder / mark).exists() for mark in assets.marker):
            return folder
        if depth < _DEEPEST:
            waiting.extend((below, depth + 1) for below in sorted(folder.iterdir()) if below.is_dir())
    marks = ", ".join(assets.marker)
    raise SuiteNotInstalled(f"nothing in {path} is a folder of {assets.title}: none holds {marks}")
