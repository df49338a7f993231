"""What is installed: a folder or a link per set below `assets_folder()`, and a record beside it.

The record is written last, so that an interrupted installation is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vla_bench.envs.runtime.assets.declared import STANDIN_FILE, AssetSet
from vla_bench.envs.runtime.home import assets_folder
from vla_bench.spec.errors import SuiteNotInstalled

__all__ = ["InstalledAssets", "content_of", "folder_of", "installed_assets", "place_folder", "remove_assets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledAssets:
    """A set that is installed.

    Attributes:
        name: of the set.
        source: address or path that it came from.
        digest: BLAKE2b-128 over names and contents of all files.
        n_files, n_bytes: of the folder.
        standin: why these assets are made up; empty for published ones.
        is_link: whether the folder is the user's own, linked.
    """

    name: str
    source: str
    digest: str
    n_files: int
    n_bytes: int
    standin: str
    is_link: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Digest and counts of a folder; see `InstalledAssets`."""

    digest: str
    n_files: int
    n_bytes: int


def installed_assets(name: str) -> InstalledAssets | None:
    """The record of a set; None where it is not installed, or its folder is gone."""
    try:
        record = InstalledAssets(**json.loads(_record(name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return record if (assets_folder() / name).is_dir() else None


def folder_of(assets: AssetSet) -> Path | None:
    """The folder of a set; None where it is not installed."""
    if installed_assets(assets.name) is None:
        return None
    folder = assets_folder() / assets.name / assets.inner
    return folder if folder.is_dir() else None


def place_folder(assets: AssetSet, folder: Path, *, source: str, is_link: bool, content: Content) -> InstalledAssets:
    """Make a checked folder the installed one, in place of an older one.

    Args:
        assets: the set.
        folder: to be moved, or linked.
        source: for the record.
        is_link: link it and leave it where it is.
        content: of the folder.
    """
    remove_assets(assets.name)
    place = assets_folder() / assets.name
    target = place / assets.inner if assets.inner else place
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_link:
        target.symlink_to(folder.resolve(), target_is_directory=True)
    else:
        folder.rename(target)
    record = InstalledAssets(
        name=assets.name, source=source, standin=standin_of(target), is_link=is_link, **asdict(content)
    )
    partial = _record(assets.name).with_suffix(".partial")
    partial.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    partial.replace(_record(assets.name))
    return record


def remove_assets(name: str) -> bool:
    """Remove a set; a linked folder is left where it is. Returns whether there was something."""
    place = assets_folder() / name
    was_there = place.is_symlink() or place.exists()
    _record(name).unlink(missing_ok=True)
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        # Links in it are removed, never followed.
        shutil.rmtree(place)
    return was_there


def standin_of(folder: Path) -> str:
    """Why the assets of a folder are made up; empty for published ones."""
    with suppress(OSError):
        return (folder / STANDIN_FILE).read_text(encoding="utf-8").strip() or "made-up assets"
    return ""


def content_of(
    folder: Path,
    *,
    keep: Callable[[str], bool] | None = None,
    progress: Callable[[int], None] = lambda n_bytes: None,
) -> Content:
    """Read every file of a folder once; links are followed.

    Args:
        folder: of assets.
        keep: which files count, as in `AssetSet.keep`: a linked checkout has more, which change with every command of
            git.
        progress: called with the bytes read so far.

    Raises:
        SuiteNotInstalled: a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    n_files = n_bytes = 0
    try:
        for path in _files(folder):
            name = path.relative_to(folder).as_posix()
            if keep is not None and not keep(name):
                continue
            inside = hashlib.blake2b(digest_size=16)
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    inside.update(block)
                    n_bytes += len(block)
                    progress(n_bytes)
            digest.update(name.encode() + b"\0" + inside.digest())
            n_files += 1
    except OSError as error:
        raise SuiteNotInstalled(f"assets cannot be read: {error}") from error
    return Content(digest=digest.hexdigest(), n_files=n_files, n_bytes=n_bytes)


def _files(folder: Path) -> Iterator[Path]:
    """All files, sorted by folder and name: the order does not depend on the file system."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(names))


def _record(name: str) -> Path:
    return assets_folder() / f"{name}.json"
