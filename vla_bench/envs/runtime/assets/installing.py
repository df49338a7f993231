"""Brings a set of assets here: from its publisher, or from a copy that the user has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from vla_bench.envs.runtime.assets.declared import AssetReport, AssetSet
from vla_bench.envs.runtime.assets.download import download
from vla_bench.envs.runtime.assets.installed import InstalledAssets, content_of, folder_of, place_folder
from vla_bench.envs.runtime.assets.unpack import find_folder, is_archive, unpack
from vla_bench.envs.runtime.home import assets_folder
from vla_bench.envs.runtime.installing.locks import folder_lock
from vla_bench.spec.errors import SuiteNotInstalled

__all__ = ["Progress", "check_installed", "install_copy", "install_download"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, bytes done and bytes in all (0 where unknown)."""


def install_download(assets: AssetSet, *, progress: Progress) -> InstalledAssets:
    """Download, unpack, check and place a set. The caller has asked the user.

    Raises:
        SuiteNotInstalled: a step fails; an unfinished download is kept and gone on with by the next call.
    """
    root = assets_folder()
    root.mkdir(parents=True, exist_ok=True)
    with folder_lock(root, assets.name, waiting=lambda: progress("waiting for another installation", 0, 0)):
        files = []
        for index, archive in enumerate(assets.archives):
            target = root / f".{assets.name}-{index}.download"
            if not target.exists():
                download(archive, target, progress=lambda done, total: progress("downloading", done, total))
            files.append(target)
        record = _unpack_and_place(assets, files, source=assets.archives[0].url, progress=progress)
        for file in files:
            file.unlink()
    return record


def install_copy(assets: AssetSet, path: Path, *, progress: Progress) -> InstalledAssets:
    """Check and place what the user has: an archive is unpacked, a folder is linked where it lies.

    Args:
        assets: the set.
        path: an archive, or a folder that holds the assets at any depth.
        progress: hears what is being done.

    Raises:
        SuiteNotInstalled: it is not these assets, or not all of them; nothing is changed.
    """
    root = assets_folder()
    root.mkdir(parents=True, exist_ok=True)
    with folder_lock(root, assets.name, waiting=lambda: progress("waiting for another installation", 0, 0)):
        if is_archive(path):
            return _unpack_and_place(assets, [path], source=str(path.resolve()), progress=progress)
        if not path.is_dir():
            raise SuiteNotInstalled(f"{path} is neither a folder nor an archive of {assets.title}")
        folder = find_folder(assets, path)
        return _place(assets, folder, source=str(folder.resolve()), is_link=True, progress=progress)


def check_installed(assets: AssetSet, record: InstalledAssets, *, progress: Progress) -> AssetReport:
    """Look again at every file of an installed set, and compare with what was installed."""
    folder = folder_of(assets)
    if folder is None:
        return AssetReport(faults=[f"the folder of {assets.name} is gone"])
    report = assets.check(folder)
    content = content_of(
        folder, keep=assets.keep, progress=lambda done: progress("reading every file", done, record.n_bytes)
    )
    if content.digest == record.digest:
        return report
    changed = f"its files are not those that were installed ({content.n_files} files, were {record.n_files})"
    return AssetReport(faults=[*report.faults, changed], notes=report.notes)


def _unpack_and_place(assets: AssetSet, files: list[Path], *, source: str, progress: Progress) -> InstalledAssets:
    partial = assets_folder() / f".{assets.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for file in files:
            unpack(file, partial, progress=lambda done, total: progress("unpacking", done, total))
        folder = find_folder(assets, partial)
        _prune(assets, folder)
        return _place(assets, folder, source=source, is_link=False, progress=progress)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _prune(assets: AssetSet, folder: Path) -> None:
    """Remove what came along and is not needed; folders that are empty then go too."""
    if assets.keep is None:
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif not assets.keep(path.relative_to(folder).as_posix()):
            path.unlink()


def _place(assets: AssetSet, folder: Path, *, source: str, is_link: bool, progress: Progress) -> InstalledAssets:
    progress("checking", 0, 0)
    report = assets.check(folder)
    if report.faults:
        shown = "; ".join(report.faults[:3])
        more = f"; and {len(report.faults) - 3} more" if len(report.faults) > 3 else ""
        raise SuiteNotInstalled(f"{folder} is not all of {assets.title}: {shown}{more}")
    content = content_of(
        folder, keep=assets.keep, progress=lambda done: progress("reading every file", done, assets.unpacked_bytes)
    )
    return place_folder(assets, folder, source=source, is_link=is_link, content=content)
